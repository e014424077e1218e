# SPDX-License-Identifier: Apache-2.0
"""A control channel of a VM, for tests on whichever side of the rig they run.

    qmp.py SOCKET COMMAND [JSON]      prints what the command returns
    qmp.py SOCKET save FOLDER         saves the VM to a template, waits for it, prints the figures
    qmp.py SOCKET freeze FOLDER       the same, and ends the VM

Standard library only and one file, so that it runs wherever there is a python3.
"""
import json
import socket
import sys
import time

LIMIT = 120


class QmpError(Exception):
    """What the VM answered instead of a result."""


def connect(path, timeout):
    """To a VM that may have only just been started."""
    deadline = time.monotonic() + timeout
    while True:
        link = socket.socket(socket.AF_UNIX)
        link.settimeout(timeout)
        try:
            link.connect(path)
            return link
        except (FileNotFoundError, ConnectionRefusedError):
            link.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.002)


class Qmp:
    """Commands, and events that are waited for."""

    def __init__(self, path, timeout=LIMIT):
        self.link = connect(str(path), timeout)
        self.file = self.link.makefile("rw", encoding="utf-8")
        self.events = []
        self.greeting = self.receive()
        self.execute("qmp_capabilities")

    def receive(self):
        line = self.file.readline()
        if not line:
            raise QmpError("the control channel was closed")
        return json.loads(line)

    def execute(self, command, **arguments):
        self.file.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.file.flush()
        while True:
            message = self.receive()
            if "event" in message:
                self.events.append(message)
            elif "error" in message:
                raise QmpError(f"{command}: {message['error']['desc']}")
            else:
                return message["return"]

    def wait_event(self, matches):
        """The first event, of those that came or are to come, for which matches() is true."""
        for event in self.events:
            if matches(event):
                return event
        while not matches(event := self.receive()):
            self.events.append(event)
        return event

    def pass_fd(self, name, fd):
        """Gives the VM a descriptor, by name."""
        line = json.dumps({"execute": "getfd", "arguments": {"fdname": name}}) + "\n"
        socket.send_fds(self.link, [line.encode()], [fd])
        answer = self.receive()
        if "error" in answer:
            raise QmpError(f"getfd: {answer['error']['desc']}")

    def wait_migration(self):
        """Until a save or a load is over, if one is under way."""
        while (figures := self.execute("query-migrate")).get("status") in ("setup", "active", "device"):
            time.sleep(0.002)
        if figures.get("status") not in ("completed", None):
            raise QmpError(f"migration: {figures.get('error-desc', figures['status'])}")
        return figures

    def save(self, folder, sync=False):
        """Saves the VM to a template and gives query-migrate's figures."""
        return self.save_to(f"file:{folder}", sync)

    def save_to(self, uri, sync=False):
        self.execute("migrate-set-capabilities",
                     capabilities=[{"capability": "events", "state": True}])
        self.execute("migrate-set-parameters", sync=sync)
        self.events.clear()
        self.execute("migrate", uri=uri)
        self.wait_event(lambda event: event["event"] == "MIGRATION" and
                        event["data"]["status"] in ("completed", "failed"))
        figures = self.execute("query-migrate")
        if figures["status"] != "completed":
            raise QmpError(f"migrate: {figures.get('error-desc', figures['status'])}")
        return figures

    def freeze(self, folder, sync=False):
        return self.freeze_to(f"file:{folder}", sync)

    def freeze_to(self, uri, sync=False):
        figures = self.save_to(uri, sync)
        self.execute("quit")
        return figures


def main() -> int:
    path, word, *rest = sys.argv[1:]
    try:
        qmp = Qmp(path)
        if word in ("save", "freeze"):
            result = getattr(qmp, word)(*rest)
        else:
            result = qmp.execute(word, **(json.loads(rest[0]) if rest else {}))
    except QmpError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())

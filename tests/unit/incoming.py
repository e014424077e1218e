# SPDX-License-Identifier: Apache-2.0
"""-incoming with streams, in a real stencil that needs no KVM: incoming.py STENCIL

A VM comes from a stream as a whole, or the stream goes into a VM that the command line describes
and that answers meanwhile; and what cannot be ends the process with the reason.
"""
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMIT = 60
ACCEL = ("-accel", "qtest")
MACHINE = ("-machine", "none", "-m", "1M")
UNDER_WAY = ("setup", "active", "device")


class Running:
    """A stencil with a control channel."""

    def __init__(self, stencil, *arguments, fds=()):
        self.folder = tempfile.TemporaryDirectory()
        path = f"{self.folder.name}/qmp"
        self.process = subprocess.Popen(
            [stencil, *ACCEL, *arguments, "-qmp", f"unix:{path},server=on,wait=off"],
            stdin=subprocess.DEVNULL, pass_fds=fds)
        deadline = time.monotonic() + LIMIT
        while True:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(LIMIT)
            try:
                self.socket.connect(path)
                break
            except OSError:
                self.socket.close()
                assert self.process.poll() is None and time.monotonic() < deadline, "nobody listens"
                time.sleep(0.01)
        self.file = self.socket.makefile("rb")
        self.file.readline()
        self.must("qmp_capabilities")

    def must(self, command, **arguments):
        self.socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
        while "event" in (answer := json.loads(self.file.readline())):
            pass
        assert "return" in answer, (command, answer)
        return answer["return"]

    def outcome(self):
        """Of a save or a load, once it is over."""
        while (figures := self.must("query-migrate"))["status"] in UNDER_WAY:
            time.sleep(0.005)
        return figures["status"]

    def run_state(self):
        return self.must("query-status")["status"]

    def quit(self):
        self.must("quit")
        assert self.process.wait(LIMIT) == 0
        self.file.close()
        self.socket.close()
        self.folder.cleanup()


def save(stencil, path):
    vm = Running(stencil, *MACHINE)
    vm.must("migrate", uri=f"file:{path},offset=0")
    assert vm.outcome() == "completed"
    vm.quit()


def check_loads(stencil, path):
    """Each address, for a VM from the stream and for one that is described."""
    headed = path.with_name("headed")
    headed.write_bytes(b"not ours" + path.read_bytes())
    for machine in (), MACHINE:
        for uri in f"file:{path}", f"file:{headed},offset=8", f"exec:cat '{path}'":
            vm = Running(stencil, *machine, "-incoming", uri)
            assert vm.outcome() == "completed", uri
            assert vm.run_state() == "running", uri  # as it was saved
            vm.quit()
        with open(headed, "rb") as file:
            os.lseek(file.fileno(), 8, os.SEEK_SET)
            vm = Running(stencil, *machine, "-incoming", f"fd:{file.fileno()}", fds=[file.fileno()])
            assert vm.outcome() == "completed"
            vm.quit()


def check_answers_meanwhile(stencil, path):
    """A described VM can be asked, and told, while its stream does not come."""
    reading, writing = os.pipe()
    vm = Running(stencil, *MACHINE, "-incoming", f"fd:{reading}", fds=[reading])
    os.close(reading)
    assert vm.run_state() == "inmigrate"
    assert vm.must("query-migrate")["status"] in ("setup", "active")
    os.write(writing, path.read_bytes())
    assert vm.outcome() == "completed"
    assert vm.run_state() == "running"
    os.close(writing)
    vm.quit()


def check_ends_meanwhile(stencil):
    """One that waits for its stream ends when it is told to."""
    reading, writing = os.pipe()
    vm = Running(stencil, *MACHINE, "-incoming", f"fd:{reading}", fds=[reading])
    os.close(reading)
    vm.quit()
    os.close(writing)


def check_failures(stencil, path):
    half = path.with_name("half")
    half.write_bytes(path.read_bytes()[:-40])
    empty = path.with_name("empty")
    empty.touch()
    cases = [
        (f"file:{half}", "is cut short: it ends after"),
        (f"file:{empty}", "is cut short: it ends after 0 bytes, within its label"),
        (f"exec:cat '{path}'; exit 3", "ended with status 3"),
        ("exec:exit 4", "ended with status 4: "),
        (f"exec:cat '{path}' '{path}'", "goes on after its end"),
        (f"file:{path}-nowhere", "cannot open the folder"),
        (f"file:{path},offset=1000000", "is beyond its"),
        ("fd:99", "'fd:99': Bad file descriptor"),
        ("fd:migrate", "File descriptor named 'migrate' has not been found"),
        ("tcp:0:4444", "nothing is saved or loaded through tcp: here"),
    ]
    for machine in (), MACHINE:
        for uri, reason in cases:
            done = subprocess.run([stencil, *ACCEL, *machine, "-incoming", uri],
                                  stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                  timeout=LIMIT, check=False)
            assert done.returncode == 1, (uri, done)
            assert reason in done.stderr, (uri, done.stderr)


def check_another_vm(stencil, path):
    done = subprocess.run([stencil, *ACCEL, "-machine", "none", "-m", "2M", "-incoming",
                           f"file:{path}"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          text=True, timeout=LIMIT, check=False)
    assert done.returncode == 1, done
    assert 'memory size: "2M" here, "1M" in the template' in done.stderr, done.stderr


def main() -> None:
    stencil, = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stream"
        save(stencil, path)
        check_loads(stencil, path)
        check_answers_meanwhile(stencil, path)
        check_ends_meanwhile(stencil)
        check_failures(stencil, path)
        check_another_vm(stencil, path)


main()

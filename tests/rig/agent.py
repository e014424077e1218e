# SPDX-License-Identifier: Apache-2.0
"""Runs in the host that tests use: starts commands and moves files for the other end of a channel.

    agent.py PORT     a virtio-serial port (in the emulated host)
    agent.py -        standard input and output (on this machine)

Standard library only and one file beside channel.py, so it runs wherever there is a python3.
"""
import fcntl
import os
import pty
import queue
import signal
import struct
import subprocess
import sys
import termios
import threading
from json import loads

import channel as wire


class Job:
    """One command or file; input arrives through a queue so that a slow one holds up no other."""

    def __init__(self, link: wire.Channel, number: int, request: dict):
        self.link = link
        self.number = number
        self.request = request
        self.input: queue.SimpleQueue = queue.SimpleQueue()
        self.process = None
        self.lock = threading.Lock()
        self.early_signal = 0
        self.terminal = -1

    def start(self) -> None:
        threading.Thread(target=self.body, daemon=True).start()

    def body(self) -> None:
        try:
            status = getattr(self, "do_" + self.request["do"])()
            self.link.send_json(wire.ENDED, self.number, status=status)
        except OSError as error:
            self.link.send_json(wire.ENDED, self.number, error=str(error))

    def do_run(self) -> int:
        request = self.request
        environment = {**os.environ, **request.get("env", {})}
        where = {"env": environment, "cwd": request.get("cwd"), "start_new_session": True}
        if request.get("terminal"):
            return self.run_on_terminal(where)
        self.begin(subprocess.Popen(
            request["argv"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            bufsize=0, **where))
        threading.Thread(target=self.feed, args=(self.process.stdin.fileno(),),
                         daemon=True).start()
        pumps = [threading.Thread(target=self.pump, args=(stream.fileno(), kind), daemon=True)
                 for stream, kind in ((self.process.stdout, wire.OUTPUT),
                                      (self.process.stderr, wire.ERRORS))]
        for pump in pumps:
            pump.start()
        status = self.process.wait()
        for pump in pumps:
            # What a command leaves running may hold its output open for ever.
            pump.join(timeout=1)
        return status

    def run_on_terminal(self, where) -> int:
        self.terminal, inner = pty.openpty()
        self.resize(self.request["terminal"])
        self.begin(subprocess.Popen(
            self.request["argv"], stdin=inner, stdout=inner, stderr=inner,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0), **where))
        os.close(inner)
        threading.Thread(target=self.feed, args=(self.terminal,), daemon=True).start()
        self.pump(self.terminal, wire.OUTPUT)
        return self.process.wait()

    def resize(self, rows_and_columns) -> None:
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", *rows_and_columns, 0, 0))

    def feed(self, fd: int) -> None:
        try:
            while data := self.input.get():
                while data:
                    data = data[os.write(fd, data):]
            if fd != self.terminal:
                self.process.stdin.close()
        except OSError:
            pass  # the command reads no more: its own business

    def pump(self, fd: int, kind: int) -> None:
        try:
            while data := os.read(fd, 1 << 15):
                self.link.send(kind, self.number, data)
        except OSError:
            pass  # a terminal ends so when its last user does

    def do_put(self) -> int:
        path = self.request["path"]
        partial = path + ".partial"
        with open(partial, "wb") as file:
            while data := self.input.get():
                file.write(data)
        os.chmod(partial, self.request["mode"])
        os.rename(partial, path)
        return 0

    def do_get(self) -> int:
        with open(self.request["path"], "rb") as file:
            while data := file.read(1 << 15):
                self.link.send(wire.OUTPUT, self.number, data)
        return 0

    def begin(self, process) -> None:
        """It is there; so a signal that came before it can be delivered."""
        with self.lock:
            self.process = process
        if self.early_signal:
            self.kill(self.early_signal)

    def kill(self, number: int) -> None:
        with self.lock:
            if not self.process:
                self.early_signal = number
                return
        if self.process.poll() is None:
            try:
                os.killpg(self.process.pid, number)
            except ProcessLookupError:
                pass


def serve(link: wire.Channel) -> None:
    jobs: dict[int, Job] = {}
    link.send_json(wire.HELLO, 0, pid=os.getpid())
    while True:
        kind, number, payload = link.receive()
        if kind == wire.START:
            jobs[number] = Job(link, number, loads(payload))
            jobs[number].start()
        elif number not in jobs:
            continue
        elif kind == wire.INPUT:
            jobs[number].input.put(payload)
        elif kind == wire.SIGNAL:
            jobs[number].kill(loads(payload)["signal"])
        elif kind == wire.WINDOW:
            jobs[number].resize(loads(payload)["size"])


def main() -> None:
    if sys.argv[1] == "-":
        link = wire.Channel(os.dup(0), os.dup(1))
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        os.dup2(nothing, 1)
    else:
        port = os.open(sys.argv[1], os.O_RDWR | os.O_CLOEXEC)
        link = wire.Channel(port, port)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        serve(link)
    except (wire.Broken, OSError) as error:
        print(f"agent: {error}", file=sys.stderr)


if __name__ == "__main__":
    main()

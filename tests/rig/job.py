# SPDX-License-Identifier: Apache-2.0
"""One command or file transfer on a host, as the test sees it while it runs."""
import json
import re
import signal
import threading
import time
from dataclasses import dataclass

from tests.rig import channel as wire


class HostGone(Exception):
    """The host itself failed, which says nothing about the program under test."""


@dataclass
class Result:
    status: int  # as subprocess has it: negative is a signal
    stdout: str
    stderr: str


class Job:
    def __init__(self, host, number: int, what: str):
        self.host = host
        self.number = number
        self.what = what
        self.changed = threading.Condition()
        self.received = {wire.OUTPUT: bytearray(), wire.ERRORS: bytearray()}
        self.position = 0  # of output that expect() has consumed
        self.ended = None
        self.lost = None

    # -- from the host's listener

    def take(self, kind: int, payload: bytes) -> None:
        with self.changed:
            if kind == wire.ENDED:
                self.ended = json.loads(payload)
                self.host.jobs.pop(self.number, None)
                self.host.note(f"[{self.number}] ended {self.ended}")
            else:
                self.received[kind] += payload
            self.changed.notify_all()

    def host_gone(self, why: str) -> None:
        with self.changed:
            self.lost = why
            self.changed.notify_all()

    # -- from the test

    def write(self, data: bytes) -> None:
        self.host.link.send_data(wire.INPUT, self.number, data)

    def close_input(self) -> None:
        self.host.link.send(wire.INPUT, self.number)

    def kill(self, number=signal.SIGKILL) -> None:
        """Signals the command and all that it started."""
        self.host.link.send_json(wire.SIGNAL, self.number, signal=int(number))

    def resize(self, rows: int, columns: int) -> None:
        self.host.link.send_json(wire.WINDOW, self.number, size=[rows, columns])

    def output_bytes(self) -> bytes:
        with self.changed:
            return bytes(self.received[wire.OUTPUT])

    def output(self) -> str:
        return self.output_bytes().decode(errors="replace")

    def errors(self) -> str:
        with self.changed:
            return self.received[wire.ERRORS].decode(errors="replace")

    def wait(self, timeout: float) -> int:
        """The exit status; TimeoutError if the command is still running."""
        with self.changed:
            self.wait_for(lambda: self.ended is not None, timeout, "its end")
        if "error" in self.ended:
            raise OSError(f"{self.what}: {self.ended['error']}")
        return self.ended["status"]

    def expect(self, pattern: str, timeout: float) -> re.Match:
        """Waits for a regular expression in the output after what was expected before."""
        compiled = re.compile(pattern.encode())
        with self.changed:
            def found():
                return compiled.search(self.received[wire.OUTPUT], self.position)

            self.wait_for(lambda: found() or self.ended is not None, timeout, repr(pattern))
            match = found()
            if not match:
                raise AssertionError(f"{self.what}: ended {self.ended} without {pattern!r}")
            self.position = match.end()
            return match

    def stream(self):
        """The output as it comes, until the end."""
        shown = 0
        while True:
            with self.changed:
                while len(self.received[wire.OUTPUT]) == shown and not self.ended and not self.lost:
                    self.changed.wait()
                part = bytes(self.received[wire.OUTPUT][shown:])
            if not part:
                return
            shown += len(part)
            yield part

    def wait_for(self, done, timeout: float, what: str) -> None:
        watch = self.host.stopwatch()
        while not done():
            if self.lost:
                raise HostGone(f"the host is gone ({self.lost}) during: {self.what}")
            left = timeout - watch.seconds()
            if left <= 0:
                passed = time.monotonic() - watch.start
                raise TimeoutError(f"{self.what}: no {what} in {timeout:g} s ({passed:.1f} s by "
                                   "the clock)")
            self.changed.wait(left)

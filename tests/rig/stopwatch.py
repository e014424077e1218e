# SPDX-License-Identifier: Apache-2.0
"""Time limits that mean the same on a busy machine.

The kernel counts how long each thread was ready to run and was not let.  A limit counts only what is
left of the time then: a process that has to share the processor gets longer, one that sleeps where
it should not, gets no longer than on a quiet machine.
"""
import os
import time
from pathlib import Path

# Threads also wait for each other's turn, which shows up in nobody's own count.
HELD_UP_COUNTS = 1.25
SLOWEST = 20


def patience() -> float:
    """A guess, for what cannot be watched: how many times longer things take just now."""
    return max(1.0, 1.5 * os.getloadavg()[0] / (os.cpu_count() or 1))


def waited_to_run(pid: int) -> dict[str, float]:
    """For each thread of a process the seconds it was ready and did not run."""
    waited = {}
    for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        try:
            waited[task.parent.name] = int(task.read_text(encoding="ascii").split()[1]) / 1e9
        except (OSError, IndexError):
            pass  # it has ended, or the kernel does not count
    return waited


class Stopwatch:
    """Runs from its making; of the process `pid`, or by patience() without one."""

    def __init__(self, pid=None):
        self.pid = pid
        self.patience = patience()
        self.start = time.monotonic()
        self.first: dict[str, float] = {}
        self.held_up = 0.0
        self.look()

    def look(self) -> None:
        if self.pid is None:
            return
        for thread, waited in waited_to_run(self.pid).items():
            since = waited - self.first.setdefault(thread, waited)
            self.held_up = max(self.held_up, since)

    def seconds(self) -> float:
        """Never more than what has passed."""
        passed = time.monotonic() - self.start
        if self.pid is None or not self.first:
            return passed / self.patience
        self.look()
        return max(passed - HELD_UP_COUNTS * self.held_up, passed / SLOWEST)

# SPDX-License-Identifier: Apache-2.0
"""Many clones of one template: how fast they come, and what each that is there and idle costs.

The guest says a byte and sleeps for ever.  For the storm it was saved before it did, for the count of
those alive afterwards, so that such a clone is as idle as can be.
"""
import contextlib
import os
import selectors
import signal
import time
from pathlib import Path

from bench.lib import machines
from bench.lib.samples import Goal, Result, Row
from bench.lib.templates import running

NAME = "clones"
SUMMARY = "clones a second, 2 and 64 in flight; memory of each of 200 that are alive at once"
STORM = 400
ALIVE = 200
LIMIT = 60
WANTED_A_SECOND, WANTED_PRIVATE_KIB, WANTED_HOST_KIB = 250, 2048, 1024


def clone_command(context, folder) -> list:
    return [str(word) for word in machines.stencil(context.stencil, "-serial", "stdio", "-incoming",
                                                   f"file:{folder},resume=on")]


def template(context, name: str, *more) -> Path:
    folder = context.scratch / name
    argv = machines.stencil(context.stencil, "-kernel", context.tool("first-out.elf"), "-serial",
                            "null", *more)
    if not folder.exists():
        with running(context, name, argv) as qmp:
            qmp.freeze(str(folder))
    return folder


class Clones:
    """Processes that are started, watched for their first byte, and ended."""

    def __init__(self, command: list, log):
        self.command, self.log = command, log
        self.ready = selectors.DefaultSelector()
        self.null = os.open("/dev/null", os.O_RDONLY)

    def close(self):
        self.ready.close()
        os.close(self.null)

    def start(self, output: int) -> int:
        return os.posix_spawn(self.command[0], self.command, os.environ, file_actions=[
            (os.POSIX_SPAWN_DUP2, self.null, 0), (os.POSIX_SPAWN_DUP2, output, 1),
            (os.POSIX_SPAWN_DUP2, self.log.fileno(), 2)])

    def start_watched(self):
        ours, theirs = os.pipe()
        self.ready.register(ours, selectors.EVENT_READ, self.start(theirs))
        os.close(theirs)

    def take_spoken(self) -> list:
        """Ends those that have spoken; whether each did."""
        events = self.ready.select(LIMIT)
        if not events:
            raise RuntimeError("no clone has said anything for a minute")
        return [self.end(key) for key, _ in events]

    def end(self, key) -> bool:
        spoke = os.read(key.fd, 1) != b""
        self.ready.unregister(key.fd)
        os.close(key.fd)
        end_process(key.data)
        return spoke


def end_process(pid: int):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def storm(context, log, in_flight: int) -> Row:
    """Clones a second, from exec to the first byte of each."""
    clones = Clones(clone_command(context, template(context, "speaking", "-S")), log)
    started, ended, failures = 0, 0, 0
    with contextlib.closing(clones):
        began = time.monotonic()
        while ended < STORM:
            while started < STORM and started - ended < in_flight:
                clones.start_watched()
                started += 1
            spoken = clones.take_spoken()
            ended += len(spoken)
            failures += spoken.count(False)
        seconds = time.monotonic() - began
    return Row(f"clones a second, {in_flight} in flight", [STORM / seconds], failures)


def available_kib() -> int:
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1])
    raise RuntimeError("/proc/meminfo has no MemAvailable")


def private_kib(pid: int, folder) -> int:
    """What only this process has, without guest RAM."""
    total, is_ram = 0, False
    for line in Path(f"/proc/{pid}/smaps").read_text(encoding="utf-8").splitlines():
        first, *rest = line.split()
        if not first.endswith(":"):
            is_ram = rest[-1] == f"{folder}/memory"
        elif first in ("Private_Clean:", "Private_Dirty:") and not is_ram:
            total += int(rest[0])
    return total


def is_asleep(pid: int) -> bool:
    states = [Path(path, "stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
              for path in Path(f"/proc/{pid}/task").iterdir()]
    return set(states) == {"S"}


def await_sleep(pids: list):
    deadline = time.monotonic() + LIMIT
    while not all(map(is_asleep, pids)):
        if time.monotonic() > deadline:
            raise RuntimeError("clones of a guest that sleeps do not sleep")
        time.sleep(0.05)


def density(context, log) -> list:
    folder = template(context, "sleeping")
    clones = Clones(clone_command(context, folder), log)
    pids = []
    with contextlib.closing(clones):
        try:
            before = available_kib()
            for _ in range(ALIVE):
                pids.append(clones.start(log.fileno()))
            await_sleep(pids)
            host = (before - available_kib()) / ALIVE
            private = [private_kib(pid, folder) for pid in pids]
        finally:
            for pid in pids:
                end_process(pid)
    return [Row("private memory of a clone, KiB", private), Row("host memory of a clone, KiB", [host])]


def measure(context) -> Result:
    result = Result(NAME, "rate or KiB", f"{STORM} clones started and ended; {ALIVE} alive at once")
    with open(context.logs / "programs.log", "ab") as log:
        result.rows = [storm(context, log, in_flight) for in_flight in (2, 64)]
        result.rows += density(context, log)
    wanted = [("at least", WANTED_A_SECOND, result.rows[0]), ("at least", WANTED_A_SECOND, result.rows[1]),
              ("at most", WANTED_PRIVATE_KIB, result.rows[2]), ("at most", WANTED_HOST_KIB, result.rows[3])]
    for word, bound, row in wanted:
        mark = f"{word} {bound}"
        if not result.row(mark):
            result.rows.append(Row(mark, [bound]))
        result.goals.append(Goal(f"{row.label}: {mark}", row.label, mark, 1.0, word == "at least"))
    return result

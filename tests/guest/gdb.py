#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Debian's own gdb against a guest program on this machine's KVM.

    python3 -m tests.guest.gdb --vmm build/gcc/machine/stencil --payloads build/gcc/tests/guest

For each case a line `ok`, `not ok` or `skip`.  Some hosts' KVM does not hand breakpoint
instructions or watchpoints to a debugger; those cases say so and are skipped (tests/linux/debug.py
has them in the rig).
"""
import argparse
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STATUS_PASS = 33
STATUS_SKIP = 77
LIMIT = 60
PAYLOAD = "ticks"


class Skip(Exception):
    pass


class Guest:
    """The payload, stopped before its first instruction, with a gdb server."""

    def __init__(self, options, folder, cpus=1):
        self.elf = options.payloads / f"{PAYLOAD}.elf"
        self.socket = folder / "gdb"
        self.console = folder / "console"
        self.child = subprocess.Popen(
            [options.vmm, "-machine", "microvm", "-cpu", "host", "-smp", str(cpus), "-m", "64M",
             "-kernel", self.elf, "-append", f"{PAYLOAD} hello", "-chardev",
             f"pipe,id=line,path={folder / 'line'}", "-serial", "chardev:line",
             "-device", "isa-debug-exit,iobase=0xf4,iosize=4",
             "-gdb", f"unix:{self.socket}", "-S"], stderr=subprocess.PIPE, text=True)

    def __enter__(self):
        deadline = time.monotonic() + LIMIT
        while not self.socket.exists():
            assert self.child.poll() is None and time.monotonic() < deadline, self.child.stderr.read()
            time.sleep(0.01)
        return self

    def __exit__(self, *_):
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()
        self.child.stderr.close()

    def begin(self, *commands):
        words = ["gdb", "-nx", "-q", "-batch", "-iex", "set pagination off",
                 "-ex", f"target remote {self.socket}"]
        for command in commands:
            words += ["-ex", command]
        return subprocess.Popen([*words, self.elf], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def gdb(self, *commands):
        """What gdb says to these commands."""
        with self.begin(*commands) as child:
            return child.communicate(timeout=LIMIT)[0]

    def play_to_migrate_point(self, ends):
        """There the payload waits for a byte."""
        said = b""
        while b"MIGRATE-POINT" not in said:
            assert select.select([ends[1]], [], [], LIMIT)[0], f"it stands still after {said}"
            said += os.read(ends[1], 4096)

    def play_to_the_end(self, ends):
        self.play_to_migrate_point(ends)
        os.write(ends[0], b"\n")
        return self.child.wait(LIMIT)


def make_line(folder):
    """A console: what is written to the first end comes in, what comes out is read at the other."""
    os.mkfifo(folder / "line.in")
    os.mkfifo(folder / "line.out")
    ends = [os.open(folder / name, os.O_RDWR) for name in ("line.in", "line.out")]
    return ends


def expect(text, *patterns):
    for pattern in patterns:
        assert re.search(pattern, text, re.M), f"no {pattern!r} in:\n{text}"


def stops_at_a_hardware_breakpoint_and_goes_on(guest, ends):
    expect(guest.gdb("hbreak payload_main", "continue", "info registers rip", "detach"),
           r"^Breakpoint 1, payload_main \(\)", r"^rip .*<payload_main", r"detached\]")
    assert guest.play_to_the_end(ends) == STATUS_PASS


def steps_one_instruction_at_a_time(guest, _):
    text = guest.gdb("hbreak payload_main", "continue", "delete", *["stepi", "p/x $rip"] * 3)
    places = re.findall(r"^\$\d+ = (0x\w+)", text, re.M)
    assert len(set(places)) == 3, text


def sees_registers_of_every_kind(guest, _):
    expect(guest.gdb("hbreak payload_main", "continue", "p/x $cr0 & 0x80000001", "p/x $efer",
                     "p/x $cs", "p $eflags", "p/x $mxcsr", "p $xmm3.uint128", "p $st0",
                     "p/x $fctrl"),
           r"^\$1 = 0x80000001", r"^\$2 = 0x\w*5\d\d", r"^\$3 = 0x\w+", r"^\$4 = \[", r"^\$5 = 0x\w+",
           r"^\$6 = 0", r"^\$7 = 0", r"^\$8 = 0x37f")


def writes_registers(guest, _):
    expect(guest.gdb("set var $rbx = 0x1234567890", "p/x $rbx", "set var $xmm1.uint128 = 7",
                     "p $xmm1.uint128"), r"^\$1 = 0x1234567890", r"^\$2 = 7")


def reads_and_writes_memory(guest, ends):
    expect(guest.gdb("hbreak payload_main", "continue", "p ticks", "set var ticks = 3", "p ticks",
                     "x/2i payload_main", "maintenance packet Qqemu.PhyMemMode:1", "p ticks",
                     "set var ticks = 0", "detach"),
           r"^\$1 = 0", r"^\$2 = 3", r"<payload_main>:\s+push", r'received: "OK"', r"^\$3 = 3")
    assert guest.play_to_the_end(ends) == STATUS_PASS


def tells_where_nothing_is(guest, _):
    expect(guest.gdb("x/1wx 0x7f00000000"), r"Cannot access memory at address 0x7f00000000")


def is_interrupted_by_control_c(guest, ends):
    with guest.begin("continue", "p/x $rip") as child:
        guest.play_to_migrate_point(ends)
        child.send_signal(signal.SIGINT)
        expect(child.communicate(timeout=LIMIT)[0], r"received signal SIGINT", r"^\$1 = 0x\w+")


def debugs_a_guest_that_runs(guest, ends):
    guest.gdb("detach")
    expect(guest.gdb("p/x $rip", "detach"), r"^\$1 = 0x\w+")
    assert guest.play_to_the_end(ends) == STATUS_PASS


def stops_at_a_software_breakpoint(guest, _):
    text = guest.gdb("hbreak payload_main", "continue", "break boot_info", "continue")
    if "SIGABRT" in text:
        raise Skip("this host's KVM does not know INT3 in the kernel of a guest")
    expect(text, r"^Breakpoint 2, .*boot_info \(\)")


def stops_when_memory_is_written(guest, _):
    text = guest.gdb("hbreak payload_main", "continue", "watch ticks", "hbreak migrate_point",
                     "continue")
    if re.search(r"^Breakpoint \d+, .*migrate_point", text, re.M):
        raise Skip("this host's KVM does not watch the data of a guest's kernel")
    expect(text, r"^Hardware watchpoint 2: ticks", r"New value = 1")


def kills_the_vm(guest, _):
    guest.gdb("kill")
    assert guest.child.wait(LIMIT) == 0


CASES = (stops_at_a_hardware_breakpoint_and_goes_on, steps_one_instruction_at_a_time,
         sees_registers_of_every_kind, writes_registers, reads_and_writes_memory,
         tells_where_nothing_is, is_interrupted_by_control_c, debugs_a_guest_that_runs,
         stops_at_a_software_breakpoint, stops_when_memory_is_written, kills_the_vm)


def run(case, options):
    """(outcome, reason)"""
    with tempfile.TemporaryDirectory(prefix="stencil-gdb-") as folder:
        ends = make_line(Path(folder))
        try:
            with Guest(options, Path(folder)) as guest:
                case(guest, ends)
            return "ok", ""
        except Skip as reason:
            return "skip", str(reason)
        except (AssertionError, subprocess.TimeoutExpired) as error:
            return "not ok", str(error).replace("\n", " | ")
        finally:
            for fd in ends:
                os.close(fd)


def missing():
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "/dev/kvm is missing, or not ours to open"
    return "" if shutil.which("gdb") else "there is no gdb"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vmm", required=True)
    parser.add_argument("--payloads", type=Path, required=True)
    parser.add_argument("words", nargs="*", help="cases whose name has one of them")
    options = parser.parse_args()
    if missing():
        print(f"skip gdb: {missing()}")
        return STATUS_SKIP
    failed = 0
    for case in CASES:
        if options.words and not any(word in case.__name__ for word in options.words):
            continue
        outcome, reason = run(case, options)
        failed += outcome == "not ok"
        name = "gdb " + case.__name__.replace("_", " ")
        print(f"{outcome} {name}" + (f": {reason}" if reason else ""), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""Cross-builds the tree for AArch64 and runs what user emulation can run: python3 -m tests.arm

The build stays in build/arm64.  KVM does not exist under user emulation, and some system calls do
not either: the cases that need them are in a table, and are skipped with their reason.
"""
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from textwrap import indent

from tests import check
from tests.arm.sysroot import sysroot, write_cross_file

PROFILE = "arm64"
# An emulated program takes some ten times as long.
TEST_ARGUMENTS = ("--timeout-multiplier", "4")
SECONDS = 60

# Cases that fail for a reason that lies in the emulator: (program, case) -> reason.
NOT_EMULATED = {
    ("block_file", "a_write_with_fua_and_every_kind_of_flush_succeed"): "no RWF_DSYNC",
    ("block_file", "where_io_uring_is_refused_threads_do_the_work"): "no seccomp",
    ("memory", "preallocated_memory_is_there"): "mincore says nothing about guest pages",
}
FAILED_CASE = re.compile(r"^not ok \d+ - [^:]*:[^:]*:([^:]*):", re.M)


def emulated(program: Path, *arguments) -> list:
    return ["qemu-aarch64-static", "-L", sysroot(), program, *arguments]


def version(stencil: Path) -> str:
    """The reason why it does not do what it should, or nothing."""
    done = check.run(emulated(stencil, "-version"), stdout=subprocess.PIPE,
                     stderr=subprocess.STDOUT, timeout=SECONDS, check=False)
    return "" if done.stdout.startswith("Stencil ") else f"it says {done.stdout!r}"


def empty_machine(stencil: Path) -> str:
    """Writes into the RAM of a machine without devices, and reads it back."""
    said = []
    with subprocess.Popen(emulated(stencil, "-machine", "none", "-accel", "qtest", "-qtest",
                                   "stdio"),
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        guard = threading.Timer(SECONDS, child.kill)
        guard.start()
        try:
            for command in ("writeq 0x1000 0x1122334455667788", "readl 0x1004"):
                child.stdin.write(command + "\n")
                child.stdin.flush()
                said.append(child.stdout.readline().rstrip())
        finally:
            guard.cancel()
            child.kill()
    return "" if said == ["OK", "OK 0x0000000011223344"] else f"it says {said}"


PROGRAM_CHECKS = {"stencil_version": version, "stencil_machine_none": empty_machine}


def excused(name: str, test: dict) -> dict:
    """Case -> reason, if all that failed in a test that ran to its end is in the table."""
    text = test.get("stdout") or ""
    plan = re.search(r"^1\.\.(\d+)$", text, re.M)
    cases = set(FAILED_CASE.findall(text))
    complete = plan and int(plan[1]) == len(re.findall(r"^(?:not )?ok \d+", text, re.M))
    if not complete or len(FAILED_CASE.findall(text)) != len(re.findall(r"^not ok", text, re.M)):
        return {}
    reasons = {case: NOT_EMULATED.get((name, case)) for case in sorted(cases)}
    return reasons if all(reasons.values()) else {}


def unit_results():
    """Each test program's (outcome, name, detail)."""
    tests = check.meson_log(PROFILE, "unit", TEST_ARGUMENTS)
    if not tests:
        yield "not ok", "unit", "meson test left no log"
    for test in tests:
        name = test["name"].split("/")[-1].split(" ")[-1]
        text = ((test.get("stdout") or "") + (test.get("stderr") or "")).strip()
        reasons = excused(name, test)
        if test["result"] in ("OK", "EXPECTEDFAIL"):
            yield "ok", name, ""
        elif test["result"] == "SKIP":
            yield "skip", name, text.splitlines()[-1] if text else "no reason given"
        elif reasons:
            yield "ok", name, ""
            for case, reason in reasons.items():
                yield "skip", f"{name} {case}", f"user emulation: {reason}"
        else:
            yield "not ok", name, f"{test['result']}\n" + indent(text[-3000:], "    ")


def results():
    cross_file = check.BUILD / "arm64-cross.ini"
    if write_cross_file(cross_file):
        shutil.rmtree(check.BUILD / PROFILE, ignore_errors=True)
    try:
        stencil = check.build(PROFILE) / "machine" / "stencil"
    except check.BuildFailed as error:
        yield "not ok", "build", str(error)
        return
    yield "ok", "build", ""
    for name, fn in PROGRAM_CHECKS.items():
        why = fn(stencil)
        yield "not ok" if why else "ok", name, why
    yield from unit_results()


def main() -> int:
    failed = 0
    for outcome, name, detail in results():
        failed += outcome == "not ok"
        print(f"{outcome} {name}" + (f": {detail}" if detail else ""), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""query-status over a unix socket, beside a bare echo: what a manager that polls has to pay."""
import subprocess
import time

from bench.lib import machines
from bench.lib.samples import Goal, Result, Row

NAME = "qmp-rtt"
SUMMARY = "query-status round trip beside a bare unix-socket echo, guest stopped and busy"
ROUNDS = 5000
LIMIT = 120  # seconds for the rounds of one VM
START_LIMIT = 10
# The guest of the second VM does nothing but leave the guest: a port write in a loop.
GUESTS = {"idle": ("first-out.elf", ["-S"]), "busy": ("first-busy.elf", [])}


def wait_for(path, process) -> None:
    deadline = time.monotonic() + START_LIMIT
    while not path.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("no QMP socket")
        time.sleep(0.01)


def round_trips(context, label: str, command: list, rounds: int) -> list:
    path = context.scratch / f"rtt-{label.replace(' ', '-')}.qmp"
    command = [*command, "-qmp", f"unix:{path},server=on,wait=off"]
    with subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL) as vm:
        try:
            wait_for(path, vm)
            out = subprocess.run([context.tool("qmp-rtt"), path, str(rounds)], text=True,
                                 stdout=subprocess.PIPE, timeout=LIMIT, check=True).stdout
        finally:
            vm.kill()
    lines = [line.split() for line in out.splitlines()]
    return [Row(f"{label}: {name}", [int(ns) / 1e3 for kind, ns in lines if kind == name])
            for name in ("echo", "qmp")]


def measure(context) -> Result:
    result = Result(NAME, "us", "write of a query-status to the read of its answer, and the same of "
                    "a process that only echoes, in turns",
                    goals=[Goal(f"stencil {state}: at most 3x a bare echo", f"stencil {state}: qmp",
                                f"stencil {state}: echo", 3.0) for state in GUESTS])
    for state, (kernel, more) in GUESTS.items():
        more = ["-kernel", context.tool(kernel), "-serial", "null", *more]
        programs = {f"qemu {state}": machines.qemu("kvm", *more)}
        if context.stencil:
            programs[f"stencil {state}"] = machines.stencil(context.stencil, *more)
        for label, command in programs.items():
            result.rows += round_trips(context, label, command, context.runs or ROUNDS)
    return result

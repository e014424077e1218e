# SPDX-License-Identifier: Apache-2.0
"""exec to a QMP greeting: when a manager can begin to talk to a VM that it has just started."""
from bench.lib import machines
from bench.lib.context import Case
from bench.lib.samples import Goal, Result

NAME = "greeting"
SUMMARY = "exec to a readable QMP greeting, beside QEMU"
RUNS = 100


GREETING_LIMIT_MS = 2000


def measure(context) -> Result:
    result = Result(NAME, "ms", "vfork+exec to the greeting on a unix socket, stopped VM (-S)",
                    goals=[Goal("stencil at most a tenth of QEMU", "stencil", "qemu kvm", 0.1)])
    more = ["-kernel", context.tool("first-out.elf"), "-S", "-serial", "stdio"]

    def with_qmp(name: str, command: list) -> Case:
        path = context.scratch / f"{name.replace(' ', '-')}.qmp"
        return Case(name, f"qmp:{path}", command + ["-qmp", f"unix:{path},server,nowait"])

    cases = [with_qmp(f"qemu {accel}", machines.qemu(accel, *more)) for accel in ("kvm", "tcg")]
    if context.stencil:
        ours = with_qmp("stencil", machines.stencil(context.stencil, *more))
        if context.time_exactly([ours], 1, GREETING_LIMIT_MS)["stencil"].failures:
            result.notes.append("this stencil did not greet at all")
        else:
            cases.append(ours)
    result.rows = [timing.row(label) for label, timing in context.time(cases, RUNS).items()]
    return result

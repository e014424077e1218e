# SPDX-License-Identifier: Apache-2.0
"""exec to a QMP greeting: when a manager can begin to talk to a VM that it has just started."""
from bench.lib import machines
from bench.lib.context import Case
from bench.lib.samples import Goal, Result

NAME = "greeting"
SUMMARY = "exec to a readable QMP greeting, beside QEMU"
RUNS = 100


def measure(context) -> Result:
    def with_qmp(name: str, command: list) -> Case:
        path = context.scratch / f"{name.replace(' ', '-')}.qmp"
        return Case(name, f"qmp:{path}",
                    command + ["-S", "-serial", "stdio", "-qmp", f"unix:{path},server,nowait"])

    cases = [with_qmp("qemu kvm", machines.qemu("kvm")), with_qmp("qemu tcg", machines.qemu("tcg"))]
    if context.stencil:
        cases.append(with_qmp("stencil", machines.stencil(context.stencil)))
    rows = [timing.row(label) for label, timing in context.time(cases, RUNS).items()]
    return Result(NAME, "ms", "vfork+exec to the greeting on a unix socket, stopped VM (-S)", rows,
                  [Goal("stencil at most a tenth of QEMU", "stencil", "qemu kvm", 0.1)])

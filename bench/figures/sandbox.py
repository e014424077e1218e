# SPDX-License-Identifier: Apache-2.0
"""exec to the first guest instruction in the sandbox, beside the same VM with -sandbox off."""
from bench.figures.first_instruction import disk_options
from bench.lib import machines
from bench.lib.context import Case
from bench.lib.samples import Goal, Result

NAME = "sandbox"
SUMMARY = "exec to the first byte from a guest kernel, as a multiple of that without the sandbox"
RUNS = 400
BOUND = 1.2


def measure(context) -> Result:
    kernel = context.tool("first-out.elf")
    shapes = (("1 vCPU", []), ("4 vCPUs", ["-smp", "4"]),
              ("disk+rng", disk_options(context)))
    cases, goals = [], []
    for shape, options in shapes:
        command = machines.stencil(context.stencil, "-serial", "stdio", "-kernel", kernel, *options)
        cases += [Case(f"{shape}, off", "byte", [*command, "-sandbox", "off"]),
                  Case(f"{shape}, on", "byte", command)]
        goals.append(Goal(f"{shape}: on at most {BOUND}x off", f"{shape}, on", f"{shape}, off",
                          BOUND))
    rows = [timing.row(label) for label, timing in context.time(cases, RUNS).items()]
    return Result(NAME, "ms", "vfork+exec to the first byte from a PVH kernel, 256 MiB", rows, goals)

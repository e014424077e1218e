# SPDX-License-Identifier: Apache-2.0
"""exec to the first guest instruction of a boot, beside the floor booting the same kernel.

The kernel's first act is a byte to the serial port, so it is seen from outside and no program
needs a hook for it.  The floor maps the same kernel file: it is "the floor plus the cost of mapping
the kernel" by itself.
"""
from bench.lib import machines
from bench.lib.context import Case
from bench.lib.guests import cpuid_file
from bench.lib.samples import Goal, Result

NAME = "first-instruction"
SUMMARY = "exec to the first byte from a guest kernel, as a multiple of the floor"
RUNS = 200
BOUND = 1.6


def disk_options(context) -> list:
    image = context.scratch / "disk.raw"
    with open(image, "wb") as file:
        file.truncate(64 << 20)
    return ["-drive", f"file={image},if=none,id=d0,format=raw",
            "-device", "virtio-blk-device,drive=d0", "-device", "virtio-rng-device"]


def measure(context) -> Result:
    small, large = (context.tool(name) for name in ("first-out.elf", "first-out-32m.elf"))
    floor = [context.tool("floor"), "--cpuid", cpuid_file(context), "--kernel"]
    cases = [Case("floor", "steps", floor + [small]),
             Case("floor, 32 MiB kernel", "steps", floor + [large])]
    if context.stencil:
        devices = ["-qmp", f"unix:{context.scratch}/first.qmp,server,nowait",
                   *disk_options(context)]
        for label, more in (("stencil", [small]), ("stencil, 32 MiB kernel", [large]),
                            ("stencil, qmp+disk+rng", [small, *devices])):
            cases.append(Case(label, "byte", machines.stencil(context.stencil, "-serial", "stdio",
                                                              "-kernel", *more)))
    rows = [timing.row(label) for label, timing in context.time(cases, RUNS).items()]
    peers = [Case(f"qemu {accel}", "byte", machines.qemu(accel, "-kernel", small, "-serial",
                                                         "stdio")) for accel in ("kvm", "tcg")]
    rows += [timing.row(label) for label, timing in context.time(peers, RUNS // 10).items()]
    goals = [Goal(f"{row} at most {BOUND}x {reference}", row, reference, BOUND)
             for row, reference in (("stencil", "floor"), ("stencil, qmp+disk+rng", "floor"),
                                    ("stencil, 32 MiB kernel", "floor, 32 MiB kernel"))]
    return Result(NAME, "ms", "vfork+exec to the first byte from a PVH kernel, 256 MiB, 1 vCPU",
                  rows, goals)

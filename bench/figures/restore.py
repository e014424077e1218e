# SPDX-License-Identifier: Apache-2.0
"""exec to the first guest instruction after a restore, beside the floor mapping RAM of that size.

The guest of the template writes bytes to the serial port in a loop, so its first instruction is seen
from outside as soon as it goes on.
"""
from bench.lib import machines
from bench.lib.context import Case
from bench.lib.guests import cpuid_file, template
from bench.lib.samples import Goal, Result
from bench.lib.templates import ticking

NAME = "restore"
SUMMARY = "exec to the first byte from a restored guest, as a multiple of the floor at that size"
RUNS = 200

# MiB of RAM, vCPUs, how many times the floor at most
SHAPES = ((256, 1, 1.6), (256, 2, 1.6), (256, 4, 1.6), (4096, 1, 1.3), (16384, 1, 1.3))


def devices(context) -> list:
    """Everything that a microvm has here."""
    image = context.scratch / "restore.raw"
    if not image.exists():
        with open(image, "wb") as file:
            file.truncate(64 << 20)
    return ["-drive", f"file={image},if=none,id=d0,format=raw",
            "-device", "virtio-blk-device,drive=d0", "-device", "virtio-rng-device"]


def label_of(what: str, mib: int, cpus: int) -> str:
    size = f"{mib // 1024} GiB" if mib >= 1024 else f"{mib} MiB"
    return f"{what}, {size}, {cpus} vCPU{'s' if cpus > 1 else ''}"


def stencil_case(context, mib: int, cpus: int) -> Case:
    memory = f"{mib}M"
    options = ["-smp", str(cpus), *devices(context)]
    folder = ticking(context, f"{mib}-{cpus}", *options, memory=memory)
    argv = machines.stencil(context.stencil, *options, "-serial", "stdio",
                            "-qmp", f"unix:{context.scratch}/restore.qmp,server,nowait",
                            "-incoming", f"file:{folder}", memory=memory)
    return Case(label_of("stencil", mib, cpus), "byte", argv)


def floor_case(context, mib: int, cpus: int) -> Case:
    return Case(label_of("floor", mib, cpus), "steps",
                [context.tool("floor"), "--cpuid", cpuid_file(context), "--memory", str(mib),
                 "--vcpus", str(cpus), "--template", template(context, mib)])


def measure(context) -> Result:
    rows, goals = [], []
    for mib, cpus, bound in SHAPES:
        cases = [floor_case(context, mib, cpus), stencil_case(context, mib, cpus)]
        timings = context.time(cases, RUNS)
        rows += [timing.row(label) for label, timing in timings.items()]
        floor, stencil = (label_of(what, mib, cpus) for what in ("floor", "stencil"))
        goals.append(Goal(f"{stencil} at most {bound}x the floor", stencil, floor, bound))
    return Result(NAME, "ms", "vfork+exec to the first byte of a restored guest, with disk, rng, "
                  "serial and QMP", rows, goals)

# SPDX-License-Identifier: Apache-2.0
"""Block throughput as a guest sees it, beside QEMU in the same rig on the same image file."""
import re

from bench.lib.rig import Rig
from bench.lib.samples import Goal, Result, Row

NAME = "block"
SUMMARY = "sequential and random block throughput in a guest, beside QEMU (in the rig, minutes)"
BOOTS = 3      # of each VMM, in turns
ROUNDS = 3     # of each pattern in one boot
MIB = 64       # for a sequential pattern
OPERATIONS = 2000  # for a random one
LIMIT = 180    # seconds for one boot and its rounds
DEVICE = ["-device", "virtio-blk-device,drive=d0"]
VMMS = {
    "qemu": ("microvm", "cache.direct=on"),
    "qemu io_uring": ("microvm", "cache.direct=on,aio=io_uring"),
    "qemu buffered": ("microvm", "cache.direct=off"),
    "stencil": ("stencil", "direct=on"),
    "stencil buffered": ("stencil", "direct=off"),
}
LINE = re.compile(r"^blk (\S+) (\d+) (\d+)\r?$", re.MULTILINE)


def one_boot(rig, label: str, image, initrd, rounds: int) -> list:
    """(pattern, MB/s) of each round."""
    vmm, cache = VMMS[label]
    drive = ["-drive", f"file={image},if=none,id=d0,format=raw,{cache}"]
    command = rig.guest(vmm, "vmlinux", initrd, f"blkbench /dev/vda {rounds} {MIB} {OPERATIONS}",
                        drive + DEVICE)
    return [(name, int(moved) * 1e3 / int(ns))
            for name, moved, ns in LINE.findall(rig.boot_and_run(command, LIMIT))]


def measure(context) -> Result:
    rates: dict = {}
    with Rig(context) as rig:
        rig.equip()
        initrd = rig.add_to_initrd("cloud", context.tool("blkbench"))
        image = rig.scratch / "block.raw"
        rig.check(["dd", "if=/dev/urandom", f"of={image}", "bs=1M", f"count={4 * MIB}"])
        for _ in range(BOOTS):
            for label in VMMS:
                if label.startswith("qemu") or rig.has_stencil:
                    for name, rate in one_boot(rig, label, image, initrd, context.runs or ROUNDS):
                        rates.setdefault(f"{label}: {name}", []).append(rate)
    rows = [Row(label, values) for label, values in sorted(rates.items(), key=pattern_first)]
    goals = [Goal(f"{ours}: {name} at least {peer}'s", f"{ours}: {name}", f"{peer}: {name}", 1.0,
                  at_least=True)
             for ours, peers in (("stencil", ("qemu", "qemu io_uring")),
                                 ("stencil buffered", ("qemu buffered",)))
             for name in ("seq-read", "seq-write") for peer in peers]
    return Result(NAME, "MB/s", f"{MIB} MiB sequential, {OPERATIONS} x 4 KiB random, virtio-blk, "
                  "one queue; direct on the host unless said", rows, goals,
                  ["rates: more is better; p99 is near the best round"])


def pattern_first(item) -> tuple:
    vmm, name = item[0].split(": ")
    return name, vmm

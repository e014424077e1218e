# SPDX-License-Identifier: Apache-2.0
"""exec to the guest's own init on a stock Debian kernel, beside QEMU's microvm in the same rig."""
from bench.lib.context import Case
from bench.lib.rig import READY, Rig
from bench.lib.samples import Goal, Result

NAME = "boot-init"
SUMMARY = "exec to the init of a stock kernel, beside QEMU microvm (in the rig, minutes)"
RUNS = 8
LIMIT = 60  # seconds for one boot
# Without its clock a stock kernel waits seconds for it, and an interval timer spares calibration:
# these are QEMU's microvm at its best, with ACPI and without.
ACPI = "microvm,rtc=on"
NO_ACPI = "microvm,acpi=off,pit=on,pic=on,rtc=on"
QEMUS = (("qemu vmlinux", ACPI, "vmlinux"), ("qemu vmlinuz", ACPI, "vmlinuz"),
         ("qemu vmlinuz, no ACPI", NO_ACPI, "vmlinuz"),
         ("qemu vmlinuz, as it comes", "microvm", "vmlinuz"))
OURS = (("stencil vmlinux", "stencil", "vmlinux"), ("stencil vmlinuz", "stencil", "vmlinuz"))


def measure(context) -> Result:
    with Rig(context, counted=True) as rig:
        rig.equip()
        initrd = rig.kit / "initrd-cloud.gz"
        cases = [Case(label, f"text:{READY}", rig.guest(vmm, kernel, initrd))
                 for label, vmm, kernel in (*QEMUS, *(OURS if rig.has_stencil else ()))]
        timings = rig.time(cases, RUNS, LIMIT)
    goals = [Goal(f"stencil {kernel} no slower than QEMU {kernel}", f"stencil {kernel}",
                  f"qemu {kernel}", 1.0) for kernel in ("vmlinux", "vmlinuz")]
    return Result(NAME, "ms", "vfork+exec to /init, 256 MiB, 1 vCPU, Debian's cloud kernel",
                  [timing.row(label) for label, timing in timings.items()], goals)

# SPDX-License-Identifier: Apache-2.0
"""The command lines that are compared: the same VM, as stencil and as its peers would run it."""

BARE = ["-nodefaults", "-no-user-config", "-display", "none"]
# QEMU insists on an MSR that some hosts' KVM refuses unless its feature is off.
QEMU_CPU = "host,arch-capabilities=off"


def stencil(program, *options, memory="256M") -> list:
    return [program, "-machine", "microvm", "-cpu", "host", "-m", memory, "-display", "none",
            *options]


def qemu(accel: str, *options, machine="microvm") -> list:
    cpu = ["-cpu", QEMU_CPU] if accel == "kvm" else []
    return ["qemu-system-x86_64", "-M", f"{machine},accel={accel}", *cpu, "-m", "256M", *BARE,
            *options]

# SPDX-License-Identifier: Apache-2.0
"""Holds a virtual machine open on the host for as long as it runs, so that KVM never patches code.

KVM switches code paths of the kernel by patching them, when the first machine comes, when the last
one goes, and when a local APIC is off.  QEMU 7.2 may keep its translation of the instruction that
stood there for a moment, an INT3, and both processors then take it for ever.  One machine that stays,
with one processor whose APIC is off in either way, keeps all of these paths as they are.
"""
import fcntl
import os
import signal
import struct

KVM_CREATE_VM = 0xAE01
KVM_CREATE_VCPU = 0xAE41
KVM_ENABLE_CAP = 0x4068AEA3
KVM_GET_SREGS = 0x8138AE83
KVM_SET_SREGS = 0x4138AE84
KVM_CAP_SPLIT_IRQCHIP = 121
IOAPIC_PINS = 24
SREGS_SIZE = 312
APIC_BASE_AT = 272
APIC_BASE = 0xFEE00000


def main() -> None:
    machine = fcntl.ioctl(os.open("/dev/kvm", os.O_RDWR), KVM_CREATE_VM, 0)
    fcntl.ioctl(machine, KVM_ENABLE_CAP,
                struct.pack("IIQ4Q56x", KVM_CAP_SPLIT_IRQCHIP, 0, IOAPIC_PINS, 0, 0, 0, 0))
    fcntl.ioctl(machine, KVM_CREATE_VCPU, 0)
    off = fcntl.ioctl(machine, KVM_CREATE_VCPU, 1)
    registers = bytearray(SREGS_SIZE)
    fcntl.ioctl(off, KVM_GET_SREGS, registers)
    struct.pack_into("Q", registers, APIC_BASE_AT, APIC_BASE)
    fcntl.ioctl(off, KVM_SET_SREGS, bytes(registers))
    print("host: a machine is kept", flush=True)
    signal.pause()


if __name__ == "__main__":
    main()

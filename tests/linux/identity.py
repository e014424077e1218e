# SPDX-License-Identifier: Apache-2.0
"""What a stock kernel finds of the devices that tell it who it is."""
from tests.linux.runner import Cases

case = Cases()

ACPI = "/sys/bus/acpi"


@case()
def a_kernel_has_a_driver_for_the_generation_id(lab):
    lab.only("stencil", "the peer's microvm has no generation id")
    with lab.guest(smp=2, flavour="generic") as guest:
        guest.ready()
        guest.sh(f"ls -d {ACPI}/drivers/vmgenid/STCL0001:00")
        assert guest.sh(f"cat {ACPI}/devices/AMZNC10C:00/hid").strip() == "AMZNC10C"
        # The event device has its interrupt, by which a change is told.
        guest.sh("grep -i ged /proc/interrupts")
        assert guest.power_off() == 0

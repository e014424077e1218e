# SPDX-License-Identifier: Apache-2.0
"""How a guest's life ends, and goes on: power off, reboot by each way a kernel knows, panic."""
from tests.linux.runner import Cases

case = Cases()

# keyboard controller, ACPI reset register, triple fault
WAYS = ("k", "a", "t")


def has(lab, way: str) -> None:
    if way == "k":
        lab.only("stencil", "the peer's microvm has no keyboard controller")


@case(cpus=(1, 2))
def poweroff_ends_the_vmm_with_status_0(lab, cpus):
    with lab.guest(smp=cpus, append="guest.run=poweroff+-f") as guest:
        guest.ready()
        assert guest.exit_status() == 0


@case(way=WAYS)
def reboot_with_no_reboot_ends_the_vmm_with_status_0(lab, way):
    has(lab, way)
    with lab.guest(append=f"reboot={way} guest.run=reboot+-f") as guest:
        guest.ready()
        assert guest.exit_status() == 0


@case(way=WAYS)
def reboot_starts_the_guest_again_in_place(lab, way):
    has(lab, way)
    with lab.guest(smp=2, append=f"reboot={way}", options=()) as guest:
        for _ in range(2):
            assert guest.ready()["cpus"] == "2"
            assert float(guest.sh("cut -d' ' -f1 /proc/uptime")) < 60
            guest.type("reboot -f")
        guest.ready()
        assert guest.power_off() == 0


@case()
def disks_work_after_a_reboot_in_place(lab):
    disk = lab.fresh_disk("reboot.img", "8M")
    with lab.guest(drives=[lab.drive(disk)], options=()) as guest:
        guest.ready()
        guest.sh("echo before the reboot | dd of=/dev/vda conv=fsync 2>/dev/null")
        guest.type("reboot -f")
        guest.ready()
        assert guest.sh("head -n 1 /dev/vda").strip() == "before the reboot"
        assert guest.power_off() == 0


@case()
def panic_with_no_reboot_ends_the_vmm(lab):
    with lab.guest() as guest:
        guest.ready()
        guest.type("echo c > /proc/sysrq-trigger")
        guest.expect("Kernel panic")
        guest.exit_status()


@case()
def sigterm_ends_the_vmm(lab):
    with lab.guest() as guest:
        guest.ready()
        guest.job.kill(15)
        assert guest.exit_status() == 0

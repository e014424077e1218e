# SPDX-License-Identifier: Apache-2.0
"""Stock kernels come up to a shell, in each form and with each number of CPUs."""
import time

from tests.linux.runner import Cases

case = Cases()

BOOTS_IN_A_ROW = 20
ROUNDING = 0.05  # s: of uptime, and 1 % that a clock may be off


def boot_to_shell(lab, cpus=1, **options) -> None:
    with lab.guest(smp=cpus, **options) as guest:
        seen = guest.ready()
        assert seen["cpus"] == str(cpus), seen
        assert guest.sh("echo $((6 * 7))").strip() == "42"
        assert guest.sh("cat /sys/devices/system/cpu/online").strip() in ("0", f"0-{cpus - 1}")
        assert guest.power_off() == 0


@case(cpus=(1, 2, 4))
def boots_to_a_shell(lab, cpus):
    boot_to_shell(lab, cpus)


@case(flavour=("cloud", "generic"))
def boots_the_elf_image_of_a_kernel(lab, flavour):
    boot_to_shell(lab, cpus=2, kernel="vmlinux", flavour=flavour)


@case()
def boots_the_bzimage_of_a_large_kernel(lab):
    boot_to_shell(lab, cpus=2, flavour="generic")


@case(kernel=("vmlinuz", "vmlinux"))
def boots_without_acpi(lab, kernel):
    with lab.guest(smp=2, flavour="generic", kernel=kernel, machine="acpi=off") as guest:
        assert guest.ready()["cpus"] == "2"
        assert "ACPI" not in guest.sh("cat /proc/interrupts")
        guest.sh("grep ttyS0 /proc/interrupts")
        # Without ACPI a kernel has no way to switch the machine off.
        guest.type("reboot -f")
        assert guest.exit_status() == 0


@case()
def every_cpu_takes_timer_and_other_interrupts(lab):
    with lab.guest(smp=4) as guest:
        guest.ready()
        for cpu in range(4):
            guest.sh(f"taskset {1 << cpu:x} sh -c 'x=0; while [ $x -lt 2000 ]; do x=$((x+1)); done'")
        local = guest.sh("grep LOC: /proc/interrupts").split()[1:5]
        assert all(int(count) > 0 for count in local), local
        calls = guest.sh("grep -E 'CAL:|RES:' /proc/interrupts")
        assert any(int(count) > 0 for count in calls.split() if count.isdigit()), calls
        assert guest.power_off() == 0


def assert_equal_pace(inner, outer, pause) -> None:
    """Two clocks see `pause` take equally long, as far as reading them one after the other shows."""
    seen = []
    for step in (lambda: None, pause):
        step()
        seen.append((outer(), inner(), outer()))
    (before, start, started), (ending, end, after) = seen
    assert ending - started - ROUNDING < end - start < after - before + ROUNDING, seen


def uptime_of(run):
    return lambda: float(run("cut -d' ' -f1 /proc/uptime"))


@case()
def time_on_the_host_runs_as_on_this_machine(lab):
    # Guests of a host whose clocks run wild drown in timer interrupts: that proves nothing.
    assert_equal_pace(uptime_of(lab.host.check), time.monotonic, lambda: lab.host.check("sleep 2"))


@case()
def time_in_the_guest_runs_as_on_the_host(lab):
    with lab.guest() as guest:
        guest.ready()
        assert_equal_pace(uptime_of(guest.sh), uptime_of(lab.host.check),
                          lambda: guest.sh("sleep 3"))
        before = int(lab.host.check("date +%s"))
        there = int(guest.sh("date +%s"))
        assert before - 2 <= there <= int(lab.host.check("date +%s")) + 2, before


@case(limit=400)
def boots_time_after_time(lab):
    for turn in range(BOOTS_IN_A_ROW):
        with lab.guest(smp=(1, 2, 4)[turn % 3], append="guest.run=poweroff+-f") as guest:
            guest.ready()
            assert guest.exit_status() == 0, f"boot {turn + 1}"

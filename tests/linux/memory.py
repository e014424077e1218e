# SPDX-License-Identifier: Apache-2.0
"""RAM of every size is found, is where it should be, and keeps what is written to it."""
from tests.linux.runner import Cases

case = Cases()

MIB = 1 << 20
FOUR_GIB = 1 << 32


def ram_ranges(guest) -> list[tuple[int, int]]:
    lines = guest.sh("grep 'System RAM' /proc/iomem").splitlines()
    return [tuple(int(one, 16) for one in line.split(" : ")[0].strip().split("-"))
            for line in lines]


@case(size=(128, 1024, 3584, 6144))
def all_of_the_ram_is_there(lab, size):
    with lab.guest(memory=f"{size}M", smp=2) as guest:
        total = int(guest.ready()["memory"]) // 1024
        assert size * 0.9 - 64 < total <= size, f"{total} MiB of {size}"
        ranges = ram_ranges(guest)
        amount = sum(end - start + 1 for start, end in ranges)
        assert size * MIB - 2 * MIB < amount <= size * MIB, ranges
        assert any(end > FOUR_GIB for _, end in ranges) == (size > 3072), ranges
        assert guest.power_off() == 0


@case()
def ram_above_4_gib_keeps_what_is_written(lab):
    with lab.guest(memory="6G") as guest:
        guest.ready()
        # The kernel gives out high memory first.
        guest.sh("free=$(sed -n '/zone *Normal/,/nr_free/s/^ *pages free *//p' /proc/zoneinfo)")
        guest.sh("dd if=/dev/urandom of=/tmp/one bs=1M count=200 2>/dev/null", timeout=120)
        guest.sh("cp /tmp/one /tmp/two && cmp /tmp/one /tmp/two", timeout=120)
        taken = guest.sh("now=$(sed -n '/zone *Normal/,/nr_free/s/^ *pages free *//p' "
                         "/proc/zoneinfo); echo $((free - now))")
        assert int(taken) * 4096 > 300 * MIB, f"{taken.strip()} pages above 4 GiB are in use"
        assert guest.power_off() == 0

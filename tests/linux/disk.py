# SPDX-License-Identifier: Apache-2.0
"""virtio-blk: what is written is there, in the guest, after a remount, and in the file."""
from tests.linux.runner import Cases

case = Cases()

BULK = 128  # MiB, gone over several times
ODD_SIZE = 41 * 512
ODD_COUNT = 500


def md5(text: str) -> str:
    return text.split()[0]


def random_file(lab, mebibytes: int) -> tuple[str, str]:
    """A file of random bytes, made once for all cases, which leave it as it is; and its md5."""
    path = f"{lab.host.scratch}/random{mebibytes}.img"
    lab.host.check(f"[ -e {path}.md5 ] || {{ dd if=/dev/urandom of={path} bs=1M count={mebibytes} "
                   f"2>/dev/null && md5sum {path} > {path}.md5; }}", timeout=150)
    return path, md5(lab.host.check(["cat", f"{path}.md5"]))


def copy_of_root(lab) -> str:
    path = f"{lab.host.scratch}/root.ext4"
    lab.host.check(f"cp --sparse=always {lab.host.kit}/root.ext4 {path}")
    return path


@case(cpus=(1, 2))
def root_is_an_ext4_file_system_on_a_disk(lab, cpus):
    root = copy_of_root(lab)
    with lab.guest(smp=cpus, drives=[lab.drive(root)], append="guest.root=/dev/vda") as guest:
        assert guest.ready()["root"] == "ext4"
        guest.sh("mkdir /kept; cp /bin/busybox /kept/; echo words > /kept/words; sync")
        guest.sh("cmp /bin/busybox /kept/busybox")
        guest.sh("mount -o remount,ro /")
        assert guest.power_off() == 0
    lab.host.check(["e2fsck", "-fn", root])
    assert lab.host.check(["debugfs", "-R", "cat /kept/words", root]) == "words\n"


@case(direct=(True, False))
def what_was_synced_is_there_after_a_remount(lab, direct):
    disk = lab.fresh_disk("remount.img", "256M")
    lab.host.check(["mke2fs", "-q", "-t", "ext4", disk])
    with lab.guest(smp=2, drives=[lab.drive(disk, direct=direct)]) as guest:
        guest.ready()
        guest.sh("mount -t ext4 /dev/vda /mnt")
        guest.sh("dd if=/dev/urandom of=/mnt/data bs=1M count=48 conv=fsync 2>/dev/null")
        before = md5(guest.sh("md5sum /mnt/data"))
        guest.sh("umount /mnt && mount -t ext4 /dev/vda /mnt")
        assert md5(guest.sh("md5sum /mnt/data")) == before
        guest.sh("umount /mnt")
        assert guest.power_off() == 0
    lab.host.check(["e2fsck", "-fn", disk])
    lab.host.check(["debugfs", "-R", f"dump /data {lab.host.scratch}/data", disk])
    assert md5(lab.host.check(f"md5sum {lab.host.scratch}/data")) == before


@case()
def synced_writes_survive_a_killed_vmm(lab):
    disk = lab.fresh_disk("killed.img", "64M")
    with lab.guest(drives=[lab.drive(disk)]) as guest:
        guest.ready()
        guest.sh("dd if=/dev/urandom of=/tmp/data bs=1M count=16 2>/dev/null")
        guest.sh("dd if=/tmp/data of=/dev/vda bs=64k conv=fsync 2>/dev/null")
        before = md5(guest.sh("md5sum /tmp/data"))
        guest.job.kill()
        guest.exit_status()
    assert md5(lab.host.check(f"head -c 16M {disk} | md5sum")) == before


@case(limit=300, direct=(True, False))
def hundreds_of_megabytes_are_read_as_they_are(lab, direct):
    disk, expected = random_file(lab, BULK)
    with lab.guest(smp=2, drives=[lab.drive(disk, direct=direct)]) as guest:
        guest.ready()
        for how in ("bs=1M iflag=direct", "bs=1M"):
            read = guest.sh(f"dd if=/dev/vda {how} 2>/dev/null | md5sum", timeout=150)
            assert md5(read) == expected, how
        part = lab.host.check(f"head -c {ODD_SIZE * ODD_COUNT} {disk} | md5sum")
        read = guest.sh(f"dd if=/dev/vda bs={ODD_SIZE} count={ODD_COUNT} iflag=direct 2>/dev/null"
                        " | md5sum", timeout=150)
        assert md5(read) == md5(part)
        assert guest.power_off() == 0


@case(limit=300, direct=(True, False))
def hundreds_of_megabytes_are_written_as_they_are(lab, direct):
    source, expected = random_file(lab, BULK)
    targets = [lab.fresh_disk(f"target{number}.img", f"{BULK}M") for number in range(2)]
    drives = [lab.drive(path, direct=direct) for path in (source, *targets)]
    with lab.guest(smp=2, drives=drives) as guest:
        guest.ready()
        guest.sh("dd if=/dev/vda of=/dev/vdb bs=256k iflag=direct oflag=direct 2>/dev/null",
                 timeout=150)
        guest.sh("dd if=/dev/vda of=/dev/vdc bs=1M conv=fsync 2>/dev/null", timeout=150)
        for disk in ("vdb", "vdc"):
            guest.sh("echo 3 > /proc/sys/vm/drop_caches")
            assert md5(guest.sh(f"md5sum /dev/{disk}", timeout=150)) == expected, disk
        assert guest.power_off() == 0
    for target in targets:
        lab.host.check(["busybox", "cmp", source, target])


@case(limit=300)
def readers_and_writers_at_once_do_not_disturb_each_other(lab):
    parts, size = 4, 24
    disk = lab.fresh_disk("many.img", f"{parts * size}M")
    with lab.guest(smp=4, drives=[lab.drive(disk, device_options="num-queues=4")]) as guest:
        guest.ready()
        guest.sh(f"dd if=/dev/urandom of=/tmp/data bs=1M count={size} 2>/dev/null")
        expected = md5(guest.sh("md5sum /tmp/data"))
        script = (f"dd if=/tmp/data of=/dev/vda bs=64k seek=$((part * {size} * 16)) "
                  "oflag=direct conv=notrunc 2>/dev/null;"
                  f"dd if=/dev/vda bs=64k skip=$((part * {size} * 16)) count={size * 16} "
                  "iflag=direct 2>/dev/null | md5sum > /tmp/sum$part")
        guest.sh(f"for part in 0 1 2 3; do ( {script} ) & done; wait", timeout=150)
        sums = guest.sh("cat /tmp/sum?").splitlines()
        assert [md5(line) for line in sums] == [expected] * parts, sums
        assert guest.power_off() == 0


@case()
def a_readonly_disk_cannot_be_written(lab):
    disk, expected = random_file(lab, 2)
    with lab.guest(drives=[lab.drive(disk, "readonly=on")]) as guest:
        guest.ready()
        assert guest.sh("cat /sys/block/vda/ro").strip() == "1"
        status, _ = guest.sh_status("dd if=/dev/zero of=/dev/vda bs=4k count=1 conv=fsync")
        assert status != 0
        assert md5(guest.sh("md5sum /dev/vda")) == expected
        assert guest.power_off() == 0
    assert md5(lab.host.check(["md5sum", disk])) == expected


@case()
def serial_number_and_size_are_what_was_asked_for(lab):
    disk = lab.fresh_disk("serial.img", "5M")
    drives = [lab.drive(disk, device_options="serial=ABC-0123456789")]
    with lab.guest(drives=drives) as guest:
        guest.ready()
        assert guest.sh("cat /sys/block/vda/serial").strip() == "ABC-0123456789"
        assert int(guest.sh("cat /sys/block/vda/size")) == 5 * 2048
        assert guest.power_off() == 0


@case()
def as_many_queues_as_asked_for(lab):
    disk = lab.fresh_disk("queues.img", "4M")
    drives = [lab.drive(disk, device_options="num-queues=2,queue-size=64")]
    with lab.guest(smp=2, drives=drives) as guest:
        guest.ready()
        assert guest.sh("ls /sys/block/vda/mq").split() == ["0", "1"]
        guest.sh("dd if=/dev/vda of=/dev/null bs=64k iflag=direct 2>/dev/null")
        assert guest.power_off() == 0


@case()
def more_disks_than_the_old_limit_of_eleven(lab):
    count = 16
    disks = [lab.fresh_disk(f"many{number}.img", f"{number + 1}M") for number in range(count)]
    with lab.guest(drives=[lab.drive(disk) for disk in disks]) as guest:
        guest.ready()
        sizes = guest.sh("for disk in /sys/block/vd*; do cat $disk/size; done").split()
        assert sorted(map(int, sizes)) == [(number + 1) * 2048 for number in range(count)], sizes
        guest.sh("for disk in /dev/vd?; do dd if=$disk of=/dev/null bs=64k iflag=direct "
                 "2>/dev/null || exit 1; done")
        assert guest.power_off() == 0


@case()
def discarded_blocks_are_given_back(lab):
    source, _ = random_file(lab, 16)
    disk = lab.fresh_disk("discard.img", "0")
    lab.host.check(["cp", source, disk])
    with lab.guest(drives=[lab.drive(disk, "discard=unmap")]) as guest:
        guest.ready()
        guest.sh("blkdiscard -o 0 -l $((12 << 20)) /dev/vda")
        assert guest.power_off() == 0
    blocks = int(lab.host.check(["stat", "-c", "%b", disk]))
    assert blocks * 512 < 5 << 20, f"{blocks} blocks are still in use"


@case()
def a_disk_in_an_iothread_works(lab):
    disk, expected = random_file(lab, 32)
    drives = [lab.drive(disk, device_options="iothread=worker")]
    options = ("-no-reboot", "-object", "iothread,id=worker")
    with lab.guest(smp=2, drives=drives, options=options) as guest:
        guest.ready()
        assert md5(guest.sh("dd if=/dev/vda bs=1M iflag=direct 2>/dev/null | md5sum")) == expected
        assert guest.power_off() == 0


@case()
def a_disk_that_another_vmm_uses_is_refused(lab):
    disk = lab.fresh_disk("locked.img", "4M")
    with lab.guest(drives=[lab.drive(disk)]) as first:
        first.ready()
        with lab.guest(drives=[lab.drive(disk)]) as second:
            assert second.exit_status() != 0
            assert "locked.img" in second.job.errors(), second.job.errors()
        assert first.power_off() == 0


@case()
def a_throttled_disk_keeps_its_limit(lab):
    disk = lab.fresh_disk("slow.img", "4M")
    with lab.guest(drives=[lab.drive(disk, "throttling.iops-total=50")]) as guest:
        guest.ready()
        guest.sh("dd if=/dev/vda of=/dev/null bs=4k count=50 iflag=direct 2>/dev/null")
        before = float(guest.sh("cut -d' ' -f1 /proc/uptime"))
        guest.sh("dd if=/dev/vda of=/dev/null bs=4k count=150 iflag=direct 2>/dev/null")
        seconds = float(guest.sh("cut -d' ' -f1 /proc/uptime")) - before
        assert seconds > 1.8, f"150 reads at 50 a second took {seconds} s"
        assert guest.power_off() == 0


@case()
def random_numbers_come_from_the_host(lab):
    options = ("-no-reboot", "-object", "rng-random,id=source,filename=/dev/urandom",
               "-device", "virtio-rng-device,rng=source")
    with lab.guest(options=options) as guest:
        guest.ready()
        assert guest.sh("cat /sys/class/misc/hw_random/rng_current").startswith("virtio_rng")
        numbers = guest.sh("dd if=/dev/hwrng bs=512 count=4 2>/dev/null | md5sum;"
                           "dd if=/dev/hwrng bs=512 count=4 2>/dev/null | md5sum").splitlines()
        assert numbers[0] != numbers[1], numbers
        assert guest.power_off() == 0

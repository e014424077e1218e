# SPDX-License-Identifier: Apache-2.0
"""A booted guest is saved to a template, and goes on in other processes as if nothing had been."""
import itertools
import json

from tests.linux.runner import Cases

case = Cases()

GENERATIONS = 5
CLONES = 5
ROUNDS_UNDER_LOAD = 8

# Runs in the guest until it is told to stop; each line of its log is one good round.
LOAD = """
(
    n=0
    while [ ! -e /tmp/stop ]; do
        dd if=/dev/urandom of=/tmp/data bs=64k count=16 2>/dev/null
        sum=$(md5sum < /tmp/data)
        cp /tmp/data /tmp/copy
        dd if=/tmp/data of=/dev/vda bs=64k oflag=direct 2>/dev/null
        [ "$(md5sum < /tmp/copy)" = "$sum" ] || echo ram >> /tmp/wrong
        [ "$(dd if=/dev/vda bs=64k count=16 iflag=direct 2>/dev/null | md5sum)" = "$sum" ] ||
            echo disk >> /tmp/wrong
        n=$((n + 1)); echo $n > /tmp/rounds
    done
) > /dev/null 2>&1 &
(
    last=0
    while [ ! -e /tmp/stop ]; do
        read -r up _ < /proc/uptime
        now=$(echo "$up" | tr -d .)
        [ "$now" -ge "$last" ] || echo "clock $last $now" >> /tmp/wrong
        last=$now
    done
) > /dev/null 2>&1 &
"""


class Story:
    """One guest and the processes that it lives in, one after the other or at the same time."""

    numbers = itertools.count(1)

    def __init__(self, lab, **options):
        self.lab = lab
        self.options = options
        self.folder = f"{lab.host.scratch}/story{next(Story.numbers)}"
        lab.host.check(["mkdir", "-p", self.folder])
        lab.host.put("tests/rig/qmp.py", f"{lab.host.scratch}/qmp.py")

    def control(self, name):
        return f"{self.folder}/{name}.qmp"

    def guest(self, name, *more, **changes):
        words = ("-no-reboot", "-qmp", f"unix:{self.control(name)},server=on,wait=off", *more)
        return self.lab.guest(**{**self.options, "options": words, **changes})

    def restored(self, name, template, *more, **changes):
        """The shell in it is as the saved guest's was."""
        guest = self.guest(name, "-incoming", f"file:{template}", *more, **changes)
        guest.quiet = True
        return guest

    def template(self, name="template"):
        return f"{self.folder}/{name}"

    def ask(self, name, word, *rest):
        command = ["python3", f"{self.lab.host.scratch}/qmp.py", self.control(name), word, *rest]
        return json.loads(self.lab.host.check(command))


def md5_of_template(story):
    return story.lab.host.check(f"cat {story.template()}/state {story.template()}/memory | md5sum")


@case(cpus=(1, 2, 4))
def a_saved_guest_goes_on_in_a_new_process(lab, cpus):
    story = Story(lab, smp=cpus)
    with story.guest("first") as guest:
        guest.ready()
        guest.sh("kept=words; mkdir /tmp/kept; dd if=/dev/urandom of=/tmp/kept/data bs=1M count=8")
        before = guest.sh("md5sum /tmp/kept/data")
        up = float(guest.sh("cut -d' ' -f1 /proc/uptime"))
        story.ask("first", "freeze", story.template())
        assert guest.exit_status() == 0
    with story.restored("second", story.template()) as guest:
        assert guest.sh("echo $kept").strip() == "words"
        assert guest.sh("md5sum /tmp/kept/data") == before
        assert float(guest.sh("cut -d' ' -f1 /proc/uptime")) >= up
        for cpu in range(cpus):
            guest.sh(f"taskset {1 << cpu:x} true")
        assert guest.power_off() == 0


@case()
def the_saved_vm_itself_can_go_on(lab):
    disk = lab.fresh_disk("goes-on.img", "8M")
    story = Story(lab, smp=2, drives=[lab.drive(disk)])
    with story.guest("first") as guest:
        guest.ready()
        for turn in range(2):
            guest.sh("true")
            story.ask("first", "save", story.template())
            assert story.ask("first", "query-status")["status"] == "postmigrate"
            story.ask("first", "cont")
            guest.sh(f"echo turn {turn} | dd of=/dev/vda conv=fsync 2>/dev/null")
            assert guest.sh("head -n 1 /dev/vda").strip() == f"turn {turn}"
        assert guest.power_off() == 0


@case()
def a_template_alone_is_enough(lab):
    story = Story(lab, smp=2)
    with story.guest("first") as guest:
        guest.ready()
        guest.sh("kept=words")
        story.ask("first", "freeze", story.template())
        guest.exit_status()
    with story.restored("second", story.template()) as guest:
        argv = [lab.vmm.program, "-incoming", f"file:{story.template()}", "-serial", "stdio"]
        guest.job.kill()
        guest.exit_status()
        guest.job = lab.host.spawn(argv)
        assert guest.sh("echo $kept").strip() == "words"
        assert guest.sh("nproc").strip() == "2"
        assert guest.power_off() == 0


@case(limit=300)
def generations_follow_each_other(lab):
    story = Story(lab, smp=2)
    with story.guest("g0") as guest:
        guest.ready()
        guest.sh("n=0")
        story.ask("g0", "freeze", story.template("t0"))
        guest.exit_status()
    for n in range(1, GENERATIONS + 1):
        with story.restored(f"g{n}", story.template(f"t{n - 1}")) as guest:
            assert guest.sh("n=$((n + 1)); echo $n").strip() == str(n)
            story.ask(f"g{n}", "freeze", story.template(f"t{n}"))
            guest.exit_status()


@case(limit=300)
def clones_share_a_template_and_leave_it_as_it_is(lab):
    story = Story(lab)
    with story.guest("first") as guest:
        guest.ready()
        guest.sh("true")
        story.ask("first", "freeze", story.template())
        guest.exit_status()
    before = md5_of_template(story)
    clones = [story.restored(f"clone{n}", story.template()) for n in range(CLONES)]
    try:
        for clone in clones:
            clone.__enter__()
        for n, clone in enumerate(clones):
            clone.sh(f"me={n}; dd if=/dev/urandom of=/tmp/mine bs=1M count=4 2>/dev/null")
        assert [clone.sh("echo $me").strip() for clone in clones] == list("01234")
        for clone in clones:
            assert clone.power_off() == 0
    finally:
        for clone in clones:
            clone.__exit__()
    assert md5_of_template(story) == before


@case()
def a_sleeper_wakes_in_the_new_process(lab):
    """A guest without a tick has nothing but its deadline timer to wake it."""
    story = Story(lab)
    with story.guest("first") as guest:
        guest.ready()
        guest.sh("true")
        guest.type("sleep 2; echo '#'awake")
        story.ask("first", "freeze", story.template())
        guest.exit_status()
    with story.restored("second", story.template()) as guest:
        guest.expect("#awake")
        guest.type("")
        assert guest.power_off() == 0


@case(limit=600)
def load_does_not_notice_that_it_moves(lab):
    disk = lab.fresh_disk("load.img", "8M")
    story = Story(lab, smp=2, drives=[lab.drive(disk)])
    guest = story.guest("r0")
    with guest:
        guest.ready()
        guest.sh(LOAD)
        guest.sh("while [ ! -e /tmp/rounds ]; do sleep 0.1; done")
        story.ask("r0", "freeze", story.template())
        guest.exit_status()
    rounds = 0
    for turn in range(1, ROUNDS_UNDER_LOAD + 1):
        with story.restored(f"r{turn}", story.template()) as guest:
            guest.sh("n=$(cat /tmp/rounds); while [ $(cat /tmp/rounds) -le $n ]; do sleep 0.1; done")
            now = int(guest.sh("cat /tmp/rounds"))
            assert now > rounds, (now, rounds)
            rounds = now
            assert guest.sh("cat /tmp/wrong 2>/dev/null; true") == ""
            if turn < ROUNDS_UNDER_LOAD:
                story.ask(f"r{turn}", "freeze", story.template())
                guest.exit_status()
                continue
            guest.sh("touch /tmp/stop; wait")
            assert guest.sh("cat /tmp/wrong 2>/dev/null; true") == ""
            assert guest.power_off() == 0


@case()
def ram_above_the_hole_comes_along_and_holes_stay_holes(lab):
    story = Story(lab, memory="6G")
    with story.guest("first") as guest:
        guest.ready()
        guest.sh("kept=words; mount -o remount,size=5G /tmp; dd if=/dev/urandom of=/tmp/data bs=1M "
                 "count=32 2>/dev/null")
        before = guest.sh("md5sum /tmp/data")
        story.ask("first", "freeze", story.template())
        guest.exit_status()
    blocks = int(lab.host.check(["stat", "-c", "%b", f"{story.template()}/memory"]))
    assert blocks * 512 < 512 << 20, f"{blocks * 512} bytes on disk"
    with story.restored("second", story.template()) as guest:
        assert guest.sh("md5sum /tmp/data") == before
        assert guest.power_off() == 0


@case()
def a_restored_guest_reboots_in_place(lab):
    story = Story(lab, smp=2, append="reboot=k")
    with story.guest("first") as guest:
        guest.ready()
        guest.sh("true")
        story.ask("first", "freeze", story.template())
        guest.exit_status()
    with story.restored("second", story.template()) as guest:
        guest.sh("true")
        guest.job.kill()
        guest.exit_status()
    words = ("-qmp", f"unix:{story.control('third')},server=on,wait=off",
             "-incoming", f"file:{story.template()}")
    with lab.guest(**story.options, options=words) as guest:
        guest.quiet = True
        guest.type("reboot -f")
        assert guest.ready()["cpus"] == "2"
        assert guest.power_off() == 0

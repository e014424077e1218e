# SPDX-License-Identifier: Apache-2.0
"""VMs whose RAM comes on demand, in a real stencil that needs no KVM: lazy_restore.py STENCIL

What such a VM says of its memory at any moment is what the template has, whoever asks; and a
template that breaks under it stops it, and nothing else.  Status 77, with the reason, where the host
has no userfaultfd for us.
"""
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "rig"))
from qmp import Qmp, QmpError  # noqa: E402

LIMIT = 120
SKIP = 77
MIB = 1 << 20
RAM = 64 * MIB
PAGE = 4096
TABLES = slice(0xe0000, 0x100000)  # for the guest; a restore writes into them that it was one
DATA = [(0, 300 * 1024, 0x11), (5 * MIB, 3 * MIB, 0x22), (RAM - 8 * PAGE, 8 * PAGE, 0x33)]
PRIVATE = ()
SHARED = ("-machine", "mem-share=on")


def check(ok, text):
    if not ok:
        raise SystemExit(f"lazy_restore: {text}")


class Vm:
    """A process with a control channel, and perhaps one for whoever plays the guest."""

    count = 0

    def __init__(self, stencil, folder, *words):
        Vm.count += 1
        self.control = f"{folder}/qmp{Vm.count}"
        self.guest = f"{folder}/qtest{Vm.count}"
        self.child = subprocess.Popen(
            [stencil, "-accel", "qtest", "-display", "none",
             "-qmp", f"unix:{self.control},server=on,wait=off",
             "-qtest", f"unix:{self.guest},server=on,wait=off", *words],
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.folder = folder
        self.qmp = None

    def __enter__(self):
        self.qmp = Qmp(self.control, LIMIT)
        return self

    def __exit__(self, *_):
        self.child.kill()
        self.child.communicate()

    def play(self, *lines):
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(LIMIT)
            link.connect(self.guest)
            with link.makefile("rw", encoding="ascii") as file:
                for line in lines:
                    file.write(line + "\n")
                    file.flush()
                    check(file.readline().startswith("OK"), line)

    def memory(self):
        path = f"{self.folder}/saved"
        self.qmp.execute("pmemsave", val=0, size=RAM, filename=path)
        memory = bytearray(Path(path).read_bytes())
        memory[TABLES] = bytes(TABLES.stop - TABLES.start)
        return memory

    def threads(self):
        return [(task / "comm").read_text(encoding="utf-8").strip()
                for task in Path(f"/proc/{self.child.pid}/task").iterdir()]

    def event(self, name):
        return self.qmp.wait_event(lambda event: event["event"] == name)

    def end(self):
        self.qmp.execute("quit")
        _, said = self.child.communicate(timeout=LIMIT)
        check(self.child.returncode == 0, f"status {self.child.returncode}: {said}")


def refused(command, *arguments, **words):
    try:
        command(*arguments, **words)
    except QmpError as error:
        return str(error)
    return ""


def content():
    memory = bytearray(RAM)
    for start, length, byte in DATA:
        memory[start:start + length] = bytes([byte]) * length
    return memory


def make_template(stencil, folder, template):
    with Vm(stencil, folder, "-machine", "microvm", "-m", "64M") as vm:
        vm.play(*(f"memset {start} {length} {byte}" for start, length, byte in DATA))
        vm.qmp.freeze(template)
        vm.child.communicate(timeout=LIMIT)


def is_the_template(stencil, folder, template, kind):
    """Whoever looks, and whatever becomes of it; then onto the template that it runs from."""
    incoming = f"file:{template},memory=lazy"
    with Vm(stencil, folder, *kind, "-incoming", incoming) as vm:
        vm.end()  # in the middle of it
    with Vm(stencil, folder, *kind, "-incoming", incoming) as vm:
        check(vm.memory() == content(), f"{kind}: what is filled is not what was saved")
    with Vm(stencil, folder, *kind, "-incoming", f"{incoming},fill=off") as vm:
        check("ram-fill" in vm.threads(), f"{kind}: who answers? {vm.threads()}")
        vm.play(f"memset {6 * MIB} 4096 {0x77}")
        vm.qmp.freeze(template)
        vm.child.communicate(timeout=LIMIT)
    expected = content()
    expected[6 * MIB:6 * MIB + 4096] = bytes([0x77]) * 4096
    with Vm(stencil, folder, "-machine", "mem-share=off",
            "-incoming", f"file:{template},memory=map") as vm:
        check("ram-fill" not in vm.threads(), "RAM that is mapped needs nobody")
        check(vm.memory() == expected, f"{kind}: a save of what was not filled lost something")
    make_template(stencil, folder, template)


def is_zero_after_a_reset(stencil, folder, template, kind):
    with Vm(stencil, folder, *kind, "-incoming", f"file:{template},memory=lazy,fill=off") as vm:
        vm.qmp.execute("dump-guest-memory", paging=False, protocol=f"file:{folder}/core")
        core = Path(f"{folder}/core").read_bytes()
        check(bytes([0x22]) * 3 * MIB in core, f"{kind}: not in the dump")
        vm.qmp.execute("system_reset")
        check("ram-fill" not in vm.threads(), f"{kind}: a reset leaves nothing to fill")
        memory = vm.memory()
        check(memory[5 * MIB:8 * MIB] == bytes(3 * MIB), f"{kind}: a reset keeps what was saved")
        vm.end()


def waits_for_it(stencil, folder, template, kind):
    """Into a VM that was there before its template, after one that is none."""
    with Vm(stencil, folder, "-machine", "microvm", "-m", "64M", *kind,
            "-incoming", "defer,memory=lazy,fill=off") as vm:
        check(refused(vm.qmp.execute, "migrate-incoming", uri=f"file:{folder}/none"), "no template")
        vm.play(*(f"memset {start} {MIB} 238" for start in range(0, RAM, MIB)))
        vm.qmp.execute("migrate-incoming", uri=f"file:{template}")
        check("ram-fill" in vm.threads(), f"{kind}: in place: {vm.threads()}")
        check(vm.memory() == content(), f"{kind}: in place it is not what was saved")
        vm.end()


def stops_when_it_breaks(stencil, folder, template, kind):
    with Vm(stencil, folder, *kind, "-incoming", f"file:{template},memory=lazy,fill=off") as vm:
        os.truncate(f"{template}/memory", 6 * MIB)
        vm.memory()
        event = vm.event("RAM_FAILED")
        check("memory ram: it cannot be filled: " in event["data"]["reason"] and
              f"{template}/memory: ends at {6 * MIB}" in event["data"]["reason"], event)
        status = vm.qmp.execute("query-status")["status"]
        check(status == "internal-error", f"{kind}: it is {status}")
        check("reset it first" in refused(vm.qmp.save, f"{folder}/broken"), "it can be saved")
        check(refused(vm.qmp.execute, "dump-guest-memory", paging=False,
                      protocol=f"file:{folder}/core"), "it can be dumped")
        vm.qmp.execute("system_reset")
        status = vm.qmp.execute("query-status")["status"]
        check(status == "paused", f"{kind}: after a reset it is {status}")
        vm.qmp.execute("cont")
        vm.qmp.save(f"{folder}/mended")
        vm.end()
    make_template(stencil, folder, template)


def chosen_by_itself(stencil, folder, template):
    with Vm(stencil, folder, *SHARED, "-incoming", f"file:{template},fill=off") as vm:
        check("ram-fill" in vm.threads(), f"shared RAM is not lazy: {vm.threads()}")
        check(vm.memory() == content(), "shared RAM is not what was saved")
        vm.end()


def main():
    stencil = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        template = f"{folder}/template"
        make_template(stencil, folder, template)
        # Comes to nothing in any case, but for a reason that comes later.
        tried = subprocess.run(
            [stencil, "-accel", "qtest", "-incoming", f"file:{template},memory=lazy",
             "-gdb", f"unix:{folder}/none/gdb,server=on"], stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True, timeout=LIMIT, check=False)
        if "userfaultfd" in tried.stderr:
            print(f"skipped: {tried.stderr.strip()}")
            raise SystemExit(SKIP)
        for kind in (PRIVATE, SHARED):
            is_the_template(stencil, folder, template, kind)
            is_zero_after_a_reset(stencil, folder, template, kind)
            waits_for_it(stencil, folder, template, kind)
            stops_when_it_breaks(stencil, folder, template, kind)
        chosen_by_itself(stencil, folder, template)


main()

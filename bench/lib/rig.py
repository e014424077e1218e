# SPDX-License-Identifier: Apache-2.0
"""Peers side by side in one emulated host: there an ordinary kernel runs as a guest on any machine.

Times in there are those of an emulator and mean nothing by themselves; ratios do.
"""
import tempfile
from pathlib import Path

from bench.lib import machines
from bench.lib.context import launch_command, read_timings
from tests.rig.host import EmulatedHost
from tests.rig.initramfs import write_initramfs

CONSOLE = "console=ttyS0 panic=-1 quiet"
READY = "guest: ready"
DONE = r"guest: done (\d+)"


# One virtual nanosecond for every half instruction: the emulated host's clock then counts what it
# executes and not what this machine is busy with.
COUNTED = ("-icount", "shift=1,sleep=off", "-rtc", "base=2024-01-01,clock=vm")


class Rig(EmulatedHost):
    """With counted=True its clock repeats to within a few per cent on the busiest machine, but it
    has one processor, and its disks are still as fast as they happen to be."""

    def __init__(self, context, counted=False):
        super().__init__(context.logs / "rig", smp=1 if counted else 2,
                         append="highres=off" if counted else "",
                         extra=COUNTED if counted else ())
        self.counted = counted
        self.context = context
        self.has_stencil = context.stencil is not None

    def command(self, kit, here) -> list:
        words = super().command(kit, here)
        if self.counted:
            words[words.index("-accel") + 1] = "tcg"
        return words

    def equip(self) -> None:
        self.put(self.context.tool("launch"), self.scratch / "launch")
        if self.has_stencil:
            self.put(self.context.stencil, self.scratch / "stencil")

    def guest(self, vmm: str, kernel: str, initrd, run="", more=()) -> list:
        """The command that boots a stock kernel; vmm is stencil or one of QEMU's machines."""
        append = f"{CONSOLE} guest.run={run.replace(' ', '+')}" if run else CONSOLE
        options = ["-kernel", self.kit / f"{kernel}-cloud", "-initrd", initrd, "-append", append,
                   "-serial", "stdio", "-no-reboot", *more]
        if vmm == "stencil":
            return machines.stencil(self.scratch / "stencil", *options)
        return machines.qemu("kvm", *options, machine=vmm)

    def time(self, cases: list, runs: int, timeout_s: int) -> dict:
        """As Context.time, inside."""
        command = launch_command(self.scratch / "launch", cases, self.context.runs or runs,
                                 timeout_s * 1000)
        return read_timings(self.run(command, timeout=timeout_s * len(cases) * (runs + 2)).stdout)

    def add_to_initrd(self, flavour: str, program: Path) -> Path:
        """An initramfs that also has a program in its /bin."""
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "root" / "bin" / program.name
            target.parent.mkdir(parents=True)
            target.write_bytes(program.read_bytes())
            target.chmod(0o755)
            write_initramfs(Path(folder) / "root", Path(folder) / "more.gz")
            self.put(Path(folder) / "more.gz", self.scratch / "more.gz")
        image = self.scratch / f"initrd-{program.name}.gz"
        self.check(f"cat {self.kit}/initrd-{flavour}.gz {self.scratch}/more.gz > {image}")
        return image

    def boot_and_run(self, command: list, timeout: float) -> str:
        """Boots a guest that runs one command, and gives all that its console said."""
        job = self.spawn(command)
        try:
            status = job.expect(DONE, timeout).group(1)
        except (AssertionError, TimeoutError) as error:
            raise RuntimeError(f"{error}\n{job.output()}{job.errors()}") from error
        finally:
            job.kill()
        if status != b"0":
            raise RuntimeError(f"the guest's command failed:\n{job.output()}")
        return job.output()

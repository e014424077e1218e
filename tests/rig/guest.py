# SPDX-License-Identifier: Apache-2.0
"""A Linux guest on a host, driven through its serial console.

    with Guest(host, vmm, smp=2, drives=[Drive("/scratch/root.ext4")]) as guest:
        guest.ready()                    # waits for guest-rc's line, gives what it says
        guest.sh("cat /proc/cpuinfo")    # types a command to the guest's shell, gives its output
        guest.type("poweroff -f")
        status = guest.exit_status()

The guest side is the initramfs made from guest-init and guest-rc.
"""
import itertools
import re
from dataclasses import dataclass, field
from pathlib import Path

from tests.rig.job import HostGone

COMMAND_LINE = "console=ttyS0 panic=1 quiet"
BOOT_LIMIT = 90.0
COMMAND_LIMIT = 60.0
EXIT_LIMIT = 30.0
NOISE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass
class Drive:
    """One virtio-blk disk, in the words that every VMM of QEMU's dialect knows."""

    file: str
    options: str = ""         # more of -drive
    device_options: str = ""  # more of -device

    def words(self, number: int) -> list[str]:
        name = f"disk{number}"
        drive = f"file={self.file},id={name},if=none,format=raw"
        device = f"virtio-blk-device,drive={name},id=blk{number}"
        return ["-drive", ",".join(filter(None, (drive, self.options))),
                "-device", ",".join(filter(None, (device, self.device_options)))]


@dataclass
class Guest:
    host: object
    vmm: object
    smp: object = 1
    memory: str = "256M"
    flavour: str = "cloud"
    kernel: str = "vmlinuz"
    append: str = ""
    drives: list = field(default_factory=list)
    machine: str = ""  # properties of -machine
    options: tuple = ("-no-reboot",)
    name: str = "guest"
    numbers = itertools.count(1)

    def __post_init__(self):
        self.job = None
        self.commands = itertools.count(1)
        self.quiet = False

    def command(self) -> list[str]:
        kit = self.host.kit
        words = [self.vmm.program, *self.vmm.options, "-machine", ",".join(filter(None, (self.vmm.microvm, self.machine))),
                 "-cpu", "host", "-smp", str(self.smp),
                 "-m", self.memory, "-kernel", f"{kit}/{self.kernel}-{self.flavour}",
                 "-initrd", f"{kit}/initrd-{self.flavour}.gz",
                 "-append", " ".join(filter(None, (COMMAND_LINE, self.host.guest_words,
                                                   self.vmm.append, self.append))),
                 "-serial", "stdio"]
        for number, drive in enumerate(self.drives):
            words += drive.words(number)
        return words + list(self.options)

    def __enter__(self):
        self.job = self.host.spawn(self.command())
        return self

    def __exit__(self, *_):
        if self.job.ended is None and self.job.lost is None:
            self.job.kill()
            self.wait_for_death()
        folder = Path(self.host.logs) / "guests"
        folder.mkdir(exist_ok=True)
        stem = f"{next(Guest.numbers):03}-{re.sub('[^a-z0-9]+', '-', self.name.lower())[:60]}"
        (folder / f"{stem}.console").write_bytes(self.job.output_bytes())
        (folder / f"{stem}.stderr").write_text(self.job.errors(), encoding="utf-8")

    def wait_for_death(self) -> None:
        try:
            self.job.wait(EXIT_LIMIT)
        except TimeoutError as error:
            self.host.examine(f"cannot kill {self.job.what}")
            raise HostGone(f"a killed process does not end: {error}") from error

    # -- the console

    def expect(self, pattern: str, timeout: float = COMMAND_LIMIT) -> re.Match:
        return self.job.expect(pattern, timeout)

    def ready(self, timeout: float = BOOT_LIMIT) -> dict[str, str]:
        """Waits until the guest's first program speaks; what it says as a table."""
        line = self.expect(r"guest: ready ([^\r\n]*)\r?\n", timeout).group(1).decode()
        self.quiet = False
        return dict(word.split("=", 1) for word in line.split() if "=" in word)

    def type(self, line: str) -> None:
        self.job.write(line.encode() + b"\n")

    def sh_status(self, command: str, timeout: float = COMMAND_LIMIT) -> tuple[int, str]:
        """Types a command to the shell; its exit status and output."""
        if not self.quiet:
            self.expect("# ")
            self.type("stty -echo; dmesg -n 1; PS1=; echo '#'quiet")
            self.expect("#quiet\r?\n")
            self.quiet = True
        # The mark is typed in two pieces, so that an echo of it is not taken for it.
        mark = f"end{next(self.commands)}"
        start = self.job.position
        self.type(f"{command}\necho '#''{mark}' $?")
        found = self.expect(rf"#{mark} (\d+)\r?\n", timeout)
        text = self.job.output_bytes()[start:found.start()].decode(errors="replace")
        return int(found.group(1)), NOISE.sub("", text).replace("\r", "")

    def sh(self, command: str, timeout: float = COMMAND_LIMIT) -> str:
        status, text = self.sh_status(command, timeout)
        if status != 0:
            raise AssertionError(f"in the guest: {command}: status {status}\n{text}")
        return text

    # -- its end

    def exit_status(self, timeout: float = EXIT_LIMIT) -> int:
        """Waits for the VMM to end."""
        return self.job.wait(timeout)

    def power_off(self) -> int:
        self.type("poweroff -f")
        return self.exit_status()

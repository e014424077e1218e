# SPDX-License-Identifier: Apache-2.0
"""Freezes a booted guest into a template, starts five VMs from it and tells how long each took.

    timed_clones.py STENCIL KIT [WORD...]

Runs where the guests run, beside qmp.py.
"""
import os
import subprocess
import sys
import tempfile
import time

from qmp import Qmp

CLONES = 5
READY = b"guest: ready"
PROMPT = b"# "


class Vm:
    """A guest whose console is a pair of pipes."""

    def __init__(self, command):
        self.started = time.monotonic()
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      bufsize=0)

    def expect(self, mark: bytes) -> None:
        seen = b""
        while mark not in seen:
            part = os.read(self.child.stdout.fileno(), 4096)
            if not part:
                raise SystemExit(f"the guest ended with status {self.child.wait()}")
            seen += part

    def ask(self) -> float:
        """Milliseconds from exec until the guest's shell has answered."""
        self.child.stdin.write(b"echo '#'$((6 * 7))\n")
        self.expect(b"#42")
        return 1000 * (time.monotonic() - self.started)

    def end(self) -> None:
        self.child.kill()
        self.child.wait()


def say(text: str) -> None:
    print(f"--- {text} ---\r", flush=True)


def main() -> int:
    stencil, kit, words = sys.argv[1], sys.argv[2], sys.argv[3:]
    with tempfile.TemporaryDirectory(prefix="quickstart-", dir=".") as folder:
        control, template = f"{folder}/qmp", f"{folder}/template"
        append = " ".join(["console=ttyS0", "reboot=k", "panic=1", "quiet", *words])
        first = Vm([stencil, "-machine", "microvm", "-cpu", "host", "-m", "256M",
                    "-kernel", f"{kit}/vmlinux-cloud", "-initrd", f"{kit}/initrd-cloud.gz",
                    "-append", append, "-serial", "stdio",
                    "-qmp", f"unix:{control},server=on,wait=off"])
        first.expect(READY)
        first.expect(PROMPT)
        say(f"booted to a shell that answers: {first.ask():.0f} ms")
        figures = Qmp(control).freeze(template)
        first.child.wait()
        size = os.stat(f"{template}/memory").st_blocks * 512
        say(f"frozen into a template: {figures['total-time']} ms, {size >> 20} MiB on disk")
        clones = []
        for number in range(CLONES):
            clones.append(Vm([stencil, "-incoming", f"file:{template}", "-serial", "stdio"]))
            say(f"clone {number + 1}: exec to the shell's answer {clones[-1].ask():.1f} ms")
        for clone in clones:
            clone.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""The programs that can run a guest.  They share QEMU's dialect; here is all that differs."""
import os
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
BUILT = ("build/stencil", "build/machine/stencil")


@dataclass(frozen=True)
class Vmm:
    name: str
    program: str       # as the host sees it
    microvm: str       # -machine
    options: tuple     # that leave a machine with a console only
    append: str        # words for the kernel's command line
    direct: tuple      # of -drive: through the host's page cache, around it


def built_stencil() -> Path:
    """The stencil to test: $STENCIL, or what the build folder has."""
    candidates = [os.environ["STENCIL"]] if "STENCIL" in os.environ else BUILT
    for candidate in candidates:
        path = TOP / candidate
        if path.is_file():
            return path
    raise SystemExit(f"no stencil at {' or '.join(candidates)}: build it, or say where with "
                     "STENCIL=")


def stencil_on(host, binary=None) -> Vmm:
    """Brings a stencil onto the host, the built one unless another is given."""
    program = host.scratch / "stencil"
    host.put(binary or built_stencil(), program)
    return Vmm("stencil", str(program), "microvm", (), "reboot=k", ("direct=off", "direct=on"))


def qemu() -> Vmm:
    """The peer."""
    # Its microvm has no keyboard controller to reset by.
    return Vmm("qemu", "qemu-system-x86_64", "microvm,accel=kvm,rtc=on",
               ("-nodefaults", "-no-user-config", "-display", "none"), "reboot=t",
               ("cache=writeback", "cache=none"))

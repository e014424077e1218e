# SPDX-License-Identifier: Apache-2.0
"""What the AArch64 build needs besides Debian's cross compiler: libraries and a Meson cross file.

The libraries are Debian's own for that architecture, unpacked into the cache and never installed:
on the host itself some of them would replace those of the host's architecture.
"""
import shutil
import subprocess
from pathlib import Path

from tests.rig.cache import cached, recipe_key

SUITE = "bookworm"
PACKAGES = ("libc6-dev", "libgcc-12-dev", "libglib2.0-dev", "libjson-c-dev", "libfdt-dev",
            "liburing-dev", "check", "libsubunit-dev")

CROSS_FILE = """\
# Written by tests/arm/sysroot.py.
[constants]
sysroot = '{sysroot}'

[binaries]
c = ['aarch64-linux-gnu-gcc', '--sysroot=' + sysroot]
ar = 'aarch64-linux-gnu-gcc-ar'
strip = 'aarch64-linux-gnu-strip'
pkgconfig = 'pkg-config'
exe_wrapper = ['qemu-aarch64-static', '-L', sysroot]

[properties]
sys_root = sysroot
pkg_config_libdir = [sysroot / 'usr/lib/aarch64-linux-gnu/pkgconfig', sysroot / 'usr/share/pkgconfig']

[host_machine]
system = 'linux'
cpu_family = 'aarch64'
cpu = 'aarch64'
endian = 'little'
"""


def sysroot() -> Path:
    def build(to: Path) -> None:
        command = ["mmdebstrap", "--quiet", "--mode=chrootless", "--variant=extract",
                   "--architectures=arm64", "--include=" + ",".join(PACKAGES), SUITE,
                   str(to / "root")]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                              timeout=300, check=False)
        if done.returncode != 0:
            raise SystemExit(f"cannot unpack the AArch64 libraries of Debian {SUITE}:\n"
                             f"{done.stderr}")
        # Copying a device node never ends; and the emulator would open these for the host's.
        shutil.rmtree(to / "root" / "dev")

    return cached("arm64-sysroot", recipe_key(SUITE, *PACKAGES), build) / "root"


def write_cross_file(path: Path) -> bool:
    """True if the file is new or says something new, so that a build made with it is stale."""
    text = CROSS_FILE.format(sysroot=sysroot())
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return True

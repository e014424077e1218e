# SPDX-License-Identifier: Apache-2.0
"""Chooses where guests run: on this machine if its KVM can boot a stock kernel, else in the rig.

Some machines offer a KVM that cannot run an ordinary kernel, so it is tried with one.  The answer
holds until the machine restarts.
"""
import os
import selectors
import subprocess
import time

from tests.rig import artifacts
from tests.rig.cache import cache_folder
from tests.rig.host import EmulatedHost, Host, ThisMachine

KVM = "/dev/kvm"
PROBE_LIMIT = 20.0
BOOTED = b"guest: ready"
FAILED = (b"KVM internal error", b"Could not access KVM", b"failed to initialize kvm")


def boot_here() -> bool:
    kit = artifacts.guest_kit()
    command = ["qemu-system-x86_64", "-M", "microvm,accel=kvm", "-cpu", "host", "-m", "128M",
               "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
               "-serial", "stdio", "-kernel", kit / "vmlinuz-cloud",
               "-initrd", kit / "initrd-cloud.gz",
               "-append", "console=ttyS0 panic=-1 quiet guest.run=poweroff+-f"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT) as qemu:
        try:
            return wait_for_guest(qemu.stdout.fileno())
        finally:
            qemu.kill()


def wait_for_guest(fd: int) -> bool:
    text = b""
    deadline = time.monotonic() + PROBE_LIMIT
    with selectors.DefaultSelector() as selector:
        selector.register(fd, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0 and selector.select(left):
            part = os.read(fd, 4096)
            text += part
            if BOOTED in text:
                return True
            if not part or any(mark in text for mark in FAILED):
                return False
    return False


def kvm_runs_linux() -> bool:
    if not os.access(KVM, os.R_OK | os.W_OK):
        return False
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        known = cache_folder() / f"kvm-{file.read().strip()}"
    if not known.exists():
        answer = boot_here()
        for old in cache_folder().glob("kvm-*"):
            old.unlink(missing_ok=True)
        known.write_text("yes" if answer else "no", encoding="ascii")
    return known.read_text(encoding="ascii") == "yes"


def open_host(logs, **options) -> Host:
    """A host to use in a `with` statement; the options are for an emulated one.

    RIG=emulated or RIG=here in the environment decides by hand.
    """
    wanted = os.environ.get("RIG") or ("here" if kvm_runs_linux() else "emulated")
    return ThisMachine(logs) if wanted == "here" else EmulatedHost(logs, **options)

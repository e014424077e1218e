# SPDX-License-Identifier: Apache-2.0
"""Everything that the rig and its guests run, made from Debian packages and kept in the cache.

Packages are fetched and unpacked by mmdebstrap, never installed: no maintainer script runs and
no privilege is needed.  Each function gives a folder:

    kernel(flavour)   vmlinuz, vmlinux (the ELF image inside it), config, lib/modules
    busybox()         busybox, one static program
    guest_kit()       what a guest boots: per kernel flavour vmlinuz-F, vmlinux-F, initrd-F.gz; root.ext4
    host_kit()        what the emulated host boots: vmlinuz, initrd.gz, root.ext4, kit.ext4

By hand, from the top of the repository:

    python3 -m tests.rig.artifacts                      build all, print where it is
    python3 -m tests.rig.artifacts guest-kernel DIR     link a stock kernel and initramfs into DIR
"""
import argparse
import compileall
import os
import py_compile
import shutil
import subprocess
import sys
from pathlib import Path

from tests.rig.cache import cached, recipe_key
from tests.rig.initramfs import write_initramfs
from tests.rig.kernel import ModuleTree, take_kernel

SUITE = "bookworm"
HERE = Path(__file__).parent

# "cloud" is small and starts fast; "generic" also reads an MP table, which "cloud" does not.
KERNELS = {"cloud": "linux-image-cloud-amd64", "generic": "linux-image-amd64"}
GUEST_MODULES = ("virtio_mmio", "virtio_pci", "virtio_blk", "virtio_net", "virtio_console",
                 "virtio_rng", "virtio_balloon", "vmw_vsock_virtio_transport", "virtiofs")
HOST_MODULES = ("virtio_pci", "virtio_blk", "virtio_console", "virtio_net", "kvm-amd", "tun",
                "vhost_net", "vhost_vsock", "loop")
HOST_PACKAGES = (
    # a system to run commands in
    "dash", "coreutils", "util-linux", "mount", "tar", "gzip", "grep", "sed", "findutils", "procps",
    "iproute2", "e2fsprogs", "python3", "socat", "ncat", "strace", "busybox-static",
    # the peer
    "qemu-system-x86", "qemu-utils",
    # what a dynamically linked or sanitized build needs
    "libglib2.0-0", "libjson-c5", "libfdt1", "libslirp0", "liburing2", "libseccomp2", "libzstd1",
    "libasan8", "libubsan1", "libtsan2",
)
PASSWD = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
GROUP = "root:x:0:\nkvm:x:999:\nnogroup:x:65534:\n"
NOT_NEEDED = ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/cache", "var/lib/apt",
              "boot")
STDLIB = "usr/lib/python3.11"


def source(*names: str) -> str:
    """The text of files here, as part of a recipe."""
    return "\0".join((HERE / name).read_text(encoding="utf-8") for name in names)


def unpack_packages(packages, to: Path) -> None:
    command = ["mmdebstrap", "--quiet", "--mode=chrootless", "--variant=extract",
               "--include=" + ",".join(packages), SUITE, str(to)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                          timeout=900, check=False)
    if done.returncode != 0:
        raise SystemExit(f"cannot unpack {' '.join(packages)} of Debian {SUITE}:\n{done.stderr}")


def kernel(flavour: str) -> Path:
    package = KERNELS[flavour]

    def build(to: Path) -> None:
        unpack_packages([package], to / "tree")
        (to / "lib").mkdir()
        take_kernel(to / "tree", to)
        shutil.rmtree(to / "tree")

    return cached(f"kernel-{flavour}", recipe_key(SUITE, package, source("kernel.py")), build)


def busybox() -> Path:
    def build(to: Path) -> None:
        unpack_packages(["busybox-static"], to / "tree")
        shutil.copy(to / "tree" / "bin" / "busybox", to / "busybox")
        shutil.rmtree(to / "tree")

    return cached("busybox", recipe_key(SUITE), build)


def busybox_system(root: Path) -> None:
    """A root folder in which scripts for busybox run; its shell finds the applets by itself."""
    for name in ("bin", "dev", "proc", "sys", "tmp", "run", "mnt"):
        (root / name).mkdir(parents=True)
    shutil.copy(busybox() / "busybox", root / "bin" / "busybox")
    (root / "bin" / "sh").symlink_to("busybox")


def copy_program(name: str, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(HERE / name, to)
    to.chmod(0o755)


def tool_environment() -> dict:
    """An ordinary user's PATH lacks the folders that mke2fs is in."""
    return {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}


def write_ext4(image: Path, size: str, folder=None) -> None:
    """An ext4 image, empty or with the content of a folder, which is consumed."""
    image.touch()  # or mke2fs tells that it makes it
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal,^metadata_csum",
                    "-E", "root_owner=0:0,lazy_itable_init=1", *(["-d", folder] if folder else []),
                    image, size], check=True, timeout=300, env=tool_environment())
    if folder:
        shutil.rmtree(folder)


def guest_initramfs(flavour: str, image: Path, scratch: Path) -> None:
    busybox_system(scratch)
    ModuleTree(kernel(flavour)).install(GUEST_MODULES, scratch)
    copy_program("guest-init", scratch / "init")
    copy_program("guest-rc", scratch / "sbin" / "guest-rc")
    write_initramfs(scratch, image)
    shutil.rmtree(scratch)


def guest_root(image: Path, scratch: Path) -> None:
    busybox_system(scratch)
    copy_program("guest-rc", scratch / "sbin" / "guest-rc")
    write_ext4(image, "64M", scratch)


def guest_kit() -> Path:
    def build(to: Path) -> None:
        for flavour in KERNELS:
            for name in ("vmlinuz", "vmlinux"):
                shutil.copy(kernel(flavour) / name, to / f"{name}-{flavour}")
            guest_initramfs(flavour, to / f"initrd-{flavour}.gz", to / "scratch")
        guest_root(to / "root.ext4", to / "scratch")

    scripts = source("artifacts.py", "kernel.py", "initramfs.py", "guest-init", "guest-rc")
    return cached("guest-kit", recipe_key(SUITE, scripts), build)


def host_packages() -> Path:
    return cached("host-packages", recipe_key(SUITE, *HOST_PACKAGES),
                  lambda to: unpack_packages(HOST_PACKAGES, to / "root"))


def host_root(image: Path, root: Path) -> None:
    shutil.copytree(host_packages() / "root", root, symlinks=True,
                    ignore=shutil.ignore_patterns("dev"))  # device nodes have no end
    for name in NOT_NEEDED:
        shutil.rmtree(root / name, ignore_errors=True)
    for name in ("dev", "proc", "sys", "run", "tmp", "root", "kit", "scratch"):
        (root / name).mkdir(exist_ok=True)
    (root / "etc" / "passwd").write_text(PASSWD, encoding="ascii")
    (root / "etc" / "group").write_text(GROUP, encoding="ascii")
    for name in ("host-init", "agent.py", "channel.py", "keep.py", "mixup.py"):
        copy_program(name, root / "rig" / name)
    if f"python{sys.version_info[0]}.{sys.version_info[1]}" in STDLIB:
        # Compiling in the emulated host would cost more than running there.
        for folder, depth in ((root / STDLIB, 1), (root / "rig", 0)):
            compileall.compile_dir(folder, maxlevels=depth, quiet=2, stripdir=root, prependdir="/",
                                   invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    write_ext4(image, "1G", root)


def host_kit() -> Path:
    def build(to: Path) -> None:
        shutil.copy(kernel("cloud") / "vmlinuz", to / "vmlinuz")
        busybox_system(to / "scratch")
        ModuleTree(kernel("cloud")).install(HOST_MODULES, to / "scratch")
        copy_program("host-stage0", to / "scratch" / "init")
        write_initramfs(to / "scratch", to / "initrd.gz")
        shutil.rmtree(to / "scratch")
        host_root(to / "root.ext4", to / "scratch")
        shutil.copytree(guest_kit(), to / "scratch")
        write_ext4(to / "kit.ext4", "512M", to / "scratch")

    scripts = source("artifacts.py", "kernel.py", "initramfs.py", "agent.py", "channel.py",
                     "keep.py", "mixup.py", "host-init", "host-stage0", "guest-init", "guest-rc")
    return cached("host-kit", recipe_key(SUITE, scripts), build)


def link_guest_kernel(to: Path) -> None:
    """Puts vmlinuz, vmlinux and initrd.gz of the small stock kernel into a folder."""
    to.mkdir(parents=True, exist_ok=True)
    guest_initramfs("cloud", to / "initrd.gz", to / ".scratch")
    for name in ("vmlinuz", "vmlinux"):
        shutil.copy(kernel("cloud") / name, to / name)


def main() -> None:
    parser = argparse.ArgumentParser(description="Builds what the rig runs, into the cache.")
    commands = parser.add_subparsers(dest="command")
    one = commands.add_parser("guest-kernel", help="a stock kernel and initramfs, into DIR")
    one.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "guest-kernel":
        link_guest_kernel(arguments.folder)
    else:
        print(guest_kit(), host_kit(), sep="\n")


if __name__ == "__main__":
    main()

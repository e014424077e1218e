# SPDX-License-Identifier: Apache-2.0
"""What is inside a distribution's kernel package: the ELF image in a bzImage, and the modules.

The packages are unpacked, never installed, so there is no modules.dep: dependencies and aliases
are read from the modules themselves and written out again for the few modules that are wanted.
"""
import bz2
import gzip
import lzma
import shutil
import struct
import subprocess
from pathlib import Path

SECTOR = 512
SETUP_SECTS = 0x1F1
HEADER_MAGIC = 0x202
PAYLOAD = 0x248  # u32 offset from the protected-mode code, u32 length


def by_command(*argv: str):
    return lambda data: subprocess.run(argv, input=data, stdout=subprocess.PIPE, check=True).stdout


DECOMPRESSORS = (
    (b"\x1f\x8b", gzip.decompress),
    (b"\xfd7zXZ\0", lzma.decompress),
    (b"\x5d\0\0", lzma.decompress),
    (b"BZh", bz2.decompress),
    (b"\x28\xb5\x2f\xfd", by_command("zstd", "-dcq")),
    (b"\x02\x21\x4c\x18", by_command("lz4", "-dcq")),
    (b"\x7fELF", bytes),
)


def unpack_vmlinux(bzimage: bytes) -> bytes:
    """The uncompressed ELF kernel that a bzImage carries."""
    if bzimage[HEADER_MAGIC:HEADER_MAGIC + 4] != b"HdrS":
        raise ValueError("not a bzImage: no HdrS at 0x202")
    offset, length = struct.unpack_from("<II", bzimage, PAYLOAD)
    start = (bzimage[SETUP_SECTS] + 1) * SECTOR + offset
    payload = bzimage[start:start + length]
    for magic, decompress in DECOMPRESSORS:
        if payload.startswith(magic):
            # All but gzip carry the unpacked size in four more bytes at the end.
            return decompress(payload if magic in (b"\x1f\x8b", b"\x7fELF") else payload[:-4])
    raise ValueError(f"bzImage payload starts with {payload[:6].hex()}: unknown compression")


class ModuleTree:
    """The modules of an unpacked package: TREE/lib/modules/VERSION."""

    def __init__(self, tree: Path):
        (self.folder,) = (tree / "lib" / "modules").iterdir()
        self.version = self.folder.name
        self.files = {module_name(path): path for path in self.folder.rglob("*.ko*")}

    def closure(self, names) -> list[str]:
        """The modules and all they depend on, each after what it needs."""
        order: list[str] = []

        def add(name: str) -> None:
            if name in order or name not in self.files:  # absent: built into this kernel
                return
            for needed in self.info(name, "depends"):
                for one in filter(None, needed.split(",")):
                    add(one.replace("-", "_"))
            order.append(name)

        for name in names:
            add(name.replace("-", "_"))
        return order

    def info(self, name: str, field: str) -> list[str]:
        key = b"\0" + field.encode() + b"="
        return [part.split(b"\0", 1)[0].decode() for part in self.read(name).split(key)[1:]]

    def read(self, name: str) -> bytes:
        data = self.files[name].read_bytes()
        return lzma.decompress(data) if self.files[name].suffix == ".xz" else data

    def install(self, names, root: Path) -> None:
        """Puts the modules where modprobe of the system under `root` finds them."""
        folder = root / "lib" / "modules" / self.version
        folder.mkdir(parents=True)
        depends, aliases = [], []
        for name in self.closure(names):
            (folder / f"{name}.ko").write_bytes(self.read(name))
            needed = [f"{one}.ko" for one in self.closure([name]) if one != name]
            depends.append(f"{name}.ko: {' '.join(reversed(needed))}\n")
            aliases += [f"alias {alias} {name}\n" for alias in self.info(name, "alias")]
        (folder / "modules.dep").write_text("".join(depends), encoding="ascii")
        (folder / "modules.alias").write_text("".join(aliases), encoding="ascii")


def module_name(path: Path) -> str:
    return path.name.split(".ko")[0].replace("-", "_")


def take_kernel(tree: Path, to: Path) -> None:
    """From an unpacked package to vmlinuz, vmlinux, config and lib/modules under `to`."""
    (vmlinuz,) = (tree / "boot").glob("vmlinuz-*")
    (config,) = (tree / "boot").glob("config-*")
    shutil.copy(vmlinuz, to / "vmlinuz")
    shutil.copy(config, to / "config")
    (to / "vmlinux").write_bytes(unpack_vmlinux(vmlinuz.read_bytes()))
    shutil.move(tree / "lib" / "modules", to / "lib" / "modules")

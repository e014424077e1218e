# SPDX-License-Identifier: Apache-2.0
"""Writes a folder as a compressed "newc" cpio archive, the form the kernel takes an initramfs in.

Everything belongs to root and carries no time, so equal content gives an equal file, whoever
builds it.
"""
import gzip
import os
import stat
from pathlib import Path

NEWC = "070701"


def entry(number: int, name: str, mode: int, data: bytes = b"") -> bytes:
    encoded = name.encode() + b"\0"
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(encoded), 0)
    head = (NEWC + "".join(f"{field:08x}" for field in fields)).encode() + encoded
    return padded(head) + padded(data)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def content(path: Path, mode: int) -> bytes:
    if stat.S_ISLNK(mode):
        return os.readlink(path).encode()
    return path.read_bytes() if stat.S_ISREG(mode) else b""


def write_initramfs(folder: Path, archive: Path) -> None:
    paths = sorted(folder.rglob("*"))
    with open(archive, "wb") as file, gzip.GzipFile("", "wb", 6, file, mtime=0) as out:
        for number, path in enumerate(paths, 1):
            mode = path.lstat().st_mode
            out.write(entry(number, str(path.relative_to(folder)), mode, content(path, mode)))
        out.write(entry(0, "TRAILER!!!", 0))

# SPDX-License-Identifier: Apache-2.0
"""The one stream between a test and the agent in the host it uses, cut into checked frames.

    magic u32 | kind u8 | job u32 | length u32 | crc32 u32 | payload

A job is one command or one file transfer; its number is the caller's choice, and any number run
side by side.  The caller sends a START (JSON), then INPUT and SIGNAL; the agent sends OUTPUT,
ERRORS and at the end one ENDED (JSON).  An empty INPUT closes the job's input.
"""
import json
import os
import struct
import threading
import zlib

HEAD = struct.Struct("<IBIII")
MAGIC = 0x52494731
LARGEST = 1 << 16

HELLO, START, INPUT, SIGNAL, WINDOW, OUTPUT, ERRORS, ENDED = range(8)


class Broken(Exception):
    """The stream does not carry frames any more: the other end went away or spoke nonsense."""


class Channel:
    """Frames over a pair of descriptors: reading from one thread, writing from any."""

    def __init__(self, read_fd: int, write_fd: int):
        self.read_fd = read_fd
        self.write_fd = write_fd
        self.lock = threading.Lock()

    def send(self, kind: int, job: int, payload=b"") -> None:
        frame = HEAD.pack(MAGIC, kind, job, len(payload), zlib.crc32(payload)) + payload
        with self.lock:
            view = memoryview(frame)
            while view:
                view = view[os.write(self.write_fd, view):]

    def send_json(self, kind: int, job: int, **fields) -> None:
        self.send(kind, job, json.dumps(fields).encode())

    def send_data(self, kind: int, job: int, data) -> None:
        for start in range(0, len(data), LARGEST):
            self.send(kind, job, bytes(data[start:start + LARGEST]))

    def receive(self):
        """The next frame as (kind, job, payload)."""
        magic, kind, job, length, checksum = HEAD.unpack(self.read_exactly(HEAD.size))
        if magic != MAGIC or length > LARGEST:
            raise Broken(f"not a frame: magic {magic:#x}, length {length}")
        payload = self.read_exactly(length)
        if zlib.crc32(payload) != checksum:
            raise Broken(f"frame of job {job} is damaged")
        return kind, job, payload

    def read_exactly(self, length: int) -> bytes:
        parts = []
        while length:
            part = os.read(self.read_fd, length)
            if not part:
                raise Broken("the other end closed the channel")
            parts.append(part)
            length -= len(part)
        return b"".join(parts)

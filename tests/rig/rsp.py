#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A debugger's side of gdb's remote serial protocol, for hosts that have no gdb.

    rsp.py SOCKET Z0|Z1|Z2 ADDRESS     stop at ADDRESS, step from there, let the guest go

It connects, sets the breakpoint, prints `armed` when the guest runs again, and tells what it meets:
`stopped REPLY pc=...`, three lines `stepped pc=...`, `detached`.
"""
import re
import socket
import sys

STEPS = 3
LENGTH = {"Z0": 1, "Z1": 1, "Z2": 8}
LIMIT = 120


class Debugger:
    def __init__(self, path):
        self.stream = socket.socket(socket.AF_UNIX)
        self.stream.settimeout(LIMIT)
        self.stream.connect(path)
        self.file = self.stream.makefile("rb")
        self.registers = []
        assert self.ask("qSupported:swbreak+;hwbreak+").startswith("PacketSize=")
        self.describe()

    def ask(self, payload):
        self.send(payload)
        return self.receive()

    def send(self, payload):
        self.stream.sendall(b"$%s#%02x" % (payload.encode(), sum(payload.encode()) & 0xff))
        assert self.file.read(1) == b"+"

    def receive(self):
        assert self.file.read(1) == b"$"
        payload = b""
        while (byte := self.file.read(1)) != b"#":
            assert byte, "the stub has hung up"
            payload += byte
        assert int(self.file.read(2), 16) == sum(payload) & 0xff
        self.stream.sendall(b"+")
        return re.sub(rb"}(.)", lambda m: bytes([m[1][0] ^ 0x20]), payload, flags=re.S).decode()

    def describe(self):
        """The names of the registers, in their order."""
        text, last = "", False
        while not last:
            piece = self.ask(f"qXfer:features:read:target.xml:{len(text):x},800")
            last, text = piece[0] == "l", text + piece[1:]
        self.registers = re.findall(r'<reg name="(\w+)"', text)

    def register(self, name):
        answer = self.ask(f"p{self.registers.index(name):x}")
        return int.from_bytes(bytes.fromhex(answer), "little")

    def memory(self, address, length):
        return bytes.fromhex(self.ask(f"m{address:x},{length:x}"))


def main():
    path, kind, address = sys.argv[1], sys.argv[2], int(sys.argv[3], 16)
    point = f"{kind[1]},{address:x},{LENGTH[kind]}"
    debugger = Debugger(path)
    before = debugger.memory(address, 8)
    assert debugger.ask("Z" + point) == "OK"
    debugger.send("vCont;c")
    print("armed", flush=True)
    reply = debugger.receive()
    print(f"stopped {reply} pc={debugger.register('rip'):x}", flush=True)
    assert debugger.ask("z" + point) == "OK"
    if kind == "Z0":
        assert debugger.memory(address, 8) == before, "the breakpoint can be seen"
    thread = re.search(r"thread:(\w+);", reply)[1]
    for _ in range(STEPS):
        reply = debugger.ask(f"vCont;s:{thread}")
        assert reply.startswith("T05"), reply
        print(f"stepped pc={debugger.register('rip'):x}", flush=True)
    assert debugger.ask("D") == "OK"
    print("detached", flush=True)


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""Clients that do everything wrong, thousands of them, while one that behaves is served.

    qmp_abuse.py STENCIL CONNECTIONS [sanitized] [KERNEL]

Connections are opened, cut, half-closed, flooded and not read, in random order from a seed that is
printed.  In the end the VM runs, no descriptor is left over, and memory has not grown (sanitizers
keep what was freed, so with them memory is not looked at).  With a kernel, on /dev/kvm, its guest
must stay as busy as it was: one of tests/guest that waits at its migrate point does.
"""
import json
import os
import random
import resource
import socket
import subprocess
import sys
import tempfile
import time

CAPABILITIES = b'{"execute":"qmp_capabilities"}'
STATUS = b'{"execute":"query-status"}'
SCHEMA = b'{"execute":"query-qmp-schema"}'
KEPT = 100  # abusers that stay connected for a while
SLACK_KIB = 16384  # what an allocator keeps of KEPT sessions with full buffers
QUIET_ROUNDS = 1500  # what was sent before is still answered, however slow the build


class Client:
    """One that behaves."""

    def __init__(self, path):
        self.socket = connect(path)
        self.socket.settimeout(20)
        self.file = self.socket.makefile("rb")
        self.greeting = json.loads(self.file.readline())
        self.ask(CAPABILITIES)

    def ask(self, command):
        self.socket.sendall(command)
        while True:
            line = self.file.readline()
            if not line:
                raise EOFError("the server has hung up")
            answer = json.loads(line)
            if "event" not in answer:
                return answer


def connect(path):
    for _ in range(2000):
        client = socket.socket(socket.AF_UNIX)
        try:
            client.connect(path)
            return client
        except (ConnectionRefusedError, FileNotFoundError):
            client.close()
            time.sleep(0.01)
    raise TimeoutError("nobody listens")


# Each takes a fresh connection and does one thing wrong; True: it is kept open for a while.

def cut(client, _rng):
    client.close()


def send_and_cut(client, rng):
    client.sendall(CAPABILITIES + STATUS * rng.randrange(20))
    client.close()


def half_close(client, rng):
    client.sendall(CAPABILITIES + STATUS * rng.randrange(20))
    client.shutdown(socket.SHUT_WR)
    return True


def send_garbage(client, rng):
    client.sendall(rng.randbytes(rng.randrange(5000)))
    return rng.random() < 0.5


def leave_a_command_open(client, _rng):
    client.sendall(CAPABILITIES + b'{"execute":"query-st')
    return True


def flood_and_never_read(client, _rng):
    client.setblocking(False)
    try:
        for _ in range(100):
            client.sendall(CAPABILITIES + SCHEMA * 20)
    except BlockingIOError:
        pass
    return True


def pass_descriptors(client, _rng):
    fds = [0] * 10
    socket.send_fds(client, [CAPABILITIES + STATUS], fds)
    return True


ABUSES = [cut, send_and_cut, half_close, send_garbage, leave_a_command_open, flood_and_never_read,
          pass_descriptors]


def memory_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def exits(good):
    """How often the vCPUs have left the guest."""
    results = good.ask(b'{"execute":"query-stats","arguments":{"target":"vcpu","providers":'
                       b'[{"provider":"stencil","names":["exits"]}]}}')["return"]
    return sum(result["stats"][0]["value"] for result in results)


def expect_busy(good):
    """As many exits as a guest has that does nothing else, soon."""
    until, before = time.monotonic() + 20, exits(good)
    while exits(good) < before + 1000:
        assert time.monotonic() < until, "the guest has stopped"


def abuse(path, rng, count, good):
    kept = []
    for number in range(count):
        client = connect(path)
        try:
            if rng.choice(ABUSES)(client, rng):
                kept.append(client)
        except (BrokenPipeError, ConnectionResetError):
            client.close()
        if len(kept) > KEPT:
            kept.pop(rng.randrange(len(kept))).close()
        if number % 100 == 0:
            assert good.ask(STATUS)["return"]["status"] == "running", "the VM has stopped"
    for client in kept:
        client.close()


def settle(pid, expected):
    """Descriptors are closed soon after the last client has gone."""
    lowest, quiet = descriptors(pid), 0
    while lowest > expected and quiet < QUIET_ROUNDS:
        time.sleep(0.02)
        now = descriptors(pid)
        lowest, quiet = (now, 0) if now < lowest else (lowest, quiet + 1)
    return descriptors(pid)


def main():
    stencil, count, sanitized = sys.argv[1], int(sys.argv[2]), "sanitized" in sys.argv
    kernel = sys.argv[-1] if os.path.exists(sys.argv[-1]) else None
    seed = random.randrange(1 << 32)
    rng = random.Random(seed)
    print(f"seed {seed}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "qmp")
        guest = (["-machine", "microvm", "-smp", "2", "-m", "256M", "-kernel", kernel,
                  "-serial", "null"] if kernel else
                 ["-machine", "none", "-accel", "qtest", "-m", "1M"])
        command = [stencil, *guest, "-qmp", f"unix:{path},server,nowait"]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL) as vm:
            try:
                good = Client(path)
                if kernel:
                    expect_busy(good)
                    busy = exits(good)
                fds = descriptors(vm.pid)
                abuse(path, rng, count // 2, good)
                left, before = settle(vm.pid, fds), memory_kib(vm.pid)
                abuse(path, rng, count - count // 2, good)
                left, after = max(left, settle(vm.pid, fds)), memory_kib(vm.pid)
                print(f"descriptors {fds} -> {left}, memory {before} -> {after} KiB")
                if kernel:
                    expect_busy(good)
                    print(f"exits of the guest meanwhile {exits(good) - busy}")
                assert left == fds, "descriptors are left over"
                assert sanitized or after < before + SLACK_KIB, "memory grows"
                assert good.ask(b'{"execute":"quit"}') == {"return": {}}
                assert vm.wait(20) == 0
            finally:
                if vm.poll() is None:
                    vm.kill()


main()

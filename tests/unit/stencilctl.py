# SPDX-License-Identifier: Apache-2.0
"""stencilctl against a real stencil that needs no KVM: stencilctl.py STENCIL STENCILCTL"""
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

LIMIT = 60


class Vm:
    def __init__(self, stencil, folder):
        self.socket = Path(folder) / "qmp.sock"
        self.process = subprocess.Popen(
            [stencil, "-machine", "none", "-accel", "qtest", "-S", "-name", "sample",
             "-qmp", f"unix:{self.socket},server,nowait"], stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + LIMIT
        while not self.socket.exists():
            assert time.monotonic() < deadline and self.process.poll() is None, "no QMP socket"


def main() -> None:
    stencil, stencilctl = sys.argv[1:]

    def ctl(*words, status=0):
        done = subprocess.run([stencilctl, *map(str, words)], stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=LIMIT,
                              check=False)
        assert done.returncode == status, (words, done)
        return done.stdout.strip() if status == 0 else done.stderr.strip()

    with tempfile.TemporaryDirectory() as folder:
        vm = Vm(stencil, folder)
        to = ("-s", vm.socket)
        assert ctl(*to, "status") == "prelaunch"
        assert json.loads(ctl(*to, "--json", "status"))["running"] is False
        ctl(*to, "cont")
        ctl(*to, "wait", "running")
        with subprocess.Popen([stencilctl, "-s", f"unix:{vm.socket}", "wait", "paused"]) as waiter:
            ctl(*to, "stop")
            assert waiter.wait(LIMIT) == 0
        info = json.loads(ctl(*to, "info"))
        assert info["name"] == {"name": "sample"} and info["status"]["status"] == "paused"
        answer = json.loads(ctl(*to, "qmp", '{"execute": "query-name"}'))
        assert answer["return"]["name"] == "sample"
        ctl(*to, "qmp", '{"execute": "no-such"}', status=1)
        assert "expected" in ctl(*to, "qmp", "{", status=2)
        assert "power button" in ctl(*to, "powerdown", status=1)
        assert "Usage" in ctl(*to, "fly", status=2)
        assert "Usage" in ctl(*to, "wait", status=2)
        assert "Usage" in ctl("status", status=2)
        with subprocess.Popen([stencilctl, *map(str, to), "events"], text=True,
                              stdout=subprocess.PIPE) as follower:
            # The follower is known to listen once it has told of a first event.
            deadline = time.monotonic() + LIMIT
            seen = []
            reader = threading.Thread(target=lambda: seen.extend(follower.stdout), daemon=True)
            reader.start()
            while not seen and time.monotonic() < deadline:
                ctl(*to, "cont")
                ctl(*to, "stop")
            ctl(*to, "quit")
            assert follower.wait(LIMIT) == 0
            reader.join(LIMIT)
        assert json.loads(seen[-1])["event"] == "SHUTDOWN", seen[-3:]
        assert vm.process.wait(LIMIT) == 0
        assert str(vm.socket) in ctl(*to, "status", status=3)
    print("stencilctl does what it says")


main()

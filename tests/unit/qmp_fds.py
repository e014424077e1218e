# SPDX-License-Identifier: Apache-2.0
"""Descriptors by -add-fd and by SCM_RIGHTS, in a real stencil that needs no KVM: qmp_fds.py STENCIL

What libvirt does with its log files, and what a jailed program must be given: every option that
takes a path takes /dev/fdset/N.
"""
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMIT = 60


class Client:
    def __init__(self, path):
        deadline = time.monotonic() + LIMIT
        while True:
            self.socket = socket.socket(socket.AF_UNIX)
            try:
                self.socket.connect(str(path))
                break
            except OSError:
                self.socket.close()
                assert time.monotonic() < deadline, "nobody listens"
                time.sleep(0.01)
        self.file = self.socket.makefile("rb")
        self.file.readline()
        self.ask("qmp_capabilities")

    def ask(self, command, fds=(), **arguments):
        request = json.dumps({"execute": command, "arguments": arguments}).encode()
        if fds:
            socket.send_fds(self.socket, [request], list(fds))
        else:
            self.socket.sendall(request)
        while "event" in (answer := json.loads(self.file.readline())):
            pass
        return answer

    def must(self, command, fds=(), **arguments):
        answer = self.ask(command, fds, **arguments)
        assert "return" in answer, (command, answer)
        return answer["return"]


def refused(stencil, *arguments, fds=()):
    done = subprocess.run([stencil, "-machine", "microvm", "-accel", "qtest", *arguments],
                          stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                          pass_fds=fds, timeout=LIMIT, check=False)
    assert done.returncode == 1, done
    return done.stderr


def main() -> None:
    stencil, = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "disk").write_bytes(bytes(1 << 20))
        (folder / "log").write_text("before\n", encoding="ascii")
        (folder / "ram").write_bytes(b"")
        disk = os.open(folder / "disk", os.O_RDWR)
        disk_ro = os.open(folder / "disk", os.O_RDONLY)
        log = os.open(folder / "log", os.O_WRONLY)
        ram = os.open(folder / "ram", os.O_RDWR)
        fds = (disk, disk_ro, log, ram)
        command = [
            stencil, "-machine", "microvm,memory-backend=mem0", "-accel", "qtest", "-m", "16M",
            "-add-fd", f"set=0,fd={log},opaque=serial0-source",
            "-add-fd", f"set=1,fd={disk_ro},opaque=ro:disk", "-add-fd", f"set=1,fd={disk}",
            "-add-fd", f"set=2,fd={ram}",
            "-chardev", "file,id=charserial0,path=/dev/fdset/0,append=on",
            "-drive", "file=/dev/fdset/1,id=rw,file.locking=off",
            "-drive", "file=/dev/fdset/1,id=ro,readonly=on,file.locking=off",
            "-device", "virtio-blk-device,drive=rw", "-device", "virtio-blk-device,drive=ro",
            "-object", "memory-backend-file,id=mem0,size=16M,mem-path=/dev/fdset/2,share=on",
            "-qmp", f"unix:{folder}/qmp,server,nowait"]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=fds) as vm:
            client = Client(folder / "qmp")
            open_now = len(os.listdir(f"/proc/{vm.pid}/fd"))
            sets = client.must("query-fdsets")
            assert [s["fdset-id"] for s in sets] == [0, 1, 2], sets
            assert sets[0]["fds"][0]["opaque"] == "serial0-source", sets
            assert [f.get("opaque") for f in sets[1]["fds"]] == ["ro:disk", None], sets
            drives = {d["device"]: d["inserted"]["ro"] for d in client.must("query-block")}
            assert drives == {"rw": False, "ro": True}, drives
            assert (folder / "ram").stat().st_size == 16 << 20
            assert (folder / "log").read_text(encoding="ascii") == "before\n"

            added = client.must("add-fd", fds=[log], opaque="later")
            assert added["fdset-id"] == 3, added
            link = os.readlink(f"/proc/{vm.pid}/fd/{added['fd']}")
            assert link == str(folder / "log"), link
            # One that comes with another command waits for the add-fd.
            client.must("query-name", fds=[log])
            client.must("add-fd", **{"fdset-id": 3})
            client.must("remove-fd", **{"fdset-id": 3})
            assert len(os.listdir(f"/proc/{vm.pid}/fd")) == open_now
            client.must("quit")
            assert vm.wait(LIMIT) == 0
        text = refused(stencil, "-add-fd", f"set=1,fd={disk_ro}", "-drive", "file=/dev/fdset/1,id=d",
                       "-device", "virtio-blk-device,drive=d", fds=(disk_ro,))
        assert "Failed to find file descriptor with matching flags=" in text, text
        text = refused(stencil, "-drive", "file=/dev/fdset/4,id=d",
                       "-device", "virtio-blk-device,drive=d")
        assert "there is no descriptor set 4" in text, text
        text = refused(stencil, "-add-fd", "set=0,fd=99")
        assert "-add-fd: descriptor 99" in text, text
    print("descriptors go where /dev/fdset leads")


main()

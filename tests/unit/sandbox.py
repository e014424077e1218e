# SPDX-License-Identifier: Apache-2.0
"""Every thread of a running VM is in the sandbox, and -sandbox off means off.

    sandbox.py STENCIL [sanitized]

Without KVM: the fake hypervisor's vCPUs are threads, too.
"""
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SECONDS = 60
EXPECTED = {"stencil", "vcpu0", "vcpu1", "queues", "io"}


def start(stencil, folder, *words):
    """A VM with a thread of each kind that lives as long as it does."""
    disk = Path(folder) / "disk.raw"
    disk.write_bytes(bytes(1 << 20))
    return subprocess.Popen(
        [stencil, "-machine", "microvm", "-accel", "qtest", "-smp", "2", "-display", "none",
         "-object", "iothread,id=queues", "-drive", f"file={disk},if=none,id=d0,format=raw",
         "-device", "virtio-blk-device,drive=d0,iothread=queues",
         "-drive", f"file={disk},if=none,id=d1,format=raw,readonly=on,file.locking=off",
         "-device", "virtio-blk-device,drive=d1",
         "-qmp", "stdio", *words],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ask(vm, command):
    vm.stdin.write(json.dumps({"execute": command}) + "\n")
    vm.stdin.flush()
    while True:
        answer = json.loads(vm.stdout.readline())
        if "event" not in answer:
            return answer


def threads(pid):
    """Name -> its /proc status, as a dictionary."""
    found = {}
    for folder in Path(f"/proc/{pid}/task").iterdir():
        lines = (folder / "status").read_text(encoding="utf-8").splitlines()
        status = dict(line.split(":", 1) for line in lines)
        found[status["Name"].strip()] = {key: text.strip() for key, text in status.items()}
    return found


def check(ok, text):
    if not ok:
        raise SystemExit(f"sandbox: {text}")


def settled_threads(vm, mode):
    """Threads name and restrict themselves, which nobody is told: asks until all have, or too often."""
    until = time.monotonic() + SECONDS
    while True:
        found = threads(vm.pid)
        if set(found) == EXPECTED and all(s["Seccomp"] == mode for s in found.values()):
            return found
        check(time.monotonic() < until,
              f"not as expected: {({name: s['Seccomp'] for name, s in found.items()})}")
        ask(vm, "query-status")


def end(vm):
    ask(vm, "quit")
    _, said = vm.communicate(timeout=SECONDS)
    check(vm.returncode == 0, f"status {vm.returncode}: {said}")


def live(stencil, folder, words, mode):
    with start(stencil, folder, *words) as vm, contextlib.ExitStack() as stack:
        stack.callback(vm.kill)
        vm.stdout.readline()
        for command in ("qmp_capabilities", "query-status", "query-cpus-fast", "query-block",
                        "query-iothreads", "stop", "cont", "system_reset"):
            check("return" in ask(vm, command), command)
        found = settled_threads(vm, mode)
        for name, status in found.items():
            check(mode == "0" or status["NoNewPrivs"] == "1", f"{name} may gain privileges")
        end(vm)
        return {name: status.get("Seccomp_filters") for name, status in found.items()}


def main():
    stencil, sanitized = sys.argv[1], "sanitized" in sys.argv[2:]
    with tempfile.TemporaryDirectory() as folder:
        if sanitized:
            with start(stencil, folder, "-sandbox", "on") as vm:
                _, said = vm.communicate(timeout=SECONDS)
            check(vm.returncode == 1 and "-sandbox on" in said, f"{vm.returncode}: {said}")
            return
        filters = live(stencil, folder, ("-sandbox", "on"), "2")
        # main's own; a thread that was started before it has its own alone, io both.
        check(set(filters.values()) <= {"1", "2", None}, f"filters {filters}")
        live(stencil, folder, ("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,"
                               "resourcecontrol=deny"), "2")
        live(stencil, folder, ("-sandbox", "off"), "0")
        live(stencil, folder, ("-disable-seccomp",), "0")
        print(f"filters on each thread: {filters}")


main()

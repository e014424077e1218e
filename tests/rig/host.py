# SPDX-License-Identifier: Apache-2.0
"""Hosts with a KVM that runs ordinary kernels, for tests to use.

EmulatedHost is QEMU emulating a whole x86-64 machine, virtualization extensions included, with a
stock Debian kernel; ThisMachine is the machine itself, for where its own KVM will do.  Both are
driven alike, through rig/agent.py:

    with open_host(logs) as host:
        host.put("build/stencil", "/scratch/stencil")
        result = host.run(["/scratch/stencil", "-version"])

Whatever waits has a limit, and what happened stays in the logs folder: console, qemu.log,
commands.log.
"""
import contextlib
import io
import itertools
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from pathlib import Path

from tests.rig import artifacts, channel as wire
from tests.rig.job import HostGone, Job, Result
from tests.rig.stopwatch import Stopwatch, patience
from tests.rig.tsc import tsc_khz

ENDED_BY_LIMIT = 124
START_LIMIT = 120
EXAMINE = Path(__file__).with_name("host-examine")
EXAMINE_LIMIT = 20
CPU = "EPYC,+svm,+npt"
TRACE = "/sys/kernel/tracing/trace"  # of mixup.py
SHUTDOWN = " reason shutdown "
SCRATCH_SIZE = "16G"  # sparse
KERNEL_LINE = "console=ttyS0 panic=-1 quiet mitigations=off tsc=reliable random.trust_cpu=on"
# QEMU clears one interrupt flag of a processor, without a lock, whenever a nested guest leaves;
# another thread that sets a flag at that moment is undone, and an interrupt with it.  It still waits
# in the local APIC and comes with the next one, so there has to be a next one: a periodic timer.
# With one-shot timers a processor whose timer was lost has none any more, and sleeps for good.
KERNEL_LINE += " highres=off nohz=off"


class Host:
    """What can be done on a host, whichever kind: everything goes through its agent."""

    kit = Path()      # guest kernels and images, as the host sees them
    scratch = Path()  # a large folder on a disk, to write to
    guest_words = ""  # what a guest's kernel has to be told here

    def __init__(self, logs):
        self.logs = Path(logs)
        self.logs.mkdir(parents=True, exist_ok=True)
        self.jobs: dict[int, Job] = {}
        self.numbers = itertools.count(1)
        self.link = None
        self.started = time.monotonic()
        self.greeted = threading.Event()
        self.commands = None
        self.failure = ""

    # -- life

    def __enter__(self):
        self.commands = open(self.logs / "commands.log", "a", encoding="utf-8", buffering=1)
        self.started = time.monotonic()
        try:
            self.connect()
            threading.Thread(target=self.listen, daemon=True).start()
            self.wait_for_greeting()
            if self.failure:
                raise HostGone(f"the host did not come up: {self.failure}; see {self.logs}")
        except BaseException:
            self.close()
            raise
        self.note(f"host is up after {time.monotonic() - self.started:.1f} s")
        return self

    def __exit__(self, *_):
        self.close()

    def wait_for_greeting(self) -> None:
        watch = self.stopwatch()
        while not self.greeted.wait(max(START_LIMIT - watch.seconds(), 0)):
            if watch.seconds() >= START_LIMIT:
                self.failure = f"no greeting in {START_LIMIT} s"
                return

    def stopwatch(self) -> Stopwatch:
        """Measures what the host has had time for."""
        return Stopwatch()

    def connect(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        self.commands.close()

    def listen(self) -> None:
        try:
            while True:
                kind, number, payload = self.link.receive()
                if kind == wire.HELLO:
                    self.greeted.set()
                elif number in self.jobs:
                    self.jobs[number].take(kind, payload)
        except (wire.Broken, OSError, ValueError) as error:
            self.failure = str(error)
            self.greeted.set()
            for job in list(self.jobs.values()):
                job.host_gone(self.failure)

    def note(self, text: str) -> None:
        if not self.commands.closed:
            self.commands.write(f"{time.monotonic() - self.started:8.2f} {text}\n")

    def forget(self) -> None:
        """What a guest did so far is not looked at any more."""

    def mixed_up(self) -> str:
        """Says so if the host has given a guest what is not the guest's; else nothing."""
        return ""

    def shut_down(self) -> str:
        """Says so if a guest ended in a triple fault; else nothing."""
        return ""

    def examine(self, why: str) -> None:
        """Adds to host.log what each process on the host does, for when one seems stuck."""
        try:
            told = self.run(["sh", "-s"], stdin=EXAMINE.read_bytes(), timeout=EXAMINE_LIMIT)
            text = told.stdout + told.stderr
        except (HostGone, OSError) as error:
            text = f"the host does not answer: {error}\n"
        with open(self.logs / "host.log", "a", encoding="utf-8") as log:
            log.write(f"== {why}\n{text}")

    # -- commands

    def begin(self, what: str, **request) -> Job:
        job = Job(self, next(self.numbers), what)
        self.jobs[job.number] = job
        self.note(f"[{job.number}] {what}")
        try:
            self.link.send_json(wire.START, job.number, **request)
        except OSError as error:
            raise HostGone(f"the host is gone: {error}; see {self.logs}") from error
        return job

    def spawn(self, command, env=None, cwd=None, terminal=None) -> Job:
        """Starts a command (a list, or text for sh) and returns at once."""
        argv = ["sh", "-c", command] if isinstance(command, str) else [str(word) for word in command]
        request = {"argv": argv, "env": env or {}}
        if cwd:
            request["cwd"] = str(cwd)
        if terminal:
            request["terminal"] = terminal
        return self.begin(shlex.join(argv), do="run", **request)

    def run(self, command, timeout=60.0, stdin=b"", env=None, cwd=None) -> Result:
        """Runs a command to its end; one that is not done in time is killed, status 124."""
        job = self.spawn(command, env=env, cwd=cwd)
        job.write(stdin)
        job.close_input()
        try:
            status = job.wait(timeout)
        except TimeoutError:
            job.kill()
            status = ENDED_BY_LIMIT
        return Result(status, job.output(), job.errors())

    def check(self, command, **options) -> str:
        """Runs a command that must succeed and gives its output."""
        result = self.run(command, **options)
        if result.status != 0:
            raise AssertionError(f"{command}: status {result.status}\n{result.stdout}{result.stderr}")
        return result.stdout

    # -- files

    def put(self, local, remote, timeout=60.0) -> None:
        path = Path(local)
        self.put_bytes(path.read_bytes(), remote, path.stat().st_mode & 0o777, timeout)

    def put_bytes(self, data: bytes, remote, mode=0o644, timeout=60.0) -> None:
        job = self.begin(f"put {remote}", do="put", path=str(remote), mode=mode)
        job.write(data)
        job.close_input()
        job.wait(timeout)

    def get(self, remote, local, timeout=60.0) -> None:
        job = self.begin(f"get {remote}", do="get", path=str(remote))
        job.wait(timeout)
        Path(local).write_bytes(job.output_bytes())

    def put_tree(self, local, remote, timeout=120.0) -> None:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            tar.add(local, arcname=".")
        self.check(["mkdir", "-p", remote])
        self.check(["tar", "-xf", "-", "-C", remote], stdin=packed.getvalue(), timeout=timeout)


class EmulatedHost(Host):
    """thread: multi has QEMU run each processor in a thread of its own, single all of them in one."""

    kit = Path("/kit")
    scratch = Path("/scratch")
    # The emulated processor forgets that STI holds interrupts off for one instruction of a nested
    # guest: one that is taken between STI and HLT finds the guest asleep afterwards.  A periodic
    # tick ends such a sleep; any monitor's guests need it here.
    guest_words = "nohz=off"

    def __init__(self, logs, smp=2, memory="4G", cpu=CPU, append="", extra=(), thread="multi"):
        super().__init__(logs)
        self.options = ["-smp", str(smp), "-m", memory, "-cpu", cpu]
        self.append = append
        self.thread = thread
        self.extra = list(extra)
        self.qemu = None
        self.folder = None

    def connect(self) -> None:
        kit = artifacts.host_kit()
        self.folder = tempfile.TemporaryDirectory(prefix="stencil-rig-")
        here = Path(self.folder.name)
        disk = here / "scratch.ext4"
        artifacts.write_ext4(disk, SCRATCH_SIZE)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(here / "agent"))
        listener.listen(1)
        listener.settimeout(START_LIMIT * patience())
        self.started = time.monotonic()
        with open(self.logs / "qemu.log", "wb") as log:
            self.qemu = subprocess.Popen(self.command(kit, here), stdin=subprocess.DEVNULL,
                                         stdout=log, stderr=log)
        threading.Thread(target=self.watch, args=(listener,), daemon=True).start()
        try:
            stream, _ = listener.accept()
        except OSError as error:
            raise HostGone(f"qemu did not start: {error}; see {self.logs}/qemu.log") from error
        listener.close()
        fd = stream.detach()
        self.link = wire.Channel(fd, fd)

    def watch(self, listener) -> None:
        """Ends the wait for a QEMU that does not even start."""
        self.qemu.wait()
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)

    def stopwatch(self) -> Stopwatch:
        return Stopwatch(self.qemu.pid)

    def command(self, kit: Path, here: Path) -> list:
        def disk(number: int, file: Path, options: str) -> list:
            return ["-drive", f"file={file},if=none,id=d{number},format=raw,{options}",
                    "-device", f"virtio-blk-pci,drive=d{number}"]

        khz = tsc_khz()
        words = [KERNEL_LINE, f"tsc_early_khz={khz}" if khz else "", self.append]
        return [
            # QEMU must not outlive the test that started it.
            "setpriv", "--pdeathsig", "KILL",
            "qemu-system-x86_64", "-M", "q35", "-accel", f"tcg,thread={self.thread}", *self.options,
            "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
            "-serial", f"file:{self.logs / 'console'}",
            "-qmp", f"unix:{here / 'qmp'},server=on,wait=off",
            "-kernel", kit / "vmlinuz", "-initrd", kit / "initrd.gz",
            "-append", " ".join(filter(None, words)),
            *disk(0, kit / "root.ext4", "readonly=on"),
            *disk(1, kit / "kit.ext4", "readonly=on"),
            *disk(2, here / "scratch.ext4", "cache=unsafe,discard=unmap"),
            "-chardev", f"socket,id=agent,path={here / 'agent'}",
            "-device", "virtio-serial-pci", "-device", "virtserialport,chardev=agent,name=rig",
            *self.extra,
        ]

    def forget(self) -> None:
        self.run(f"echo > {TRACE}")

    def mixed_up(self) -> str:
        """The first exit of a guest that had the host's registers (mixup.py)."""
        return next((exit for exit in self.kept_exits() if SHUTDOWN not in exit), "")

    def shut_down(self) -> str:
        return next((exit for exit in self.kept_exits() if SHUTDOWN in exit), "")

    def kept_exits(self) -> list:
        try:
            kept = self.run(f"grep -v '^#' {TRACE}", timeout=EXAMINE_LIMIT)
        except (HostGone, OSError):
            return []
        return [line.strip() for line in kept.stdout.splitlines()]

    def examine(self, why: str) -> None:
        """Adds to processors.log what the emulated processors do, twice, a moment apart."""
        super().examine(why)
        with open(self.logs / "processors.log", "a", encoding="utf-8") as log:
            log.write(f"== {why}\n")
            for command in ("info registers -a", "info lapic 0", "info lapic 1",
                            "info registers -a"):
                log.write(f"-- {command}\n{self.monitor(command)}\n")

    def monitor(self, command: str) -> str:
        """What QEMU's human monitor answers."""
        if self.qemu.poll() is not None:
            return f"qemu ended with status {self.qemu.returncode}"
        with socket.socket(socket.AF_UNIX) as stream:
            stream.settimeout(10)
            stream.connect(str(Path(self.folder.name) / "qmp"))
            with stream.makefile("rw", encoding="utf-8") as lines:
                lines.readline()
                for execute, arguments in (("qmp_capabilities", {}),
                                           ("human-monitor-command", {"command-line": command})):
                    json.dump({"execute": execute, "arguments": arguments}, lines)
                    lines.flush()
                    answer = json.loads(lines.readline())
        return str(answer.get("return", answer)).replace("\r", "")

    def close(self) -> None:
        if self.qemu and self.qemu.poll() is None:
            self.qemu.kill()
            self.qemu.wait()
        if self.folder:
            self.folder.cleanup()
        super().close()


class ThisMachine(Host):
    """The same face for the machine itself: its agent is a child process."""

    def __init__(self, logs):
        super().__init__(logs)
        self.agent = None

    def connect(self) -> None:
        self.kit = artifacts.guest_kit()
        self.scratch = Path(tempfile.mkdtemp(prefix="stencil-here-", dir="/var/tmp"))
        ours, theirs = socket.socketpair()
        program = Path(__file__).with_name("agent.py")
        with theirs:
            self.agent = subprocess.Popen([sys.executable, program, "-"], stdin=theirs,
                                          stdout=theirs)
        fd = ours.detach()
        self.link = wire.Channel(fd, fd)

    def close(self) -> None:
        for job in self.jobs.values():
            with contextlib.suppress(OSError):
                job.kill()
        if self.agent:
            self.agent.send_signal(signal.SIGTERM)
            self.agent.wait()
        shutil.rmtree(self.scratch, ignore_errors=True)
        super().close()

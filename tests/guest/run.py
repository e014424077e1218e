#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the guest programs of payloads.json on a monitor and says which of them passed.

    run.py --vmm build/machine/stencil [--payloads build/tests/guest] [NAME...]
    run.py --vmm qemu                     cross-check: what fails here is the payload's own fault
    run.py --vmm qemu-kvm --ground rig    the same on a real KVM

Ground: /dev/kvm of this machine if payloads get through on it, else the rig; --ground decides by
hand.  For the rig one host is started, and this same script runs inside it.  For each case one
line, `ok`, `not ok` or `skip`, and at the end `N passed, N failed, N skipped`.
The status is 0 when none failed, 1 when one did, 77 when all were skipped.

A payload ends by itself (lib/report.h has the statuses).  At its migrate point it waits for a byte,
which this script sends at once in mode plain.  In mode restore it first saves the VM to a template
and ends it, and the payload goes on in a new one that is restored from it; in mode generations the
new one is saved and restored again, ten times over.  Mode stream moves it twice through a
stream instead: into a file by way of a pipe that getfd passes, behind something else in it, and back
from a descriptor; then into a file of its own, and back from that.  In mode lazy it moves a few times
through a folder, with RAM that comes on demand, and every other time with none that was not asked for.
The text of a line `INPUT TEXT` it sends back
as it is.  Everything that a case printed is kept under --logs.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import selectors
import shlex
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "rig"))  # in the rig they lie beside this file
from part import one_of  # noqa: E402
from qmp import Qmp, QmpError  # noqa: E402

STATUS_PASS = 33
STATUS_SKIP = 39
SKIP_ALL = 77
RIG_FOLDER = "/scratch/payloads"
RIG_MEMORY = "8G"
# The payloads leave the guest ten thousand times a second.  With two threads QEMU 7.2 then leaves
# the host's registers in a guest now and then (kvm_exit shows the guest behind the host's VMRUN).
RIG_THREAD = "single"
RIG_WORD = "emulated-host"  # payloads forgive such a host what QEMU cannot do
RIG_PATIENCE = 5  # times longer than on the machine itself
RIG_SILENCE = 500  # seconds; no case has as long
QEMU_SLOTS = 8
QEMU_SLOT_BASE = 0xfeb00000
QEMU_SLOT_SIZE = 512
QEMU_SLOT_IRQ = 16


OPTIONAL = {"name", "payload", "disk", "initrd", "repeat", "unless", "stays"}


class Case:
    """One line of payloads.json, defaults filled in."""

    def __init__(self, fields, defaults, patience, words):
        unknown = set(fields) - set(defaults) - OPTIONAL
        if unknown:
            raise SystemExit(f"payloads.json: case {fields.get('name')}: unknown {sorted(unknown)}")
        merged = {**defaults, **fields}
        self.name = merged["name"]
        self.payload = merged.get("payload", self.name)
        self.machine = merged["machine"]
        self.cpus = merged["cpus"]
        self.memory = merged["memory"]
        self.append = " ".join(filter(None, [self.payload, merged["append"], *words]))
        count, words_of_one = merged.get("repeat", [0, []])
        self.args = merged["args"] + words_of_one * count
        self.disk = merged.get("disk")  # MiB
        self.initrd = merged.get("initrd")  # bytes
        self.timeout = merged["timeout"] * patience
        self.modes = merged["modes"]
        self.expect = merged["expect"]
        self.unless = merged.get("unless", {})
        self.stays = merged.get("stays", {})  # word: why it is not moved to another process there


class Outcome:
    """What a monitor did: its status (None when time ran out), the lines on the guest's console, and
    the last word of the monitor itself."""

    def __init__(self, status, lines, complaint, seconds):
        self.status = status
        self.lines = lines
        self.complaint = complaint
        self.seconds = seconds

    def last_line(self):
        return next((line for line in reversed(self.lines) if line.strip()), "")


def fill_in(arg, files):
    for name, path in files.items():
        arg = arg.replace("{" + name + "}", str(path))
    return arg


class Stencil:
    """Our own command line, on KVM."""

    kind = "stencil"

    def __init__(self, binary):
        self.binary = binary

    def command(self, case, elf, files):
        argv = [self.binary, "-machine", case.machine, "-cpu", "host", "-smp", str(case.cpus),
                "-m", case.memory, "-kernel", str(elf), "-append", case.append,
                "-serial", "stdio", "-device", "isa-debug-exit,iobase=0xf4,iosize=4"]
        return argv + [fill_in(arg, files) for arg in case.args]


class Qemu:
    """QEMU's microvm; its addresses differ, which payloads learn from their command line."""

    def __init__(self, accel):
        self.kind = "qemu-" + accel
        # Some hosts refuse to set the one MSR behind this feature.
        self.cpu = "host,arch-capabilities=off" if accel == "kvm" else "max"
        self.accel = accel

    def command(self, case, elf, files):
        slots = [f"virtio_mmio.device={QEMU_SLOT_SIZE}@0x{QEMU_SLOT_BASE + n * QEMU_SLOT_SIZE:x}"
                 f":{QEMU_SLOT_IRQ + n}" for n in range(QEMU_SLOTS)]
        machine = f"{case.machine},ioapic2=off,rtc=on,accel={self.accel}"
        argv = ["qemu-system-x86_64", "-M", machine, "-cpu", self.cpu, "-smp", str(case.cpus),
                "-m", case.memory, "-nodefaults", "-no-user-config", "-display", "none",
                "-global", "virtio-mmio.force-legacy=false", "-kernel", str(elf),
                "-append", " ".join(["qemu", self.accel, case.append] + slots), "-serial", "stdio",
                "-device", "isa-debug-exit,iobase=0xf4,iosize=4"]
        return argv + [fill_in(arg, files) for arg in case.args]


QEMUS = {"qemu": Qemu("tcg"), "qemu-kvm": Qemu("kvm")}


class Process:
    """A monitor with pipes on its console, read line by line until it ends or its time is up."""

    def __init__(self, argv, log, timeout, fd=None):
        self.log = log
        self.started = time.monotonic()
        self.deadline = self.started + timeout
        self.errors = tempfile.TemporaryFile()
        self.log.write(f"# {shlex.join(argv)}\n".encode())
        self.child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=self.errors, start_new_session=True,
                                      pass_fds=[] if fd is None else [fd])
        os.set_blocking(self.child.stdout.fileno(), False)

    def lines(self):
        """Yields each line as it is complete; the last one may lack its end."""
        pending = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self.child.stdout, selectors.EVENT_READ)
            while time.monotonic() < self.deadline:
                if not selector.select(self.deadline - time.monotonic()):
                    break
                data = self.child.stdout.read()
                if data == b"":
                    break
                self.log.write(data or b"")
                *complete, pending = (pending + (data or b"")).split(b"\n")
                for line in complete:
                    yield line.decode(errors="replace").rstrip("\r")
        if pending:
            yield pending.decode(errors="replace")

    def send(self, data):
        try:
            self.child.stdin.write(data)
            self.child.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended; its status tells more

    def kill(self):
        os.killpg(self.child.pid, signal.SIGKILL)

    def finish(self, lines):
        """What became of it; its status is negative for a signal, None if it had to be killed."""
        try:
            status = self.child.wait(max(self.deadline - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            self.kill()
            self.child.wait()
            status = None
        self.child.stdout.close()
        try:
            self.child.stdin.close()
        except BrokenPipeError:
            pass
        self.errors.seek(0)
        errors = self.errors.read()
        self.errors.close()
        self.log.write(b"# what it said itself\n" + errors if errors else b"")
        complaint = errors.decode(errors="replace").strip().rpartition("\n")[2]
        return Outcome(status, lines, complaint, time.monotonic() - self.started)


class Folder:
    """How a VM moves: through a template's folder."""

    is_taken_later = False

    def __init__(self, folder):
        self.path = f"{folder}/template"

    def save(self, qmp):
        qmp.freeze(self.path)

    def incoming(self):
        """What -incoming says, and the descriptor that goes with it."""
        return f"file:{self.path}", None


class LazyFolder(Folder):
    """RAM comes when it is touched; every other time nothing else ever does."""

    def __init__(self, folder):
        super().__init__(folder)
        self.fills = False

    def incoming(self):
        self.fills = not self.fills
        return f"file:{self.path},memory=lazy,fill={'on' if self.fills else 'off'}", None


class Stream:
    """A folder's content as one stream.  The file has a header of somebody else's in front of it every other
    time; its length is no multiple of anything."""

    is_taken_later = True  # while QMP answers already

    def __init__(self, folder):
        self.path = f"{folder}/stream"
        self.header = b""

    def save(self, qmp):
        self.header = b"" if self.header else b"not a template\n"
        with open(self.path, "wb") as file:
            file.write(self.header)
        with open(self.path, "ab") as file:
            with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=file) as cat:
                qmp.pass_fd("migrate", cat.stdin.fileno())
                cat.stdin.close()
                qmp.freeze_to("fd:migrate")

    def incoming(self):
        if not self.header:
            return f"file:{self.path}", None
        fd = os.open(self.path, os.O_RDONLY)
        os.lseek(fd, len(self.header), os.SEEK_SET)
        return f"fd:{fd}", fd


class Play:
    """A payload from start to end, in one monitor or, if it moves, in one after another."""

    def __init__(self, argv, case, log, mode):
        self.argv = argv
        self.case = case
        self.log = log
        self.moves, self.way = MODES[mode]
        self.moved = 0
        self.lines = []
        self.deadline = time.monotonic() + case.timeout

    def run(self):
        with tempfile.TemporaryDirectory(prefix="template-") as folder:
            way = self.way(folder)
            self.start(folder)
            while (line := next(self.coming, None)) is not None:
                self.lines.append(line)
                if line.startswith("MIGRATE-POINT "):
                    try:
                        self.move(folder, way)
                    except (OSError, QmpError) as error:
                        self.lines.append(f"not ok moving: {error}")
                        self.process.kill()
                        break
                    self.process.send(b"\n")
                elif line.startswith("INPUT "):
                    self.process.send(line[len("INPUT "):].encode())
            return self.process.finish(self.lines)

    def start(self, folder, *more, fd=None):
        argv = [*self.argv, *more]
        if self.moves:
            # The one before may still hold its socket.
            control = f"{folder}/qmp{self.moved}"
            argv += ["-qmp", f"unix:{control},server=on,wait=off"]
        self.process = Process(argv, self.log, self.left(), fd)
        self.coming = self.process.lines()

    def move(self, folder, way):
        for _ in range(self.moves):
            way.save(Qmp(f"{folder}/qmp{self.moved}", self.left()))
            self.lines += self.coming
            end = self.process.finish([])
            self.moved += 1
            uri, fd = way.incoming()
            self.start(folder, "-incoming", uri, fd=fd)
            if fd is not None:
                os.close(fd)
            if way.is_taken_later:
                # What is typed before it is there is lost.
                Qmp(f"{folder}/qmp{self.moved}", self.left()).wait_migration()
            if end.status != 0:
                raise QmpError(f"the saved VM ended with status {end.status}: {end.complaint}")

    def left(self):
        return max(self.deadline - time.monotonic(), 0.1)


GENERATIONS = 10
# How often it moves at each migrate point, and how.
MODES = {"plain": (0, Folder), "restore": (1, Folder), "generations": (GENERATIONS, Folder),
         "stream": (2, Stream), "lazy": (4, LazyFolder)}


def judge(case, outcome):
    """('ok' | 'not ok' | 'skip', reason)"""
    last = outcome.last_line()
    if outcome.status == STATUS_SKIP and last.startswith("SKIP "):
        return "skip", last[len("SKIP "):]
    if outcome.status is None:
        return "not ok", f"no end after {case.timeout} s; last line: {last} {outcome.complaint}"
    if outcome.status != case.expect["status"]:
        wrong = [line for line in outcome.lines if line.startswith("not ok ")]
        detail = "; ".join(filter(None, [*wrong[:3], last, outcome.complaint]))
        return "not ok", f"status {outcome.status}, expected {case.expect['status']}: {detail}"
    if not last.startswith(case.expect["last"]):
        return "not ok", f"last line: {last!r}, expected {case.expect['last']!r}"
    return "ok", ""


def make_files(case, folder):
    """What the case's arguments name in braces, as far as it needs it."""
    files = {"disk": folder / "disk", "initrd": folder / "initrd"}
    if case.disk:
        files["disk"].touch()
        os.truncate(files["disk"], case.disk * 1024 * 1024)
    if case.initrd:  # the pattern is boot.c's
        files["initrd"].write_bytes(bytes((i * 7 + (i >> 8)) & 0xff for i in range(case.initrd)))
    return files


def run_case(vmm, case, mode, options):
    """Result of one case in one mode: (label, verdict, seconds, reason)."""
    label = case.name if mode == "plain" else f"{case.name}/{mode}"
    if vmm.kind in case.unless:
        return label, "skip", 0.0, case.unless[vmm.kind]
    reasons = [case.stays[word] for word in options.words if word in case.stays]
    if mode != "plain" and reasons:
        return label, "skip", 0.0, reasons[0]
    if mode != "plain" and vmm.kind != "stencil":
        return label, "skip", 0.0, "templates are Stencil's own"
    if vmm.kind != "qemu-tcg" and not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return label, "skip", 0.0, "/dev/kvm is missing, or not ours to open"
    elf = options.payloads / f"{case.payload}.elf"
    if not elf.exists():
        return label, "not ok", 0.0, f"{elf} is not built"
    with tempfile.TemporaryDirectory(prefix="payload-") as scratch:
        files = make_files(case, pathlib.Path(scratch))
        log_path = options.logs / f"{label.replace('/', '-')}.log"
        with open(log_path, "wb", buffering=0) as log:
            outcome = Play(vmm.command(case, elf, files), case, log, mode).run()
    verdict, reason = judge(case, outcome)
    if verdict == "not ok":
        reason += f" ({log_path})"
    return label, verdict, outcome.seconds, reason


def run_all(vmm, cases, options):
    """Runs the cases, prints their lines as they end, returns the counts by verdict."""
    counts = {"ok": 0, "not ok": 0, "skip": 0}
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        futures = [pool.submit(run_case, vmm, case, mode, options)
                   for case in cases for mode in case.modes]
        for future in concurrent.futures.as_completed(futures):
            label, verdict, seconds, reason = future.result()
            counts[verdict] += 1
            print(f"{verdict} {label} ({seconds:.1f} s): {reason}".rstrip(": "), flush=True)
    return counts


def load_cases(names, options):
    with open(HERE / "payloads.json", encoding="utf-8") as f:
        data = json.load(f)
    cases = [Case(fields, data["defaults"], options.patience, options.words) for fields in data["cases"]]
    known = {case.name for case in cases} | {case.payload for case in cases}
    for name in names:
        if name not in known:
            raise SystemExit(f"run.py: no case {name}; known: {' '.join(sorted(known))}")
    return [case for case in cases if not names or case.name in names or case.payload in names]


def kvm_runs_payloads(vmm, options):
    """True if the smallest payload gets through on /dev/kvm here."""
    return run_case(vmm, load_cases(["ticks"], options)[0], "plain", options)[1] == "ok"


def run_in_rig(options):
    """Starts a host, runs this script in it, shows what it prints; its status is ours."""
    sys.path.insert(0, str(HERE.parents[1]))
    # pylint: disable=import-outside-toplevel
    from tests.rig.host import EmulatedHost
    from tests.rig.job import HostGone

    try:
        return run_on(EmulatedHost, options)
    except HostGone as error:
        print(f"not ok rig: {error}")
        return 1


def run_on(kind, options):
    """As run_in_rig(), on a host of that kind."""
    # pylint: disable=import-outside-toplevel
    from tests.rig.stopwatch import patience

    logs = options.logs / f"rig-{options.part.replace('/', '-of-')}"
    with kind(logs, memory=RIG_MEMORY, thread=RIG_THREAD) as host:
        host.run(["mkdir", "-p", RIG_FOLDER])
        for file in [HERE / "run.py", HERE / "payloads.json", HERE.parent / "rig/part.py",
                     HERE.parent / "rig/qmp.py", *options.payloads.glob("*.elf")]:
            host.put(file, f"{RIG_FOLDER}/{file.name}")
        vmm = options.vmm
        if vmm not in QEMUS:
            vmm = f"{RIG_FOLDER}/vmm"
            host.put(options.vmm, vmm)
        # What holds up the host as a whole cannot be seen from inside.
        job = host.spawn(["python3", f"{RIG_FOLDER}/run.py", "--vmm", vmm, "--ground", "local",
                          "--payloads", RIG_FOLDER, "--jobs", str(options.jobs),
                          "--patience", str(RIG_PATIENCE * patience()), "--words", RIG_WORD,
                          "--part", options.part, *options.names],
                         env={"TMPDIR": RIG_FOLDER})
        status = show_until_end(host, job)
        packed = host.run(["tar", "-cf", f"{RIG_FOLDER}/logs.tar", "-C", RIG_FOLDER, "logs"])
        if packed.status == 0:
            host.get(f"{RIG_FOLDER}/logs.tar", logs / "logs.tar")
    return status


def show_until_end(host, job):
    """Prints the job's output line by line while it runs; a host that falls silent is dead."""
    # pylint: disable=import-outside-toplevel
    from tests.rig.job import HostGone

    watch = host.stopwatch()
    heard = shown = 0
    status = None
    while status is None:
        try:
            status = job.wait(0.5)
        except TimeoutError:
            pass
        text = job.output()
        end = text.rfind("\n") + 1
        print(text[shown:end], end="", flush=True)
        if end > shown:
            heard, shown = watch.seconds(), end
        elif status is None and watch.seconds() - heard > RIG_SILENCE:
            raise HostGone(f"no word from it for {RIG_SILENCE} s")
    print(job.errors(), end="", file=sys.stderr)
    return status


def parse_arguments():
    parser = argparse.ArgumentParser(description="run the guest payloads")
    parser.add_argument("--vmm", required=True, help="the stencil binary, qemu or qemu-kvm")
    parser.add_argument("--payloads", type=pathlib.Path,
                        default=HERE.parents[1] / "build/tests/guest",
                        help="folder with the .elf files (default: %(default)s)")
    parser.add_argument("--ground", choices=["auto", "local", "rig"], default="auto")
    parser.add_argument("--rig", dest="ground", action="store_const", const="rig",
                        help="the same as --ground rig")
    parser.add_argument("--patience", type=float, default=1, help="multiplies every time limit")
    parser.add_argument("--words", action="append", default=[], metavar="WORD",
                        help="one more word for every command line")
    parser.add_argument("--logs", type=pathlib.Path, help="default: PAYLOADS/logs")
    parser.add_argument("--part", default="1/1", metavar="I/N", help="every Nth case, from the Ith")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("names", nargs="*", help="cases or payloads; all when none is given")
    options = parser.parse_args()
    options.payloads = options.payloads.resolve()
    options.logs = (options.logs or options.payloads / "logs").resolve()
    return options


def main():
    options = parse_arguments()
    cases = one_of(load_cases(options.names, options), options.part)
    if options.list:
        print("\n".join(f"{case.name}: {' '.join(case.modes)}" for case in cases))
        return 0
    options.logs.mkdir(parents=True, exist_ok=True)
    if options.vmm not in QEMUS and not os.access(options.vmm, os.X_OK):
        raise SystemExit(f"run.py: --vmm {options.vmm}: not a program that can be run")
    vmm = QEMUS[options.vmm] if options.vmm in QEMUS else Stencil(os.path.abspath(options.vmm))
    if options.ground == "rig" or (options.ground == "auto" and options.vmm != "qemu" and
                                   not kvm_runs_payloads(vmm, options)):
        return run_in_rig(options)
    counts = run_all(vmm, cases, options)
    print(f"{counts['ok']} passed, {counts['not ok']} failed, {counts['skip']} skipped")
    if counts["not ok"]:
        return 1
    return 0 if counts["ok"] else SKIP_ALL


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""Runs cases that need a Linux guest: one host for all of them, a line and a time limit for each.

A case is a function whose name is the sentence that it proves:

    @case()
    def poweroff_ends_the_vmm_with_status_0(lab): ...

    @case(cpus=(1, 2, 4))                  # one case for each value
    def boots_to_a_shell(lab, cpus): ...

It uses lab.host, lab.vmm and lab.guest(...), fails by any exception, and skips by Skip("reason").
"""
import itertools
import signal
import sys
import time
import traceback
from dataclasses import dataclass, field

from tests.rig.guest import Drive, Guest
from tests.rig.job import HostGone

CASE_LIMIT = 180
STALL_TRIES = 2
HOST_TRIES = 2
TAIL_LINES = 25


class Skip(Exception):
    pass


@dataclass
class Case:
    sentence: str
    body: object
    arguments: dict
    limit: int


@dataclass
class Lab:
    """What a case works with."""

    host: object
    make_vmm: object
    vmm: object = None
    case: str = ""
    guests: list = field(default_factory=list)

    def guest(self, **options) -> Guest:
        guest = Guest(self.host, self.vmm, name=self.case, **options)
        self.guests.append(guest)
        return guest

    def drive(self, file: str, options="", device_options="", direct=False) -> Drive:
        words = ",".join(filter(None, (options, self.vmm.direct[direct])))
        return Drive(file, words, device_options)

    def only(self, name: str, why: str) -> None:
        if self.vmm.name != name:
            raise Skip(f"{name} only: {why}")

    def fresh_disk(self, name: str, size: str) -> str:
        """A sparse file of that size on the host."""
        path = f"{self.host.scratch}/{name}"
        self.host.check(f"rm -f {path} && truncate -s {size} {path}")
        return path


class Cases(list):
    """The list that a module's decorators fill."""

    def __call__(self, limit: int = CASE_LIMIT, **values):
        def add(body):
            for choice in itertools.product(*values.values()):
                arguments = dict(zip(values, choice))
                words = [body.__name__.replace("_", " ")]
                words += [f"{name}={value}" for name, value in arguments.items()]
                self.append(Case(" ".join(words), body, arguments, limit))
            return body

        return add


class Runner:
    def __init__(self, open_host, make_vmm):
        self.open_host = open_host
        self.make_vmm = make_vmm
        self.lab = None
        self.counts = {"ok": 0, "not ok": 0, "skip": 0}
        self.watch = None
        self.limit = 0

    def run(self, cases) -> bool:
        signal.signal(signal.SIGALRM, self.out_of_time)
        try:
            for case in cases:
                self.run_case(case)
        finally:
            self.drop_host()
        print(f"{self.counts['ok']} passed, {self.counts['not ok']} failed, "
              f"{self.counts['skip']} skipped", flush=True)
        return self.counts["not ok"] == 0

    def run_case(self, case: Case) -> None:
        """A case whose emulated host failed, or whose guest stalled there, is tried again.

        A host that hangs, or is seen to mix up its own registers with a guest's (Host.mixed_up), says
        nothing about the case, so it gets HOST_TRIES of them.  Nested guests
        of the emulated processor lose a wake-up now and then under QEMU too, and the same mix-up can
        end in a triple fault, so neither a stall nor that tells whose fault it is: a case that passes
        only at the second try is no pass, it is skipped with that reason.  A wrong answer is a failure
        at once.
        """
        stalls = failed_hosts = 0
        while True:
            outcome, seconds, detail = self.attempt(case)
            stalls += outcome == "stalled"
            failed_hosts += outcome == "host failed"
            if outcome not in ("stalled", "host failed"):
                break
            if stalls == STALL_TRIES or failed_hosts == HOST_TRIES:
                outcome = "not ok"
                break
            print(f"# another try on a fresh host: {case.sentence}", flush=True)
            for line in detail.splitlines():
                print(f"#   {line}", flush=True)
            self.drop_host()
        if outcome == "ok" and stalls:
            outcome = "skip"
            detail = "stalled or ended in a triple fault, then passed on a fresh host: proves neither"
        self.report(outcome, case.sentence, seconds, detail)

    def attempt(self, case: Case):
        self.need_host()
        self.lab.case = case.sentence
        self.lab.guests = []
        detail = ""
        started = time.monotonic()
        self.watch, self.limit = self.lab.host.stopwatch(), case.limit
        signal.setitimer(signal.ITIMER_REAL, case.limit)
        try:
            self.lab.host.forget()
            case.body(self.lab, **case.arguments)
            outcome = "ok"
        except Skip as reason:
            outcome, detail = "skip", str(reason)
        except HostGone as error:
            self.drop_host()
            outcome, detail = "host failed", f"the host failed: {error}"
        except Exception as error:  # a failing case is a result, whatever it raised
            if isinstance(error, TimeoutError):
                self.lab.host.examine(case.sentence)
            stalled = isinstance(error, TimeoutError) and self.lab.host.guest_words
            shut_down = self.lab.host.shut_down()
            outcome = "stalled" if stalled or shut_down else "not ok"
            detail = f"{shut_down}\n{traceback.format_exc()}{self.consoles()}".lstrip()
            mix_up = self.lab.host.mixed_up()
            if mix_up:
                outcome = "host failed"
                detail = f"the host left its own registers in a guest: {mix_up}\n{detail}"
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        return outcome, time.monotonic() - started, detail

    def need_host(self) -> None:
        if self.lab is None:
            started = time.monotonic()
            host = self.open_host().__enter__()
            self.lab = Lab(host, self.make_vmm)
            self.lab.vmm = self.make_vmm(host)
            print(f"# host up in {time.monotonic() - started:.1f} s, logs in {host.logs}",
                  flush=True)

    def drop_host(self) -> None:
        if self.lab:
            self.lab.host.close()
            self.lab = None

    def consoles(self) -> str:
        """The end of what each guest of the failed case said."""
        text = ""
        for guest in filter(lambda one: one.job, self.lab.guests):
            for what, lines in (("console", guest.job.output()), ("stderr", guest.job.errors())):
                tail = lines.replace("\r", "").splitlines()[-TAIL_LINES:]
                text += f"-- {what} of {guest.job.what}\n" + "\n".join(tail) + "\n"
        return text

    def out_of_time(self, *_):
        left = self.limit - self.watch.seconds()
        if left <= 0:
            raise TimeoutError(f"the case took longer than its limit of {self.limit} s")
        signal.setitimer(signal.ITIMER_REAL, left)

    def report(self, outcome: str, sentence: str, seconds: float, detail: str) -> None:
        self.counts[outcome] += 1
        if outcome == "skip":
            print(f"skip {sentence}: {detail}", flush=True)
            return
        print(f"{outcome} {sentence} ({seconds:.1f} s)", flush=True)
        for line in detail.splitlines():
            print(f"#   {line}", file=sys.stdout, flush=True)

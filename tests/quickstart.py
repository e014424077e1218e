# SPDX-License-Identifier: Apache-2.0
"""The second half of ./quickstart: chooses the ground, boots a guest there, freezes one into a template
and starts five from it, and tells how long all that took.

    python3 -m tests.quickstart STENCIL [WORD...]     words are added to the kernel's command line
"""
import os
import shutil
import signal
import sys
import tempfile
import termios
import threading
import tty
from pathlib import Path

from tests import timed_boot
from tests.rig import artifacts
from tests.rig.host import ThisMachine
from tests.rig.probe import open_host

HERE = Path(__file__).resolve().parent


def forward_input(job) -> None:
    while data := os.read(0, 4096):
        job.write(data)


def show(job, interactive: bool) -> int:
    """The job's terminal on ours, until it ends."""
    saved = termios.tcgetattr(0) if interactive else None
    try:
        if saved:
            tty.setraw(0)
            threading.Thread(target=forward_input, args=[job], daemon=True).start()
        for part in job.stream():
            os.write(1, part)
        return job.wait(30)
    finally:
        if saved:
            termios.tcsetattr(0, termios.TCSADRAIN, saved)


def print_control(stencil: Path, socket: Path) -> None:
    """How to reach the guest while it runs."""
    tool = stencil.resolve().parent.parent / "stencilctl" / "stencilctl"
    print(f"Meanwhile, from another terminal:\n"
          f"    {tool} -s {socket} info    # or shell, events, stop, cont, ...; --help lists them",
          flush=True)


def play(host, interactive: bool, script: str, mode, words) -> int:
    columns, rows = shutil.get_terminal_size()
    command = ["python3", host.scratch / script, host.scratch / "stencil", host.kit,
               *([mode] if mode else []), *words]
    job = host.spawn([str(word) for word in command], cwd=host.scratch, terminal=[rows, columns],
                     env={"TERM": os.environ.get("TERM", "dumb")})
    return show(job, interactive)


def main() -> int:
    stencil, words = Path(sys.argv[1]), sys.argv[2:]
    interactive = os.isatty(0) and os.isatty(1)
    print("fetching the stock Debian kernel (once)", flush=True)
    artifacts.guest_kit()
    with open_host(tempfile.mkdtemp(prefix="stencil-quickstart-")) as host:
        if isinstance(host, ThisMachine):
            print("This machine's KVM runs ordinary kernels: the guest boots on it.", flush=True)
            print_control(stencil, host.scratch / timed_boot.SOCKET)
        else:
            print("This machine's KVM is missing or cannot run an ordinary kernel: "
                  "the guest boots inside an emulated host.", flush=True)
        host.put(stencil, host.scratch / "stencil")
        for script in ("timed_boot.py", "timed_clones.py", "rig/qmp.py"):
            host.put(HERE / script, host.scratch / Path(script).name)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        words = [*host.guest_words.split(), *words]
        status = play(host, interactive, "timed_boot.py", "stay" if interactive else "leave", words)
        return status or play(host, False, "timed_clones.py", None, words)


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""Boots one guest with its console on this terminal and tells how long its start took.

    timed_boot.py STENCIL KIT stay|leave [WORD...]

Runs where the guest runs, so the clocks are one.  "stay" leaves the person in the guest's shell;
"leave" powers the guest off as soon as its init has spoken.
"""
import os
import pty
import re
import select
import sys
import time
from datetime import datetime, timezone

READY = b"guest: ready"
LOG = "stencil.log"
SOCKET = "vm.sock"


def command(stencil: str, kit: str, stay: bool, words) -> list:
    append = ["console=ttyS0", "reboot=k", "panic=1", "quiet", *words]
    if not stay:
        append.append("guest.run=poweroff+-f")
    return [stencil, "-machine", "microvm", "-cpu", "host", "-m", "256M", "-D", LOG,
            "-msg", "timestamp=on", "-serial", "stdio",
            "-qmp", f"unix:{SOCKET},server,nowait", "-kernel", f"{kit}/vmlinux-cloud",
            "-initrd", f"{kit}/initrd-cloud.gz", "-append", " ".join(append)]


def first_instruction() -> float:
    """When the boot processor was let into the guest, by stencil's log."""
    with open(LOG, encoding="utf-8") as file:
        stamp = re.search(r"^(\S+)Z .*the guest starts$", file.read(), re.M)[1]
    return datetime.fromisoformat(stamp).replace(tzinfo=timezone.utc).timestamp()


def tell(started: float, ready: float) -> None:
    entered = first_instruction()
    print(f"\r\n--- exec to the first kernel instruction {1000 * (entered - started):.1f} ms, "
          f"to init {1000 * (ready - started):.0f} ms ---\r", flush=True)


def main() -> int:
    stencil, kit, stay, words = sys.argv[1], sys.argv[2], sys.argv[3] == "stay", sys.argv[4:]
    if os.path.exists(LOG):
        os.unlink(LOG)
    if stay:
        print("(the guest's shell; poweroff -f ends it)\r", flush=True)
    started = time.time()
    child, terminal = pty.fork()
    if child == 0:
        os.execv(stencil, command(stencil, kit, stay, words))
    sources, seen, told = [terminal] + ([0] if stay else []), b"", False
    while True:
        for source in select.select(sources, [], [])[0]:
            try:
                data = os.read(source, 4096)
            except OSError:  # the other end of the terminal is gone
                data = b""
            if source == terminal and not data:
                return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            if source == 0:
                if data:
                    os.write(terminal, data)
                else:
                    sources.remove(0)
                continue
            os.write(1, data)
            seen = (seen + data)[-4096:]
            if not told and READY in seen:
                told = True
                tell(started, time.time())


if __name__ == "__main__":
    sys.exit(main())

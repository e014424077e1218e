# SPDX-License-Identifier: Apache-2.0
"""A debugger in a stock guest: at a function of its kernel, a few instructions on, and away again."""
from pathlib import Path

from tests.linux.runner import Cases, Skip

case = Cases()

CLIENT = Path(__file__).resolve().parents[1] / "rig" / "rsp.py"
SYMBOL = "__x64_sys_sync"
LIMIT = 90.0
# What was seen on an emulated host.
EMULATED = {"Z0": "the exit for a breakpoint instruction names the address behind it",
            "Z1": "no exit comes for a breakpoint of the processor"}
REASONS = {"Z0": "swbreak", "Z1": "hwbreak"}


def address_of(guest, symbol: str) -> int:
    line = guest.sh(f"grep ' {symbol}$' /proc/kallsyms")
    return int(line.split()[0], 16)


@case(kind=("Z0", "Z1"), cpus=(1, 2))
def a_debugger_stops_steps_and_leaves_a_guest(lab, kind, cpus):
    lab.only("stencil", "its own gdb server")
    if lab.host.guest_words:
        raise Skip(f"{EMULATED[kind]}; whose fault it is has not been compared with the peer")
    path, client = f"{lab.host.scratch}/gdb", f"{lab.host.scratch}/rsp.py"
    lab.host.put(CLIENT, client)
    with lab.guest(smp=cpus, options=("-no-reboot", "-gdb", f"unix:{path}")) as guest:
        guest.ready()
        address = address_of(guest, SYMBOL)
        debugger = lab.host.spawn(["python3", client, path, kind, f"{address:x}"])
        debugger.expect("armed\n", LIMIT)
        guest.type("sync")
        stopped = debugger.expect(r"stopped (\S+) pc=(\w+)\n", LIMIT)
        assert int(stopped[2], 16) == address, stopped[0]
        assert f"{REASONS[kind]}:;" in stopped[1].decode(), stopped[0]
        seen = {address}
        for _ in range(3):
            pc = int(debugger.expect(r"stepped pc=(\w+)\n", LIMIT)[1], 16)
            assert pc not in seen, hex(pc)
            seen.add(pc)
        debugger.expect("detached\n", LIMIT)
        assert debugger.wait(LIMIT) == 0, debugger.errors()
        assert guest.sh("echo alive; sync; echo after").split() == ["alive", "after"]
        assert guest.power_off() == 0

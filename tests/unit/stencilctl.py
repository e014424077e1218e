# SPDX-License-Identifier: Apache-2.0
"""stencilctl against a real stencil that needs no KVM: stencilctl.py STENCIL STENCILCTL"""
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.support.ctl import LIMIT, FakeVm, Terminal, Tool, Vm  # noqa: E402


def answers_and_statuses(tool, vm):
    """Each verb does what its help says, and each exit status means what the manual says."""
    assert tool(vm, "status") == "prelaunch"
    assert json.loads(tool(vm, "--json", "status"))["running"] is False
    tool(vm, "cont")
    tool(vm, "wait", "running")
    answer = json.loads(tool(vm, "qmp", '{"execute": "query-name"}'))
    assert answer["return"]["name"] == "sample"
    tool(vm, "qmp", '{"execute": "no-such"}', status=1)
    assert "expected" in tool(vm, "qmp", "{", status=2)
    assert "did you mean 'reset'" in tool(vm, "rset", status=2)
    assert "expected: wait STATE" in tool(vm, "wait", status=2)
    assert "expected: stop" in tool(vm, "stop", "it", status=2)
    assert "did you mean 'running'" in tool(vm, "wait", "runing", status=2)
    assert "unknown option" in tool(vm, "--jsn", "status", status=2)
    assert "seconds" in tool(vm, "--timeout", "soon", "status", status=2)
    assert "no VM is named" in tool(None, "status", status=2)
    assert "expected a verb" in tool(vm, status=2)
    assert "time is up" in tool(vm, "--timeout", "0.1", "wait", "shutdown", status=4)
    assert tool(None, "status", env={"STENCIL_SOCKET": str(vm.socket)}) == "running"
    assert tool(None, "--version").startswith("stencilctl ")
    help_text = tool(None, "--help")
    assert "wait STATE" in help_text and "--timeout SECONDS" in help_text


def waiting_sees_a_change(tool, vm):
    with tool.start(vm, "wait", "paused") as waiter:
        tool(vm, "stop")
        assert waiter.wait(LIMIT) == 0


def reports(tool, vm):
    info = json.loads(tool(vm, "--json", "info"))
    assert info["name"] == {"name": "sample"} and info["status"]["status"] == "paused", info
    text = tool(vm, "info")
    assert re.search(r"^name +sample$", text, re.M) and re.search(r"^vCPUs +1$", text, re.M), text
    assert re.search(r"^memory +256M$", text, re.M), text
    text = tool(vm, "devices")
    assert re.search(r"^device +disk0 +virtio-blk-device$", text, re.M), text
    assert re.search(rf"^disk +root +{vm.disk}, raw, 1M, read-only$", text, re.M), text
    assert re.search(rf"^chardev +serial0 .*unix:{vm.console},server=on$", text, re.M), text
    assert re.search(r"^iothread +io1 +thread \d+$", text, re.M), text
    devices = json.loads(tool(vm, "--json", "devices"))
    assert devices["disks"][0]["device"] == "root" and devices["iothreads"][0]["id"] == "io1"


def colours_are_for_terminals(tool, vm):
    assert "\033" not in tool(vm, "status")
    with Terminal(tool.command(vm, "status")) as shown:
        assert "\033[33mpaused\033[0m" in shown.rest()
    with Terminal(tool.command(vm, "status"), env={"NO_COLOR": "1"}) as shown:
        assert shown.rest() == "paused\r\n"
    with Terminal(tool.command(vm, "--json", "status")) as shown:
        assert "\033" not in shown.rest()


def events_are_followed_to_the_end(tool, vm):
    with tool.start(vm, "--json", "events") as follower, tool.start(vm, "events") as reader, \
            tool.start(vm, "wait", "ended") as waiter:
        # A follower is known to listen once it has told of a first event.
        seen = {}
        for name, process in (("json", follower), ("text", reader)):
            tool.pump(vm, process)
        tool(vm, "quit")
        for name, process in (("json", follower), ("text", reader)):
            seen[name] = process.communicate(timeout=LIMIT)[0].splitlines()
            assert process.returncode == 0
        assert json.loads(seen["json"][-1])["event"] == "SHUTDOWN", seen
        assert re.match(r"\d\d:\d\d:\d\d\.\d{6} SHUTDOWN guest=false reason=host-qmp-quit",
                        seen["text"][-1]), seen
        assert waiter.wait(LIMIT) == 0
    assert vm.process.wait(LIMIT) == 0
    assert str(vm.socket) in tool(vm, "status", status=3)


def hostile_servers_are_survived(tool, folder):
    with FakeVm(folder, {"query-status": {"status": "\u001b[31m\u009bbad"}}) as vm:
        assert tool(vm, "status") == "\\u001b[31m\\u009bbad"
    with FakeVm(folder, {}, greeting=b"HTTP/1.1 200 OK\r\n") as vm:
        assert "no JSON" in tool(vm, "status", status=3)
    with FakeVm(folder, {}, greeting=b'{"hello": "you"}\n') as vm:
        assert "greet" in tool(vm, "status", status=3)
    with FakeVm(folder, {}, greeting=b"") as vm:
        assert "time is up" in tool(vm, "--timeout", "0.1", "status", status=4)
    with FakeVm(folder, {"query-status": 7, "query-chardev": {"a": 1}, "query-block": [3],
                         "qom-list": [{"name": 5}]}) as vm:
        assert tool(vm, "status") == "unknown"
        tool(vm, "devices")
        assert tool(vm, "info") == ""


def main() -> None:
    stencil, stencilctl = sys.argv[1:]
    tool = Tool(stencilctl)
    with tempfile.TemporaryDirectory() as folder:
        with Vm(stencil, Path(folder)) as vm:
            answers_and_statuses(tool, vm)
            waiting_sees_a_change(tool, vm)
            reports(tool, vm)
            colours_are_for_terminals(tool, vm)
            events_are_followed_to_the_end(tool, vm)
        hostile_servers_are_survived(tool, Path(folder))
    print("stencilctl does what it says")


main()

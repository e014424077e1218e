# SPDX-License-Identifier: Apache-2.0
"""stencilctl against a real stencil that needs no KVM: stencilctl.py STENCIL STENCILCTL"""
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import tty
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.support.ctl import LIMIT, FakeVm, Terminal, Tool, Vm, wait_until  # noqa: E402


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
    with tool.start(vm, "--json", "events") as follower, tool.start(vm, "events") as reader:
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
    assert vm.process.wait(LIMIT) == 0
    assert str(vm.socket) in tool(vm, "status", status=3)


def console_is_the_serial_line(tool, vm):
    """On a terminal, raw until the escape key; in a pipe; and when somebody else has it."""
    tool(vm, "cont")  # a device of a stopped VM is silent
    guest = socket.socket(socket.AF_UNIX)
    guest.connect(str(vm.qtest))
    replies = guest.makefile("rb")

    def qtest(line):
        guest.sendall(line.encode() + b"\n")
        while True:
            words = replies.readline().split()
            if words[0] != b"IRQ":
                return words

    with Terminal(tool.command(vm, "console")) as console:
        console.expect("^] leaves\r\n")
        for byte in b"hi":
            qtest(f"outb 0x3f8 {byte:#x}")
        console.expect("hi")
        console.type("\x03")  # a raw terminal gives it to the guest
        while not int(qtest("inb 0x3fd")[1], 0) & 1:
            pass
        assert int(qtest("inb 0x3f8")[1], 0) == 3
        with Terminal(tool.command(vm, "console", "serial0")) as other:
            other.expect("somebody is connected already")
            other.expect("leaves\r\n")
            console.type("\x1d")
            console.rest()
            qtest("outb 0x3f8 0x21")
            other.expect("!")
            os.kill(other.pid, signal.SIGTERM)
            other.rest()
    with Terminal(tool.command(vm, "--escape", "^A", "console")) as console:
        console.expect("^A leaves\r\n")
        console.type("\x01")
        console.rest()
    assert "expected ^ and a letter" in tool(vm, "--escape", "Q", "console", status=2)
    assert "no character device nothing" in tool(vm, "console", "nothing", status=1)
    with tool.start(vm, "console") as plain:
        wait_until(lambda: qtest("outb 0x3f8 0x3f") and select.select([plain.stdout], [], [], 0)[0],
                   "nothing comes through a pipe")
        plain.terminate()
        assert plain.communicate(timeout=LIMIT)[0].startswith("?") and plain.returncode == 0


def shell_edits_and_completes(tool, vm, folder):
    state = {"XDG_STATE_HOME": str(folder / "state")}
    with Terminal(tool.command(vm, "shell"), env=state) as shell:
        shell.expect_prompt("sample> ")
        shell.type("sta\t\r")
        shell.expect("running")
        shell.expect_prompt("sample> ")
        shell.type("qom-list pa\t/machine\r")  # an argument's name from the schema
        shell.expect("peripheral")
        shell.expect_prompt("sample> ")
        shell.type("system_\t")
        shell.expect("system_powerdown  system_reset\r\n")
        shell.expect_prompt("sample> ")
        shell.type("\x03wait runn\t\r")  # Ctrl-C gives up a line
        assert "no state" not in shell.expect_prompt("sample> ")
        shell.type("block_resize size=12 node-name=12\r")
        shell.expect("'12'")  # a string where the schema says so, and a number where not
        shell.expect_prompt("sample> ")
        shell.type("help block_resize\r")
        shell.expect("[device=string]")
        shell.expect("size=int")
        shell.expect_prompt("sample> ")
        shell.type("half a li")
        shell.expect("half a li")
        tool(vm, "stop")  # somebody else's event is shown above the line, which stays
        shell.expect("STOP")
        shell.expect("half a li")
        shell.type("\x03nonsense=\r")
        shell.expect("nonsense=")
        shell.expect_prompt("sample> ")
        shell.type("exit\r")
        shell.rest()
    with Terminal(tool.command(vm, "shell"), env=state) as shell:
        shell.expect_prompt("sample> ")
        shell.type("\x1b[A\x1b[A\x1b[A\r")  # history outlives the shell
        shell.expect("[device=string]")
        shell.expect_prompt("sample> ")
        shell.type("\x04")
        shell.rest()
    assert (folder / "state/stencil/history").stat().st_mode & 0o777 == 0o600


def shell_runs_scripts(tool, vm):
    text = tool(vm, "shell", text="# comment\n\ncont\nstatus\nquery-name\nstop\n"
                                  '{"execute": "query-status"}\n')
    assert text.startswith("running\n") and '"name": "sample"' in text and '"paused"' in text, text
    assert "no-such" in tool(vm, "shell", text="no-such\nquit\n", status=1)
    assert "expected argument=value" in tool(vm, "shell", text="qom-list /machine\n", status=2)
    tool(vm, "shell", text="status 'open quote\n", status=2)


def commands_are_typed_by_the_schema(tool, folder):
    schema = [{"name": "make", "meta-type": "command", "arg-type": "1", "ret-type": "2"},
              {"name": "1", "meta-type": "object", "members": [
                  {"name": "id", "type": "str"}, {"name": "size", "type": "int"},
                  {"name": "at", "type": "3"}]},
              {"name": "3", "meta-type": "object", "members": [{"name": "host", "type": "str"}]},
              {"name": "str", "meta-type": "builtin", "json-type": "string"},
              {"name": "\u001b]0;x", "meta-type": "command"}, 5]
    with FakeVm(folder, {"query-qmp-schema": schema, "make": {}}) as vm:
        tool(vm, "qmp", "make", "id=7", "size=7", "at.host=7", "at.more=[1, 2]", "other=x")
        assert vm.seen[-1]["arguments"] == {"id": "7", "size": 7, "other": "x",
                                            "at": {"host": "7", "more": [1, 2]}}, vm.seen[-1]
        assert "given twice" in tool(vm, "qmp", "make", "id=7", "id=8", status=2)
        assert "is no object" in tool(vm, "qmp", "make", "id=7", "id.b=8", status=2)
        assert "name is empty" in tool(vm, "qmp", "make", "id..x=7", status=2)


def pty_is_a_console_too(tool, folder):
    far, near = os.openpty()
    tty.setraw(near)
    chardevs = [{"label": "compat_monitor0", "filename": f"unix:{folder}/fake.sock,server=on"},
                {"label": "con", "filename": f"pty:{os.ttyname(near)}"}]
    with FakeVm(folder, {"query-chardev": lambda _: chardevs}) as vm:
        with Terminal(tool.command(vm, "console")) as console:
            console.expect("leaves\r\n")
            os.write(far, b"login: ")
            console.expect("login: ")
            console.type("root\r")
            assert os.read(far, 4)
            os.close(near)
            os.close(far)
            console.expect("the console is closed")
            console.rest()
        chardevs.append({"label": "other", "filename": "unix:/nowhere,server=on"})
        assert "name one: con other" in tool(vm, "console", status=2)
        chardevs[1:] = [{"label": "serial0", "filename": "stdio"}]
        assert "nobody can connect" in tool(vm, "console", status=1)
        chardevs[1:] = []
        assert "could be its console" in tool(vm, "console", status=1)


def migration(*steps):
    """query-migrate's answers, one after the other; the last one stays."""
    left = list(steps)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


def active(done):
    return {"status": "active", "ram": {"total": 1 << 30, "remaining": (1 << 30) - done,
                                        "transferred": done}}


def migration_shows_how_far_it_is(tool, folder):
    done = {"status": "completed", "total-time": 1500, "downtime": 20,
            "ram": {"total": 1 << 30, "remaining": 0, "transferred": 300 << 20}}
    answers = {"migrate": {}}
    with FakeVm(folder, answers) as vm:
        answers["query-migrate"] = migration({"status": "setup"}, active(0), active(512 << 20), done)
        with Terminal(tool.command(vm, "migrate", folder / "t")) as shown:
            text = shown.rest()
        assert re.search(r"\r\[.*\.\.\.\]   0%  0B of 1.0G", text), text
        assert re.search(r"\r\[.*##.*\]  50%  512M of 1.0G  .*/s  \d+ s left", text), text
        assert text.endswith(f"\r\033[Kfile:{folder}/t: 1.0G of RAM, 300M written, in 1.500 s; "
                             "the VM stood still for 0.020 s\r\n"), text
        assert {"execute": "migrate", "arguments": {"uri": f"file:{folder}/t"}} in vm.seen
        answers["query-migrate"] = done
        assert json.loads(tool(vm, "--json", "migrate", "tcp:h:1"))["status"] == "completed"
        assert vm.seen[-2]["arguments"] == {"uri": "tcp:h:1"}
        answers["query-migrate"] = {"status": "failed", "error-desc": "disk full"}
        assert "failed: disk full" in tool(vm, "migrate", "t", status=1)
        answers["query-migrate"] = {"status": "cancelled"}
        assert "cancelled" in tool(vm, "migrate", "t", status=1)
        answers["query-migrate"] = {}
        tool(vm, "migrate", "t", status=1)
        answers["query-migrate"] = active(5)
        assert "time is up" in tool(vm, "--timeout", "0.3", "migrate", "t", status=4)
        del answers["migrate"]
        assert "no command migrate" in tool(vm, "migrate", "t", status=1)


def template_is_shown_by_stencil(tool, folder):
    """stencil stands beside the tool, or in PATH."""
    place = folder / "bin"
    place.mkdir()
    (place / "stencil").write_text("#!/bin/sh\necho \"$@\"\n")
    (place / "stencil").chmod(0o755)
    path = {"PATH": f"{place}:/usr/bin:/bin"}
    assert tool(None, "template", "show", "/t", env=path) == "-dump-state /t"
    assert "cannot run" in tool(None, "template", "show", "/t", env={"PATH": "/nowhere"}, status=1)
    assert "show FOLDER" in tool(None, "template", "burn", "/t", status=2)


def waiting_sees_the_end(tool, folder):
    with FakeVm(folder, {}) as vm, tool.start(vm, "wait", "ended") as waiter:
        wait_until(lambda: "qmp_capabilities" in vm.answered, "nobody waits")
        assert waiter.poll() is None
        vm.hang_up()
        assert waiter.wait(LIMIT) == 0


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
            console_is_the_serial_line(tool, vm)
            shell_edits_and_completes(tool, vm, Path(folder))
            shell_runs_scripts(tool, vm)
            events_are_followed_to_the_end(tool, vm)
        for case in (commands_are_typed_by_the_schema, pty_is_a_console_too, migration_shows_how_far_it_is,
                     waiting_sees_the_end, template_is_shown_by_stencil,
                     hostile_servers_are_survived):
            case(tool, Path(folder))
    print("stencilctl does what it says")


main()

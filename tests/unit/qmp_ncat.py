# SPDX-License-Identifier: Apache-2.0
"""QMP as people and scripts use it, with Debian's ncat: qmp_ncat.py STENCIL

The lines are those of StratoVirt's guide to templates, which negotiates nothing, and those of
QEMU's documentation, which does.  One ncat per step, as the guides have it; ncat closes its half
of the connection when its input ends, and still gets every answer.
"""
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMIT = 60
SKIP = 77


def ncat(path, text: str) -> list:
    done = subprocess.run(["ncat", "-U", str(path)], input=text, text=True,
                          stdout=subprocess.PIPE, timeout=LIMIT, check=True)
    lines = done.stdout.split("\n")  # text mode has made one of each CRLF
    assert lines.pop() == "", lines
    return [json.loads(line) for line in lines]


def kinds(messages: list) -> list:
    """greeting, return, error and the names of events, in order."""
    return ["greeting" if "QMP" in m else m.get("event") or ("return" if "return" in m else "error")
            for m in messages]


def wait_for(path, vm) -> None:
    deadline = time.monotonic() + LIMIT
    while not path.exists():
        assert vm.poll() is None and time.monotonic() < deadline, "no QMP socket"
        time.sleep(0.01)


def guide(path, template) -> None:
    """StratoVirt's guide: stop in one ncat, the save in another, and its state in a third."""
    answer = ncat(path, '{"execute":"stop"}\n')
    assert kinds(answer) == ["greeting", "STOP", "return"], answer
    assert answer[2] == {"return": {}}, answer
    answer = ncat(path, '{"execute":"migrate", "arguments":{"uri":"file:%s"}}\n' % template)
    assert kinds(answer) == ["greeting", "return"], answer
    status = ""
    deadline = time.monotonic() + LIMIT
    while status != "completed":
        answer = ncat(path, '{"execute":"query-migrate"}\n')
        status = answer[1]["return"]["status"]
        assert status in ("setup", "active", "device", "completed"), answer
        assert time.monotonic() < deadline, answer
    assert sorted(file.name for file in template.iterdir()) == ["memory", "state"]
    assert kinds(ncat(path, '{"execute":"cont"}\n')) == ["greeting", "RESUME", "return"]


def scripts(path) -> None:
    """Scripts written for QEMU."""
    answer = ncat(path, '{ "execute": "qmp_capabilities" }\n{ "execute": "query-status" }\n')
    assert kinds(answer) == ["greeting", "return", "return"], answer
    assert answer[2]["return"]["running"] is True, answer
    # All in one line, with nothing between, and single quotes.
    answer = ncat(path, "{'execute':'qmp_capabilities'}{'execute':'query-name','id':7}")
    assert answer[2] == {"return": {"name": "sample"}, "id": 7}, answer
    # What needs negotiation says so, and the script can go on.
    answer = ncat(path, '{"execute":"query-status"}\n{"execute":"qmp_capabilities"}\n'
                        '{"execute":"human-monitor-command","arguments":'
                        '{"command-line":"info status"}}\n')
    assert kinds(answer) == ["greeting", "error", "return", "return"], answer
    assert answer[1]["error"]["class"] == "CommandNotFound", answer
    assert answer[3]["return"] == "VM status: running\r\n", answer
    many = '{"execute":"qmp_capabilities"}' + '{"execute":"query-version"}' * 1000
    assert kinds(ncat(path, many)) == ["greeting"] + ["return"] * 1001


def main() -> int:
    stencil, = sys.argv[1:]
    if not shutil.which("ncat"):
        print("there is no ncat here")
        return SKIP
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "socket"
        command = [stencil, "-machine", "none", "-accel", "qtest", "-name", "sample",
                   "-qmp", f"unix:{path},server,nowait"]
        vm = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        try:
            wait_for(path, vm)
            guide(path, Path(folder) / "template")
            scripts(path)
            answer = ncat(path, '{"execute":"quit"}\n')
            assert kinds(answer) == ["greeting", "SHUTDOWN", "return"], answer
            assert vm.wait(LIMIT) == 0
        finally:
            vm.kill()
    print("ncat and stencil understand each other")
    return 0


sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""Words that the house does not use, each with the reason; and the line that every file has."""
import re
import subprocess
import sys
from pathlib import Path

FOLDERS = ("util", "hypervisor", "devices", "machine", "migration", "qmp", "stencilctl")
# Pattern, why not, files where it is right.
BANNED = [
    (r"\bgoto\b", "owners clean up by scope", ()),
    (r"\b(exit|_exit|abort|g_error)\s*\(", "errors are values; only main ends the process, a forked child itself, and a refused call",
     ("machine/main.c", "machine/daemonize.c", "machine/sandbox.c", "devices/backend/terminal.c")),
    (r"__attribute__\(\(\s*(constructor|destructor|section)", "nothing runs that main does not call",
     ()),
    (r"\b(g_)?u?sleep\s*\(", "wait for the event, not for the time", ()),
    (r"\bassert\s*\(", "g_assert, and never on what a guest or a client sent", ()),
    (r"g_assert\w*\s*\([^;]*\b\w+\s*\([^;]*\)\s*\)\s*;.*/\* call \*/", "an assert holds no call", ()),
    (r"\b(TODO|FIXME|XXX)\b", "finish it, or file an issue", ()),
    (r"\bO_(RDONLY|RDWR|WRONLY)\b(?!.*O_CLOEXEC).*\bopen\s*\(", "O_CLOEXEC from birth", ()),
    (r"(?<![\w_])open\s*\((?!.*O_CLOEXEC)", "O_CLOEXEC from birth", ("util/fd.c",)),
    (r"\bsocket\s*\((?!.*SOCK_CLOEXEC)", "SOCK_CLOEXEC from birth", ()),
    (r"\bstrcpy\s*\(|\bstrcat\s*\(|\bsprintf\s*\(", "no unbounded string", ()),
]
SPDX = re.compile(r"SPDX-License-Identifier: Apache-2\.0")
NEEDS_SPDX = (".c", ".h", ".S", ".py", ".sh", "meson.build", ".ld")


def code_of(text: str) -> str:
    """The text with comments and strings blanked, line numbers kept."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match[0])
    return re.sub(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"', blank, text, flags=re.S)


def main() -> int:
    root, bad = Path(sys.argv[1]), []
    for path in sorted(p for f in FOLDERS for p in (root / f).rglob("*.[ch]")):
        name, text = path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")
        for number, line in enumerate(code_of(text).splitlines(), 1):
            for pattern, reason, right in BANNED:
                if re.search(pattern, line) and name not in right:
                    bad.append(f"{name}:{number}: {line.strip()}: {reason}")
        for number, line in enumerate(text.splitlines(), 1):
            if re.search(r"\b(TODO|FIXME|XXX)\b", line):
                bad.append(f"{name}:{number}: {line.strip()}: finish it, or file an issue")
        inside = False
        for number, line in enumerate(text.splitlines(), 1):
            inside = (inside or line.startswith("{")) and not line.startswith("}")
            if inside and re.match(r"\s*#\s*(if|ifdef|ifndef|else|elif)\b", line):
                bad.append(f"{name}:{number}: #if inside a function; let meson pick a file")
    files = subprocess.run(["git", "ls-files"], cwd=root, stdout=subprocess.PIPE, text=True,
                           check=True).stdout.split()
    for name in files:
        if name.endswith(NEEDS_SPDX) and (root / name).stat().st_size > 0:
            head = (root / name).read_text(encoding="utf-8", errors="replace")[:300]
            if not SPDX.search(head):
                bad.append(f"{name}: no SPDX line")
    print("\n".join(bad) or "every word is in its place")
    return bool(bad)


sys.exit(main())

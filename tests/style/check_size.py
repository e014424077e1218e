# SPDX-License-Identifier: Apache-2.0
"""How large a file may be, and main().  Other functions are clang-tidy's."""
import re
import sys
from pathlib import Path

LIMIT = {".c": 600, ".h": 250}
MAIN_LIMIT = 60
FOLDERS = ("util", "hypervisor", "devices", "machine", "migration", "qmp", "stencilctl")
# Const tables are not functions, and one table is better than two halves.
TABLES = {"hypervisor/x86/cpu_features.c"}


def main() -> int:
    root, bad = Path(sys.argv[1]), []
    for path in sorted(p for f in FOLDERS for p in (root / f).rglob("*.[ch]")):
        name, text = path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")
        lines = text.count("\n")
        if lines > LIMIT[path.suffix] and name not in TABLES:
            bad.append(f"{name}: {lines} lines, limit {LIMIT[path.suffix]}")
        story = re.search(r"^int main\(.*?^}", text, re.S | re.M)
        if story and story[0].count("\n") > MAIN_LIMIT:
            bad.append(f"{name}: main() has {story[0].count(chr(10))} lines, limit {MAIN_LIMIT}")
    print("\n".join(bad) or "no file is too large")
    return bool(bad)


sys.exit(main())

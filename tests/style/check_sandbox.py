# SPDX-License-Identifier: Apache-2.0
"""docs/security.md has a line for each rule of the sandbox, with the same roles and a reason."""
import re
import sys
from pathlib import Path

SOURCES = ("machine/sandbox_policy.c", "machine/sandbox_x86.c", "machine/sandbox_arm64.c")
DOCUMENT = "docs/security.md"
LETTERS = {"M": "main", "V": "vcpu", "L": "loop", "W": "worker", "G": "migration", "P": "prealloc",
           "F": "fill"}
RULE = re.compile(r"SANDBOX_(?:ALLOW|CHECKED|ANSWERED)\(([a-z0-9_]+), ([^,()]+)")
VALUE = re.compile(r"^    \{((?:KVM|TC|TIO|BLK|SCAN|UFFD|USERFAULTFD)[A-Z0-9_]+), ([^}]+)\},", re.M)
MACRO = re.compile(r"^#define ([A-Z]+) +(\([A-Z_ |]+\))$", re.M)
LINE = re.compile(r"^\| `(\w+)` \| ([^|]*) \| (.*) \|$", re.M)


def members(expression: str, macros: dict) -> set:
    found = set()
    for word in re.findall(r"\w+", expression):
        if word in macros:
            found |= members(macros[word], macros)
        else:
            found.add(LETTERS.get(word) or word.removeprefix("ROLE_").lower())
    return found


def roles(expression: str, macros: dict) -> str:
    """As the document writes them: "main vcpu", or "all"."""
    found = members(expression, macros)
    ordered = [name for name in LETTERS.values() if name in found]
    return "all" if len(ordered) == len(LETTERS) else " ".join(ordered)


def rules(root: Path) -> dict:
    found = {}
    for name in SOURCES:
        text = (root / name).read_text(encoding="utf-8")
        macros = {m[1]: m[2] for m in MACRO.finditer(text) if m[1] not in LETTERS}
        for pattern in (RULE, VALUE):
            found.update({m[1]: roles(m[2], macros) for m in pattern.finditer(text)})
    return found


def main() -> int:
    root = Path(sys.argv[1])
    code = rules(root)
    lines = {m[1]: (m[2], m[3]) for m in
             LINE.finditer((root / DOCUMENT).read_text(encoding="utf-8"))}
    bad = [f"{DOCUMENT}: no line for {name} ({who})" for name, who in sorted(code.items())
           if name not in lines]
    bad += [f"{DOCUMENT}: {name}: the filters say '{code[name]}', not '{who}'"
            for name, (who, _) in sorted(lines.items()) if code.get(name, who) != who]
    bad += [f"{DOCUMENT}: {name} is in no filter" for name in sorted(lines) if name not in code]
    bad += [f"{DOCUMENT}: {name}: why?" for name, (_, why) in sorted(lines.items()) if len(why) < 4]
    print("\n".join(bad) or f"{len(code)} rules of the sandbox are explained")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())

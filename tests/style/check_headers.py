# SPDX-License-Identifier: Apache-2.0
"""Each header compiles by itself and has the guard that its path says."""
import re
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDERS = ("util", "hypervisor", "devices", "machine", "migration", "qmp", "stencilctl")


def flags() -> list:
    packages = ["pkg-config", "--cflags", "glib-2.0", "json-c"]
    return subprocess.run(packages, stdout=subprocess.PIPE, text=True, check=True).stdout.split()


def main() -> int:
    root, bad = Path(sys.argv[1]), []
    names = sorted(p.relative_to(root).as_posix() for f in FOLDERS for p in (root / f).rglob("*.h"))
    for name in names:
        guard = re.sub(r"[/.]", "_", name).upper()
        if f"#ifndef {guard}\n#define {guard}\n" not in (root / name).read_text(encoding="utf-8"):
            bad.append(f"{name}: guard is not {guard}")
    command = ["gcc", "-std=gnu17", "-D_GNU_SOURCE", "-fsyntax-only", "-Wall", "-Werror", f"-I{root}",
               *flags(), "-x", "c"]
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            source = Path(folder) / "alone.c"
            source.write_text(f'#include "{name}"\n#include "{name}"\nextern int unused;\n',
                              encoding="utf-8")
            done = subprocess.run([*command, source], stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, check=False)
            if done.returncode != 0:
                bad.append(f"{name}: does not compile alone\n{done.stdout[:500]}")
    print("\n".join(bad) or "every header stands alone")
    return bool(bad)


sys.exit(main())

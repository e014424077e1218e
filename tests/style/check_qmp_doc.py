# SPDX-License-Identifier: Apache-2.0
"""docs/qmp.md is what qmp/generate.py makes of the schema, and nothing else."""
import subprocess
import sys
from pathlib import Path


def main() -> int:
    root = Path(sys.argv[1])
    # In the order of qmp/meson.build, which is the order of the document.
    build = (root / "qmp" / "meson.build").read_text(encoding="utf-8")
    listed = build.split("files(", 1)[1].split(")", 1)[0]
    files = [root / "qmp" / name.strip().strip("'") for name in listed.split(",")]
    made = subprocess.run([sys.executable, root / "qmp" / "generate.py", "doc", *files],
                          stdout=subprocess.PIPE, text=True, check=True).stdout
    if made != (root / "docs" / "qmp.md").read_text(encoding="utf-8"):
        print("docs/qmp.md is stale: qmp/generate.py doc qmp/schema/*.json > docs/qmp.md, with the"
              " files in the order of qmp/meson.build")
        return 1
    missing = set((root / "qmp" / "schema").glob("*.json")) - set(files)
    if missing:
        print(f"not in qmp/meson.build: {sorted(missing)}")
        return 1
    print("docs/qmp.md is what the schema says")
    return 0


sys.exit(main())

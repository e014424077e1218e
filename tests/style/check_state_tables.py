# SPDX-License-Identifier: Apache-2.0
"""Every table that a device names as its state is in devices/state_tables.c."""
import re
import sys
from pathlib import Path


def main() -> int:
    root, bad = Path(sys.argv[1]), []
    listed = (root / "devices/state_tables.c").read_text(encoding="utf-8")
    for path in sorted((root / "devices").rglob("*.c")):
        for table in re.findall(r"\.vmstate = &(\w+)", path.read_text(encoding="utf-8")):
            if not re.search(rf"&{table}\b", listed):
                bad.append(f"{path.relative_to(root)}: {table} is not in devices/state_tables.c")
    print("\n".join(bad) or "every state table is listed")
    return bool(bad)


sys.exit(main())

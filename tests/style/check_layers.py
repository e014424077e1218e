# SPDX-License-Identifier: Apache-2.0
"""Who may include whom.  The table is the architecture; the rest only reads it."""
import re
import sys
from pathlib import Path

# Folder: the folders and single headers that it may include, besides itself.
MAY = {
    "util": set(),
    "hypervisor": {"util", "migration/vmstate.h"},
    "devices": {"util", "hypervisor", "migration/vmstate.h"},
    "migration": {"util", "hypervisor", "devices/device.h"},
    "machine": {"util", "hypervisor", "devices", "migration"},
    "qmp": {"util", "machine", "migration/migration.h"},
    "stencilctl": {"util"},
}
# The serializer is a library at the bottom, although it lives in migration/.
LIBRARY = re.compile(r"migration/(vmstate|stream)[a-z_]*\.[ch]")
# The one file that tells the whole story.
STORY = "machine/main.c"
# Device models do not know which bus they sit on.
BUS_FREE = re.compile(r"devices/(serial/uart|virtio/(?!mmio|pci))")
BUS_HEADERS = re.compile(r"devices/(pci/|virtio/(mmio|pci)\.h)")


def allowed(source: str, include: str) -> bool:
    folder, target = source.split("/")[0], include.split("/")[0]
    if source == STORY:
        return True
    if "/" not in include:
        return False
    if LIBRARY.fullmatch(source):
        return target == "util" or bool(LIBRARY.fullmatch(include))
    if BUS_FREE.match(source) and BUS_HEADERS.match(include):
        return False
    return target == folder or target in MAY[folder] or include in MAY[folder]


def main() -> int:
    root, bad = Path(sys.argv[1]), []
    for folder in MAY:
        for path in sorted((root / folder).rglob("*.[ch]")):
            source = path.relative_to(root).as_posix()
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                match = re.match(r'\s*#\s*include "([^"]+)"', line)
                if match and not allowed(source, match[1]):
                    bad.append(f"{source}:{number}: must not include {match[1]}")
    print("\n".join(bad) or "every include points down")
    return bool(bad)


sys.exit(main())

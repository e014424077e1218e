# SPDX-License-Identifier: Apache-2.0
"""Stock Linux guests: python3 -m tests.linux [--vmm PROGRAM|qemu] [--list] [--logs DIR] [--part I/N] [WORD...]

Words choose the cases whose sentence contains one of them.  Without --vmm the stencil is the one
in build/, or $STENCIL.  With --vmm qemu the same cases run against the peer, which proves the
cases themselves.
"""
import argparse
import sys
import tempfile
from pathlib import Path

from tests.linux import boot, debug, disk, identity, life, memory, options, template
from tests.linux.runner import Runner
from tests.rig.part import one_of
from tests.rig.probe import open_host
from tests.rig.vmm import qemu, stencil_on

SUBJECTS = (options, boot, identity, life, memory, disk, debug, template)


def chosen(words):
    for subject in SUBJECTS:
        for one in subject.case:
            if not words or any(word in one.sentence for word in words):
                yield one


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.linux", description=__doc__.splitlines()[0])
    parser.add_argument("--vmm")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--logs", type=Path)
    parser.add_argument("--part", default="1/1", metavar="I/N", help="every Nth case, from the Ith")
    parser.add_argument("words", nargs="*")
    arguments = parser.parse_args()
    cases = one_of(list(chosen(arguments.words)), arguments.part)
    if arguments.list:
        print("\n".join(one.sentence for one in cases))
        return 0
    logs = arguments.logs or Path(tempfile.mkdtemp(prefix="stencil-linux-"))

    def vmm_on(host):
        return qemu() if arguments.vmm == "qemu" else stencil_on(host, arguments.vmm)

    return 0 if Runner(lambda: open_host(logs), vmm_on).run(cases) else 1


if __name__ == "__main__":
    sys.exit(main())

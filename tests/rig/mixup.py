# SPDX-License-Identifier: Apache-2.0
"""Has the host keep what tells that QEMU left the host's registers in one of its guests.

QEMU 7.2 does so now and then, with a thread for each processor.  Such a guest seems to stand in the
code of the host that entered it, where no guest ever is: each of its exits from there is traced.
A guest that went wrong in another place may end in a triple fault, so these are traced as well; they
are no proof, for a guest can bring one upon itself.
"""
import re
from pathlib import Path

EXITS = Path("/sys/kernel/tracing/events/kvm/kvm_exit")
ENTRY = re.compile(r"^([0-9a-f]+) \w __svm_vcpu_run\b", re.MULTILINE)
ENTRY_BYTES = 1024
SHUTDOWN = 0x7f  # SVM_EXIT_SHUTDOWN


def main() -> None:
    entry = int(ENTRY.search(Path("/proc/kallsyms").read_text(encoding="ascii")).group(1), 16)
    (EXITS / "filter").write_text(
        f"exit_reason == {SHUTDOWN:#x} || "
        f"(guest_rip >= {entry:#x} && guest_rip < {entry + ENTRY_BYTES:#x})", encoding="ascii")
    (EXITS / "enable").write_text("1", encoding="ascii")


if __name__ == "__main__":
    main()

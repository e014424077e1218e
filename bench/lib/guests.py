# SPDX-License-Identifier: Apache-2.0
"""Things that guests are started from."""
import subprocess

TEMPLATE_ENTRY = 0x100000
# mov dx, 0x3f8; mov al, 0x0a; out dx, al; hlt; jmp to the hlt
FIRST_OUT = bytes.fromhex("66baf803b00aeef4ebfd")


def template(context, mib: int):
    """A sparse RAM image whose code says one byte to the serial port."""
    path = context.scratch / f"template-{mib}"
    if not path.exists():
        with open(path, "wb") as file:
            file.truncate(mib << 20)
            file.seek(TEMPLATE_ENTRY)
            file.write(FIRST_OUT)
    return path


def cpuid_file(context):
    """The host's CPUID table as KVM gives it, asked for once."""
    path = context.scratch / "cpuid"
    if not path.exists():
        subprocess.run([context.tool("floor"), "--save-cpuid", path], check=True, timeout=10)
    return path

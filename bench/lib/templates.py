# SPDX-License-Identifier: Apache-2.0
"""Templates of a guest that speaks as soon as it goes on."""
import contextlib
import subprocess
import time

from bench.lib import machines
from tests.rig.qmp import Qmp

LIMIT = 20


@contextlib.contextmanager
def running(context, name: str, argv: list):
    """A VM with a control channel; ends with the block, if it has not ended by itself."""
    control = context.scratch / f"{name}.qmp"
    with open(context.logs / "programs.log", "ab") as log:
        vm = subprocess.Popen([*map(str, argv), "-qmp", f"unix:{control},server=on,wait=off"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log)
    deadline = time.monotonic() + LIMIT
    try:
        while not control.exists():
            if vm.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{argv[0]} did not come up, see programs.log")
            time.sleep(0.002)
        qmp = Qmp(control)
        yield qmp
        qmp.link.close()
        vm.wait(LIMIT)
    finally:
        vm.kill()
        vm.wait()


def ticking(context, name: str, *options, memory="256M"):
    """The folder of a template that was made with these options."""
    folder = context.scratch / f"ticking-{name}"
    argv = machines.stencil(context.stencil, "-kernel", context.tool("ticks-out.elf"), *options,
                            memory=memory)
    if not folder.exists():
        with running(context, name, [*argv, "-serial", "null"]) as qmp:
            qmp.freeze(str(folder))
    return folder

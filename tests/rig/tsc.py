# SPDX-License-Identifier: Apache-2.0
"""How fast this machine's time stamp counter runs, in kHz.

QEMU's emulated processors show the real counter. A kernel that starts on them measures it against
an emulated timer and, on a busy machine, gets it wrong by as much as twenty times: all its clocks
then run so fast that it, and its guests, do little else than answer timer interrupts.
"""
import ctypes
import mmap
import platform
import time

READ_COUNTER = bytes.fromhex("0f31 48c1e220 4809d0 c3")  # rdtsc; shl $32,%rdx; or %rdx,%rax; ret
TRIES = 50
SPAN = 0.05  # s; the kernel refines what is right within a hundredth


def both_clocks(read) -> tuple[int, int]:
    """The counter and the time in ns at one moment: the pair that was read fastest of many."""
    best = None
    for _ in range(TRIES):
        before = time.monotonic_ns()
        count = read()
        after = time.monotonic_ns()
        if best is None or after - before < best[0]:
            best = after - before, count, (before + after) // 2
    return best[1:]


def tsc_khz() -> int | None:
    """None where there is no such counter, or it cannot be read."""
    if platform.machine() != "x86_64":
        return None
    try:
        code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    except OSError:  # a kernel that lets nobody write code
        return None
    code.write(READ_COUNTER)
    read = ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
    count, start = both_clocks(read)
    time.sleep(SPAN)
    count_later, end = both_clocks(read)
    return round((count_later - count) * 1_000_000 / (end - start))

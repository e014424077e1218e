/* SPDX-License-Identifier: Apache-2.0 */
/* What a core file of an AArch64 guest looks like: Linux's struct elf_prstatus. */
#include "machine/core_file.h"

#include <elf.h>

static const char *const registers[] = {
    "x0",  "x1",  "x2",  "x3",  "x4",  "x5",  "x6",  "x7",  "x8",  "x9",   "x10", "x11",
    "x12", "x13", "x14", "x15", "x16", "x17", "x18", "x19", "x20", "x21",  "x22", "x23",
    "x24", "x25", "x26", "x27", "x28", "x29", "x30", "sp",  "pc",  "cpsr",
};

const CoreTarget core_target = {
    .machine = EM_AARCH64,
    .prstatus_bytes = 392,
    .registers_at = 112,
    .registers = registers,
    .num_registers = G_N_ELEMENTS(registers),
};

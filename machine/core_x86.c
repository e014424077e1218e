/* SPDX-License-Identifier: Apache-2.0 */
/* What a core file of an x86-64 guest looks like: Linux's struct elf_prstatus. */
#include "machine/core_file.h"

#include <elf.h>

static const char *const registers[] = {
    "r15", "r14", "r13",    "r12", "rbp", "rbx",     "r11",     "r10", "r9", "r8", "rax",
    "rcx", "rdx", "rsi",    "rdi", NULL, /* orig_rax */
    "rip", "cs",  "eflags", "rsp", "ss",  "fs_base", "gs_base", "ds",  "es", "fs", "gs",
};

const CoreTarget core_target = {
    .machine = EM_X86_64,
    .prstatus_bytes = 336,
    .registers_at = 112,
    .registers = registers,
    .num_registers = G_N_ELEMENTS(registers),
};

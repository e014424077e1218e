/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_SANDBOX_FILTER_H
#define MACHINE_SANDBOX_FILTER_H

/*
 * A role's rules as a program for seccomp: two search trees, by the call and where it has a check
 * by its argument.
 *
 *     another architecture ----------------------------> the process is killed
 *     call: < 64 ? -- < 32 ? -- ... -- allowed, or SIGSYS, or an errno,
 *                                      or argument: < 0x4004 ? -- ... -- allowed, or SIGSYS
 *
 * What counts is how long the kernel takes to load it, on the way to a VM's first instruction.  It
 * compiles every instruction, so returns are shared; and it runs the program once for each call
 * that there is, to find out which are always allowed, until the program looks at an argument.
 * This one looks at one first (docs/decisions/0007-sandbox.md).
 */

#include "util/thread.h"

#include <linux/filter.h>
#include <stdint.h>

/* As everything on the way to a VM's first instruction, no larger than it must be: each page counts. */
#define SANDBOX_MAX_CODE 320

typedef struct SandboxProgram {
    struct sock_filter code[SANDBOX_MAX_CODE];
    uint16_t len;
} SandboxProgram;

/* pid is what a call that may only be about the own process is held against. */
void sandbox_filter_build(ThreadRole role, uint32_t pid, SandboxProgram *ret);

#endif

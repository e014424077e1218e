/* SPDX-License-Identifier: Apache-2.0 */
/*
 * User mode, boot processor only.  Code for it is an ordinary function of the payload, usually
 * assembler: it runs natively even where a monitor emulates kernel mode, so all SSE and AVX tests
 * live there.  It sees all memory, may not touch devices, and calls back by SYSCALL or INT 0x80
 * with the number in %rax, the argument in %rdi; all registers but %rax survive (SYSCALL takes
 * %rcx and %r11 too).
 */
#ifndef TESTS_GUEST_LIB_USER_H
#define TESTS_GUEST_LIB_USER_H

#define USER_CALL_EXIT          0 /* leaves user mode; the argument is what user_run() returns */
#define USER_CALL_MIGRATE_POINT 1
#define USER_CALL_NOTHING       2 /* returns its argument plus one */

#ifndef __ASSEMBLER__

#include "tests/guest/lib/trap.h"

#include <stdint.h>

/* Enables SYSCALL.  The kernel keeps its hands off x87, SSE and AVX registers throughout. */
void user_init(void);

uint64_t user_run(void (*code)(void *argument), void *argument);

/* Called by trap.c. */
void user_system_call(TrapFrame *frame);

#endif
#endif

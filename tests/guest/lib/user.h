/* SPDX-License-Identifier: Apache-2.0 */
/*
 * User mode, boot processor only.  Code for it is an ordinary function of the payload, usually
 * assembler: it runs natively even where a monitor emulates kernel mode, so all SSE and AVX tests
 * live there.  It sees all memory, may not touch devices, and calls back with the number in %rax
 * and the argument in %rdi; all registers but %rax survive.  The instruction for it is UD2, for the
 * invalid opcode exception is the one gate that every KVM gets right; INT 0x80 and SYSCALL (which
 * takes %rcx and %r11) do the same on a processor that is whole, and user_mode.c tests them.
 */
#ifndef TESTS_GUEST_LIB_USER_H
#define TESTS_GUEST_LIB_USER_H

#define USER_CALL_EXIT          0 /* leaves user mode; the argument is what user_run() returns */
#define USER_CALL_MIGRATE_POINT 1
#define USER_CALL_NOTHING       2 /* returns its argument plus one */

/* clang-format off */
#ifdef __ASSEMBLER__
.macro user_call number
    movl $\number, %eax
    ud2
.endm
#endif
/* clang-format on */

#ifndef __ASSEMBLER__

#include "tests/guest/lib/trap.h"

#include <stdbool.h>
#include <stdint.h>

        /* Enables SYSCALL.  The kernel keeps its hands off x87, SSE and AVX registers throughout. */
        void
        user_init(void);

uint64_t user_run(void (*code)(void *argument), void *argument);

/* Called by trap.c, and by handlers that want to leave user mode. */
bool user_is_call(const TrapFrame *frame);
void user_system_call(TrapFrame *frame);

#endif
#endif

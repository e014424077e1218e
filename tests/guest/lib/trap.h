/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exceptions and interrupts.  One table of handlers serves all CPUs; a vector without a handler is
 * a crash, reported with the registers.
 *
 * An instruction that may fault sets Cpu.recovery first: if it faults, control goes on there and
 * Cpu.recovered_vector says why.
 */
#ifndef TESTS_GUEST_LIB_TRAP_H
#define TESTS_GUEST_LIB_TRAP_H

#include "tests/guest/lib/cpu.h"

#include <stdint.h>

#define VECTOR_BREAKPOINT         3
#define VECTOR_INVALID_OPCODE     6
#define VECTOR_GENERAL_PROTECTION 13
#define VECTOR_PAGE_FAULT         14

/* As traps.S pushes it: what the processor pushed is at the end. */
typedef struct TrapFrame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
    uint64_t rdi, rsi, rbp, rbx, rdx, rcx, rax;
    uint64_t vector;
    uint64_t error_code;
    uint64_t rip, cs, rflags, rsp, ss;
} TrapFrame;

typedef void (*TrapHandler)(TrapFrame *frame);

/* Handlers of interrupts acknowledge at the LAPIC themselves (apic_end_of_interrupt). */
void trap_set_handler(unsigned vector, TrapHandler handler);

void trap_load_gates(void);

/* The vector that the access raised, or 0. */
unsigned msr_try_read(uint32_t index, uint64_t *value);
unsigned msr_try_write(uint32_t index, uint64_t value);

#endif

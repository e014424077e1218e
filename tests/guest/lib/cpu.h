/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each processor has of its own: descriptor tables, stack, and the places that its trap
 * handling writes to.  The running one is found from the stack pointer (layout.h), which costs no
 * privileged instruction and leaves the GS base to the payloads.
 */
#ifndef TESTS_GUEST_LIB_CPU_H
#define TESTS_GUEST_LIB_CPU_H

#include "tests/guest/lib/layout.h"
#include "tests/guest/lib/x86.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct __attribute__((packed)) TaskState {
    uint32_t reserved0;
    uint64_t rsp[3];
    uint64_t reserved1;
    uint64_t ist[7];
    uint64_t reserved2;
    uint16_t reserved3;
    uint16_t io_map;
} TaskState;

typedef struct Cpu {
    unsigned index;
    uint32_t apic_id;
    volatile bool online;

    /* work handed over by smp_call(), done when it is NULL again */
    void (*volatile work)(void *argument);
    void *work_argument;

    /* an instruction that may fault, see trap.h */
    volatile uint64_t recovery;
    volatile unsigned recovered_vector;

    uint64_t user_return;
    TaskState task;
    uint64_t gdt[9];
} Cpu;

/* Descriptor tables and trap gates of the running CPU; the Cpu struct must be filled in. */
void cpu_load_tables(Cpu *cpu);

Cpu *cpu_at(unsigned index);
uint64_t cpu_stack_top(unsigned index);

static inline Cpu *cpu_current(void)
{
    uint64_t stack;

    __asm__("movq %%rsp, %0" : "=r"(stack));
    return (Cpu *)(stack & ~(uint64_t)(CPU_AREA_SIZE - 1));
}

#endif

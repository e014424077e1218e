/* SPDX-License-Identifier: Apache-2.0 */
/* CPU areas, and the descriptor tables that live in them. */
#include "tests/guest/lib/cpu.h"

#include "tests/guest/lib/trap.h"

typedef union CpuArea {
    Cpu cpu;
    uint8_t stack[CPU_AREA_SIZE];
} CpuArea;

extern CpuArea cpu_areas[CPU_MAX];
CpuArea cpu_areas[CPU_MAX] __attribute__((aligned(CPU_AREA_SIZE)));

static const uint64_t gdt_template[] = {
    0,
    0x00af9b000000ffff, /* 64-bit code */
    0x00cf93000000ffff, /* data */
    0x00cffb000000ffff, /* user 32-bit code */
    0x00cff3000000ffff, /* user data */
    0x00affb000000ffff, /* user 64-bit code */
    0x00cff3000000ffff, /* user data again, where SYSEXIT looks for it */
};

Cpu *cpu_at(unsigned index)
{
    return &cpu_areas[index].cpu;
}

uint64_t cpu_stack_top(unsigned index)
{
    return (uint64_t)&cpu_areas[index + 1];
}

void cpu_load_tables(Cpu *cpu)
{
    uint64_t task = (uint64_t)&cpu->task;
    TablePointer pointer = {sizeof(cpu->gdt) - 1, (uint64_t)cpu->gdt};

    for (unsigned i = 0; i < ARRAY_LENGTH(gdt_template); i++) {
        cpu->gdt[i] = gdt_template[i];
    }
    cpu->task.io_map = sizeof(cpu->task);
    cpu->gdt[7] = (sizeof(cpu->task) - 1) | (task & 0xffffff) << 16 | 0x89ul << 40 |
                  (task >> 24 & 0xff) << 56;
    cpu->gdt[8] = task >> 32;
    __asm__ volatile("lgdt %0" : : "m"(pointer));
    __asm__ volatile("ltr %w0" : : "r"(SEGMENT_TSS));
    trap_load_gates();
}

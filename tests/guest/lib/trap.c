/* SPDX-License-Identifier: Apache-2.0 */
/* The gates, the dispatch, and accesses that may fault. */
#include "tests/guest/lib/trap.h"

#include "tests/guest/lib/boot_info.h"
#include "tests/guest/lib/report.h"
#include "tests/guest/lib/user.h"
#include "tests/guest/lib/x86.h"

#define VECTORS         256
#define STUB_SIZE       16
#define GATE_INTERRUPT  0x8e00
#define GATE_USER       0xee00
#define FIRST_INTERRUPT 32
#define RFLAGS_IF       0x200

typedef struct Gate {
    uint16_t offset_low;
    uint16_t selector;
    uint16_t type;
    uint16_t offset_middle;
    uint32_t offset_high;
    uint32_t reserved;
} Gate;

extern const uint8_t trap_stubs[VECTORS][STUB_SIZE];
void trap_dispatch(TrapFrame *frame);

static Gate gates[VECTORS] __attribute__((aligned(16)));
static TrapHandler handlers[VECTORS];

void trap_set_handler(unsigned vector, TrapHandler handler)
{
    handlers[vector] = handler;
}

static void trap_fill_gates(void)
{
    for (unsigned i = 0; i < VECTORS; i++) {
        uint64_t address = (uint64_t)trap_stubs[i];

        gates[i] = (Gate){
            .offset_low = (uint16_t)address,
            .selector = SEGMENT_CODE,
            .type = i == VECTOR_SYSCALL || i == VECTOR_BREAKPOINT ? GATE_USER : GATE_INTERRUPT,
            .offset_middle = (uint16_t)(address >> 16),
            .offset_high = (uint32_t)(address >> 32),
        };
    }
}

void trap_load_gates(void)
{
    TablePointer pointer = {sizeof(gates) - 1, (uint64_t)gates};

    if (!gates[0].selector) {
        trap_fill_gates();
    }
    __asm__ volatile("lidt %0" : : "m"(pointer));
}

__attribute__((noreturn)) static void trap_crash(const TrapFrame *f)
{
    report_crash("cpu %u vector %lu error 0x%lx rip 0x%lx cs 0x%lx rflags 0x%lx rsp 0x%lx "
                 "cr2 0x%lx rax 0x%lx rbx 0x%lx rcx 0x%lx rdx 0x%lx rsi 0x%lx rdi 0x%lx",
                 cpu_current()->index, f->vector, f->error_code, f->rip, f->cs, f->rflags, f->rsp,
                 cr2_read(), f->rax, f->rbx, f->rcx, f->rdx, f->rsi, f->rdi);
}

/*
 * An interrupt taken while they were off.  No processor does that, but QEMU 7.2 forgets to forget an
 * event that VMRUN injected: when its own loop is interrupted right then, the event comes twice, the
 * second time into its handler.
 */
static bool is_delivered_twice(const TrapFrame *frame)
{
    return frame->vector >= FIRST_INTERRUPT && !(frame->rflags & RFLAGS_IF) &&
           boot_flag("emulated-host");
}

void trap_dispatch(TrapFrame *frame)
{
    Cpu *cpu = cpu_current();

    if (frame->vector < 32 && cpu->recovery && frame->cs == SEGMENT_CODE) {
        cpu->recovered_vector = (unsigned)frame->vector;
        frame->rip = cpu->recovery;
    } else if (user_is_call(frame)) {
        user_system_call(frame);
    } else if (is_delivered_twice(frame)) {
        return;
    } else if (handlers[frame->vector]) {
        handlers[frame->vector](frame);
    } else {
        trap_crash(frame);
    }
}

unsigned msr_try_read(uint32_t index, uint64_t *value)
{
    Cpu *cpu = cpu_current();
    uint32_t low = 0;
    uint32_t high = 0;

    cpu->recovered_vector = 0;
    __asm__ volatile("movq $1f, %[recovery]\n\t"
                     "rdmsr\n"
                     "1:\tmovq $0, %[recovery]"
                     : "+a"(low), "+d"(high), [recovery] "=m"(cpu->recovery)
                     : "c"(index)
                     : "memory");
    *value = (uint64_t)high << 32 | low;
    return cpu->recovered_vector;
}

unsigned msr_try_write(uint32_t index, uint64_t value)
{
    Cpu *cpu = cpu_current();

    cpu->recovered_vector = 0;
    __asm__ volatile("movq $1f, %[recovery]\n\t"
                     "wrmsr\n"
                     "1:\tmovq $0, %[recovery]"
                     : [recovery] "=m"(cpu->recovery)
                     : "c"(index), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
                     : "memory");
    return cpu->recovered_vector;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* INIT, start-up, start-up, with patience measured in the time stamp counter. */
#include "tests/guest/lib/smp.h"

#include "tests/guest/lib/acpi.h"
#include "tests/guest/lib/apic.h"
#include "tests/guest/lib/cpu.h"
#include "tests/guest/lib/report.h"
#include "tests/guest/lib/start.h"
#include "tests/guest/lib/string.h"

/* Cycles; a tenth of a second or more on anything that we run on. */
#define STARTUP_PAUSE    2000000ul
#define STARTUP_PATIENCE 40000000000ul

extern const uint8_t ap_trampoline_begin[];
extern const uint8_t ap_trampoline_end[];
extern uint32_t ap_stack_top;
uint32_t ap_stack_top;

static void pause_cycles(uint64_t cycles)
{
    uint64_t start = tsc_read();

    while (tsc_read() - start < cycles) {
        cpu_relax();
    }
}

void payload_start_other_cpu(void)
{
    Cpu *cpu = cpu_current();

    cpu_load_tables(cpu);
    apic_init();
    cpu->online = true;
    for (;;) {
        while (!cpu->work) {
            cpu_relax();
        }
        cpu->work(cpu->work_argument);
        cpu->work = NULL;
    }
}

static bool start_one(unsigned index, uint32_t apic_id)
{
    Cpu *cpu = cpu_at(index);
    uint64_t start;

    cpu->index = index;
    cpu->apic_id = apic_id;
    ap_stack_top = (uint32_t)cpu_stack_top(index);
    apic_send(apic_id, APIC_ICR_INIT | APIC_ICR_ASSERT);
    pause_cycles(STARTUP_PAUSE);
    for (unsigned attempt = 0; attempt < 2 && !cpu->online; attempt++) {
        apic_send(apic_id, APIC_ICR_STARTUP | APIC_ICR_ASSERT | AP_TRAMPOLINE >> 12);
        pause_cycles(STARTUP_PAUSE);
    }
    start = tsc_read();
    while (!cpu->online && tsc_read() - start < STARTUP_PATIENCE) {
        cpu_relax();
    }
    return cpu->online;
}

unsigned smp_start(void)
{
    uint32_t ids[CPU_MAX];
    unsigned count = acpi_processors(ids, CPU_MAX);
    unsigned online = 1;
    uint32_t self = apic_id();

    memcpy((void *)AP_TRAMPOLINE, ap_trampoline_begin,
           (size_t)(ap_trampoline_end - ap_trampoline_begin));
    for (unsigned i = 0; i < count; i++) {
        if (ids[i] == self) {
            continue;
        }
        if (!start_one(online, ids[i])) {
            report(false, "processor with APIC id %u comes up", ids[i]);
            break;
        }
        online++;
    }
    return online;
}

void smp_call(unsigned index, void (*function)(void *argument), void *argument)
{
    Cpu *cpu = cpu_at(index);

    cpu->work_argument = argument;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    cpu->work = function;
}

void smp_wait(unsigned index)
{
    while (cpu_at(index)->work) {
        cpu_relax();
    }
}

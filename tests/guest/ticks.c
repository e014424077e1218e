/* SPDX-License-Identifier: Apache-2.0 */
/* The smallest sign of life: the payload runs, knows what it was given, and hears a timer tick. */
#include "tests/guest/lib/apic.h"
#include "tests/guest/lib/boot_info.h"
#include "tests/guest/lib/report.h"
#include "tests/guest/lib/start.h"
#include "tests/guest/lib/string.h"
#include "tests/guest/lib/trap.h"
#include "tests/guest/lib/x86.h"

#define VECTOR_TICK 0x40
#define TICKS       10
#define TICK_COUNT  1000000

static volatile unsigned ticks;

static void on_tick(TrapFrame *frame)
{
    (void)frame;
    ticks++;
    apic_end_of_interrupt();
}

static uint64_t ram_bytes(void)
{
    const BootInfo *info = boot_info();
    uint64_t bytes = 0;

    for (unsigned i = 0; i < info->range_count; i++) {
        if (info->ranges[i].type == MEMORY_RAM) {
            bytes += info->ranges[i].size;
        }
    }
    return bytes;
}

void payload_main(void)
{
    const BootInfo *info = boot_info();

    report(info->version >= 1, "start info is version 1 or later");
    report(boot_flag("hello"), "the command line arrives");
    report(ram_bytes() > 16u << 20, "the memory map gives RAM: %lu KiB", ram_bytes() >> 10);
    report(info->rsdp && !memcmp((const void *)info->rsdp, "RSD PTR ", 8),
           "the start info points to an ACPI root");

    trap_set_handler(VECTOR_TICK, on_tick);
    apic_write(APIC_TIMER_DIVIDE, APIC_TIMER_DIVIDE_1);
    apic_write(APIC_LVT_TIMER, APIC_TIMER_PERIODIC | VECTOR_TICK);
    apic_write(APIC_TIMER_INITIAL, TICK_COUNT);
    while (ticks < TICKS / 2) {
        interrupts_wait();
    }
    migrate_point();
    while (ticks < TICKS) {
        interrupts_wait();
    }
    apic_write(APIC_LVT_TIMER, APIC_LVT_MASKED);
    report(true, "the timer ticks before and after the migrate point");
}

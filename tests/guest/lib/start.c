/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a payload: console, tables, LAPIC, payload_main(), verdict. */
#include "tests/guest/lib/start.h"

#include "tests/guest/lib/apic.h"
#include "tests/guest/lib/boot_info.h"
#include "tests/guest/lib/cpu.h"
#include "tests/guest/lib/paging.h"
#include "tests/guest/lib/report.h"
#include "tests/guest/lib/serial.h"
#include "tests/guest/lib/user.h"

void payload_start_boot_cpu(uint32_t start_info)
{
    Cpu *cpu = cpu_current();

    boot_info_read(start_info);
    serial_init();
    cpu_load_tables(cpu);
    paging_map_high_ram();
    apic_init();
    cpu->apic_id = apic_id();
    cpu->online = true;
    user_init();
    payload_main();
    report_finish();
}

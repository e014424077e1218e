/* SPDX-License-Identifier: Apache-2.0 */
/* A kernel that dies says so on the panic port, and the monitor does what it was told to do then. */
#include "tests/guest/lib/report.h"
#include "tests/guest/lib/start.h"
#include "tests/guest/lib/x86.h"

#define PVPANIC_PORT     0x505
#define PVPANIC_PANICKED 0x01
#define PATIENCE         10000000000ul

void payload_main(void)
{
    uint64_t start = tsc_read();

    if (!report(port_read8(PVPANIC_PORT) & PVPANIC_PANICKED, "the port understands a panic")) {
        return;
    }
    print("PANIC\n");
    port_write8(PVPANIC_PORT, PVPANIC_PANICKED);
    while (tsc_read() - start < PATIENCE) {
        cpu_relax();
    }
    report(false, "the monitor ends the machine");
}

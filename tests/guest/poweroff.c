/* SPDX-License-Identifier: Apache-2.0 */
/* The machine goes off by the ACPI sleep control register, and the monitor ends with success. */
#include "tests/guest/lib/acpi.h"
#include "tests/guest/lib/report.h"
#include "tests/guest/lib/start.h"
#include "tests/guest/lib/x86.h"

#define PATIENCE 10000000000ul

void payload_main(void)
{
    uint64_t start = tsc_read();
    uint8_t type;

    report(acpi_is_hardware_reduced(), "the FADT says that the hardware is reduced");
    if (!report(acpi_soft_off_type(&type), "the DSDT has a soft-off state")) {
        return;
    }
    print("POWEROFF\n");
    if (!acpi_power_off()) {
        report(false, "the FADT has a sleep control register");
        return;
    }
    while (tsc_read() - start < PATIENCE) {
        cpu_relax();
    }
    report(false, "the machine goes off");
}

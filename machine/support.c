/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/support.h"

#include "util/error.h"

typedef struct Unsupported {
    bool (*asked_for)(const VmConfig *config);
    const char *sentence;
} Unsupported;

static bool netdev(const VmConfig *config)
{
    return config->netdevs->len > 0;
}

static bool dtb(const VmConfig *config)
{
    return config->boot.dtb != NULL;
}

static bool pit(const VmConfig *config)
{
    return config->machine.pit == ON_OFF_AUTO_ON;
}

static bool pic(const VmConfig *config)
{
    return config->machine.pic == ON_OFF_AUTO_ON;
}

static bool mem_merge(const VmConfig *config)
{
    return config->machine.mem_merge == ON_OFF_AUTO_ON;
}

static bool rtc_clock(const VmConfig *config)
{
    return config->rtc.clock != RTC_CLOCK_HOST;
}

static const Unsupported table[] = {
    {netdev, "-netdev: there are no network devices yet"},
    {dtb, "-dtb: this machine describes itself by ACPI, not by a device tree"},
    {pit, "-machine pit=on: there is no PIT; kernels find the local APIC's timer"},
    {pic, "-machine pic=on: there is no PIC; interrupts go through the I/O APIC"},
    {mem_merge, "-machine mem-merge=on: RAM is not offered to the host for merging"},
    {rtc_clock, "-rtc clock=: only host is there; the RTC follows the host's clock"},
};

bool support_check(const VmConfig *config, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        if (table[i].asked_for(config)) {
            return fail(error, VMM_ERROR_CONFIG, "%s", table[i].sentence);
        }
    }
    return true;
}

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEVICES_PLATFORM_GED_H
#define DEVICES_PLATFORM_GED_H

/*
 * The registers behind reduced-hardware ACPI: the event register of the generic event device, and
 * the sleep and reset registers that the FADT points at.
 *
 *     base + 0   event          32 bits, read: what happened since the last read
 *          + 4   sleep control   8 bits, write: SLP_TYP << 2 | SLP_EN
 *          + 5   sleep status    8 bits, bit 7 (wake) never set
 *          + 6   reset           8 bits, write reset_value
 *
 * Each event makes an edge, and the wire stays high until the events are read.
 */

#include "devices/bus.h"
#include "devices/device.h"
#include "devices/irqline.h"
#include "devices/request.h"

#include <stdint.h>

#define GED_EVENT         0
#define GED_SLEEP_CONTROL 4
#define GED_SLEEP_STATUS  5
#define GED_RESET         6
#define GED_MMIO_SIZE     8

typedef struct GedConfig {
    Bus *mmio;
    uint64_t base;
    IrqLine irq;
    uint8_t s5_sleep_type; /* SLP_TYP, 0 .. 7, that means power off */
    uint8_t reset_value;
    Request power_off;
    Request reset;
} GedConfig;

extern const DeviceOps ged_ops;

Device *ged_new(const char *id, const GedConfig *config);

/* Any thread: sets event bit (0 .. 31) and interrupts the guest. */
void ged_raise(Device *ged, unsigned bit);

extern const VmStateDesc ged_vmstate; /* for state_tables.c */

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEVICES_PLATFORM_CMOS_H
#define DEVICES_PLATFORM_CMOS_H

/*
 * MC146818: the PC's clock and its 114 bytes of memory behind an index and a data port.
 *
 * The clock is the host's, plus an offset that the guest makes when it sets the time.  Nothing
 * ticks: the time is computed when it is read, flags when they are looked at, and a timer runs only
 * while an interrupt is enabled that has not fired.
 *
 * A saved state holds the offset: after a load the clock shows the host's time of that moment, less
 * what the restore hides.
 */

#include "devices/bus.h"
#include "devices/device.h"
#include "devices/irqline.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct GuestClock GuestClock;

#define CMOS_PORT    0x70
#define CMOS_PORTS   2
#define CMOS_IRQ     8
#define CMOS_CENTURY 0x32 /* index of the century, as ACPI's FADT tells it */

typedef struct CmosConfig {
    Bus *ports;
    IrqLine irq;
    GuestClock *clock;     /* for its timer */
    uint64_t ram_below_4g; /* bytes, for firmware that asks here */
    uint64_t ram_above_4g;
    int64_t offset_s; /* of the guest's clock from UTC at power-on */

    /* Optional: nanoseconds since 1970; NULL is the host's clock. */
    int64_t (*now_ns)(void *opaque);
    void *now_opaque;
} CmosConfig;

extern const DeviceOps cmos_ops;

Device *cmos_new(const char *id, const CmosConfig *config);

extern const VmStateDesc cmos_vmstate; /* for state_tables.c */

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEVICES_PLATFORM_PVPANIC_H
#define DEVICES_PLATFORM_PVPANIC_H

/* A port on which a dying guest kernel says so.  Reading it tells which events are understood. */

#include "devices/bus.h"
#include "devices/device.h"
#include "devices/request.h"

#include <stdint.h>

#define PVPANIC_PORT 0x505

/* Bits of the events that a guest can report. */
#define PVPANIC_PANICKED    0x01 /* and nothing more will come */
#define PVPANIC_CRASHLOADED 0x02 /* and its crash kernel takes over */

typedef struct PvpanicConfig {
    Bus *ports;
    uint16_t port;
    uint8_t events; /* those that are understood */
    Request report; /* value: the one bit; once for each bit that was written */
} PvpanicConfig;

extern const DeviceOps pvpanic_ops;

Device *pvpanic_new(const char *id, const PvpanicConfig *config);

extern const VmStateDesc pvpanic_vmstate; /* for state_tables.c */

#endif

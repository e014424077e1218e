/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEVICES_PLATFORM_DEBUGEXIT_H
#define DEVICES_PLATFORM_DEBUGEXIT_H

/* A port through which a guest program ends the VM: writing v makes the exit status (v << 1) | 1. */

#include "devices/bus.h"
#include "devices/device.h"
#include "devices/request.h"

#include <stdint.h>

#define DEBUGEXIT_PORT  0xf4
#define DEBUGEXIT_PORTS 4

typedef struct DebugexitConfig {
    Bus *ports;
    uint16_t port;
    uint8_t n_ports; /* 1, 2 or 4 */
    Request exit;    /* value: the status */
} DebugexitConfig;

extern const DeviceOps debugexit_ops;

Device *debugexit_new(const char *id, const DebugexitConfig *config);

extern const VmStateDesc debugexit_vmstate; /* for state_tables.c */

#endif

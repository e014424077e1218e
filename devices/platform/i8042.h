/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEVICES_PLATFORM_I8042_H
#define DEVICES_PLATFORM_I8042_H

/*
 * The keyboard controller of a PC that has no keyboard.  Guests want it for its reset line.
 *
 * It answers every command at once, reports both of its ports as dead, and answers what is sent to
 * the keyboard with "resend", so that a driver gives up instead of waiting for time-outs.
 */

#include "devices/bus.h"
#include "devices/device.h"
#include "devices/irqline.h"
#include "devices/request.h"

#define I8042_DATA_PORT    0x60
#define I8042_COMMAND_PORT 0x64
#define I8042_IRQ          1

typedef struct I8042Config {
    Bus *ports;
    IrqLine irq;   /* may lead nowhere */
    Request reset; /* the CPU's reset line was pulsed */
} I8042Config;

extern const DeviceOps i8042_ops;

Device *i8042_new(const char *id, const I8042Config *config);

extern const VmStateDesc i8042_vmstate; /* for state_tables.c */

#endif

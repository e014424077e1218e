/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEVICES_SERIAL_ISA_SERIAL_H
#define DEVICES_SERIAL_ISA_SERIAL_H

/* A PC's serial port: a 16550A at eight I/O ports and an interrupt wire. */

#include "devices/bus.h"
#include "devices/device.h"
#include "devices/irqline.h"

#include <stdint.h>

typedef struct Chardev Chardev;
typedef struct Loop Loop;

#define ISA_SERIAL_COM1_PORT 0x3f8
#define ISA_SERIAL_COM1_IRQ  4
#define ISA_SERIAL_PORTS     8

typedef struct IsaSerialConfig {
    Bus *ports;
    uint16_t port;
    IrqLine irq;
    Chardev *chardev; /* NULL: nobody at the other end; must outlive the device */
    Loop *loop;       /* the chardev's */
} IsaSerialConfig;

extern const DeviceOps isa_serial_ops;

/* realize attaches to the chardev and maps the ports. */
Device *isa_serial_new(const char *id, const IsaSerialConfig *config);

extern const VmStateDesc isa_serial_vmstate; /* for state_tables.c */

#endif

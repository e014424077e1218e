/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEVICES_PLATFORM_IOAPIC_H
#define DEVICES_PLATFORM_IOAPIC_H

/*
 * The I/O APIC of a machine whose local APICs live in the kernel (KVM's split irqchip).
 *
 *     IrqLine --> pin --> redirection entry --> MSI --> hypervisor_signal_msi
 *                              ^   remote IRR
 *                              +------------------ KVM_EXIT_IOAPIC_EOI --> ioapic_eoi
 *
 * The hypervisor learns from its GSI routes which vectors are level-triggered and so owe us an
 * exit at end of interrupt: GSI n is our pin n.  Changing routes costs a grace period, so a pin
 * has a route only while it is unmasked and either level-triggered or asked for by somebody who
 * wires an irqfd to it; a guest that uses edges only never causes a change.
 *
 * Destination bits 7:0 are in message address bits 19:12.  Bits 14:8 (the extended destination id,
 * bits 55:49 of an entry) are in address bits 46:40, where the hypervisor keeps wide APIC ids.
 *
 * Pins may be pulled from any thread.
 */

#include "devices/bus.h"
#include "devices/device.h"
#include "devices/irqline.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct Hypervisor Hypervisor;

#define IOAPIC_MMIO_BASE UINT64_C(0xfec00000)
#define IOAPIC_MMIO_SIZE UINT64_C(0x1000)
#define IOAPIC_MIN_PINS  24
#define IOAPIC_MAX_PINS  120

typedef struct IoapicConfig {
    unsigned n_pins; /* IOAPIC_MIN_PINS .. IOAPIC_MAX_PINS, refused by realize otherwise */
    uint8_t apic_id; /* the id register's value after reset, 0 .. 15 */
    Hypervisor *hypervisor;
} IoapicConfig;

extern const DeviceOps ioapic_ops;

/* For bus_map(IOAPIC_MMIO_BASE, IOAPIC_MMIO_SIZE); opaque is the device. */
extern const BusOps ioapic_bus_ops;

Device *ioapic_new(const char *id, const IoapicConfig *config);

/* The wire into a pin; wires to pins that do not exist lead nowhere. */
IrqLine ioapic_line(Device *ioapic, unsigned pin);

/*
 * Any thread: from now on the pin's GSI is routed whenever the pin is unmasked, so that an irqfd
 * can raise it.  The irqfd's interrupts bypass the pin: it has to be edge-triggered.
 */
void ioapic_request_route(Device *ioapic, unsigned pin);

/* Any thread: the guest ended the handling of vector. */
void ioapic_eoi(Device *ioapic, uint8_t vector);

extern const VmStateDesc ioapic_vmstate; /* for state_tables.c */

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEVICES_VIRTIO_MMIO_H
#define DEVICES_VIRTIO_MMIO_H

/*
 * The virtio-mmio transport, version 2 of virtio 1.2: one window of registers, one edge-triggered
 * interrupt.  A device of its own in the VM's list, behind the virtio device that it shows.
 */

#include "devices/bus.h"
#include "devices/irqline.h"
#include "devices/virtio/virtio.h"

#define VIRTIO_MMIO_BYTES  0x200
#define VIRTIO_MMIO_NOTIFY 0x50 /* where an ioeventfd goes: 4 bytes, data is the queue's index */

/* For bus_map; opaque is the Device that virtio_mmio_new made. */
extern const BusOps virtio_mmio_bus_ops;

/* dev stays the caller's and must outlive the transport; NULL makes an empty slot (device id 0). */
Device *virtio_mmio_new(const char *id, VirtioDevice *dev, const IrqLine *irq);

extern const VmStateDesc virtio_mmio_vmstate; /* for state_tables.c */

#endif

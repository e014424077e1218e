/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEVICES_VIRTIO_TRANSPORT_H
#define DEVICES_VIRTIO_TRANSPORT_H

/*
 * The registers of a virtio device as any transport shows them, by name instead of by offset.
 * Any vCPU thread, many at once; each call takes the device's lock for itself.  A queue index is
 * the guest's and may be anything.
 */

#include "devices/virtio/virtio.h"

typedef enum {
    VIRTQ_AREA_DESC,
    VIRTQ_AREA_DRIVER,
    VIRTQ_AREA_DEVICE,
} VirtqArea;

/* Before realize. */
void virtio_attach(VirtioDevice *dev, const VirtioTransport *transport);

uint32_t virtio_get_host_features(const VirtioDevice *dev, uint32_t select);
void virtio_set_driver_features(VirtioDevice *dev, uint32_t select, uint32_t value);

/* Setting 0 resets; the call returns when the device has let go of guest memory. */
uint8_t virtio_get_status(VirtioDevice *dev);
void virtio_set_status(VirtioDevice *dev, uint8_t value);

/* 0 for a queue that does not exist. */
uint16_t virtio_get_queue_max(const VirtioDevice *dev, uint32_t index);

/* Dropped while the queue is ready, or does not exist.  half: 0 = low, 1 = high 32 bits. */
void virtio_set_queue_size(VirtioDevice *dev, uint32_t index, uint32_t size);
void virtio_set_queue_address(VirtioDevice *dev, uint32_t index, VirtqArea area, unsigned half,
                              uint32_t value);

bool virtio_get_queue_ready(VirtioDevice *dev, uint32_t index);
void virtio_set_queue_ready(VirtioDevice *dev, uint32_t index, bool ready);

/* The queue back to power-on, its requests finished; dropped unless RING_RESET was negotiated. */
void virtio_reset_queue(VirtioDevice *dev, uint32_t index);

/* Takes no lock where a loop serves. */
void virtio_kick(VirtioDevice *dev, uint32_t index);

/* size is 1, 2, 4 or 8; outside the space all ones are read and writes are dropped. */
uint64_t virtio_config_read(VirtioDevice *dev, uint64_t offset, unsigned size);
void virtio_config_write(VirtioDevice *dev, uint64_t offset, unsigned size, uint64_t value);
uint32_t virtio_config_generation(VirtioDevice *dev);

#endif

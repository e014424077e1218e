/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_VIRTIO_DRIVER_H
#define TESTS_SUPPORT_VIRTIO_DRIVER_H

/*
 * The guest's side of virtio for tests: negotiates, builds split or packed rings in guest memory,
 * offers chains and collects what comes back.  It also is the transport, so that it counts
 * interrupts.  One thread at a time.
 *
 *     VirtDriver *d = virt_driver_new(dev, mem, 0x10000);
 *     virt_driver_start(d, VIRTIO_FEATURE_EVENT_IDX, 8);
 *     uint64_t at = virt_driver_alloc(d, 512, 16);
 *     virt_driver_add(d, 0, (VirtBuffer[]){{at, 512, true}}, 1);
 *     virt_driver_kick(d, 0);
 *     virt_driver_take(d, 0, &id, &len);
 */

#include "devices/virtio/transport.h"

typedef struct VirtBuffer {
    uint64_t address;
    uint32_t len;
    bool writable;
} VirtBuffer;

/* A queue as its driver knows it; tests of hostile guests write to the areas directly. */
typedef struct VirtDriverQueue {
    uint16_t size;
    bool packed;
    bool event_idx;
    uint64_t desc; /* guest addresses of the three areas */
    uint64_t driver;
    uint64_t device;

    GArray *free_ids; /* split: descriptors; packed: buffer ids */
    uint16_t *slots;  /* how many descriptors the chain behind an id took */
    uint16_t free_slots;
    uint16_t next_avail; /* split: index; packed: place */
    uint16_t next_used;
    bool avail_wrap;
    bool used_wrap;
    uint16_t kick_from; /* split: index at the last kick */
} VirtDriverQueue;

typedef struct VirtDriver {
    VirtioDevice *dev;
    GuestMemory *mem;
    uint64_t heap;
    VirtDriverQueue *queue;
    unsigned num_queues;
    unsigned queue_interrupts; /* atomic: interrupts come from the serving thread */
    unsigned config_interrupts;
    bool indirect; /* put chains into indirect tables */
} VirtDriver;

/* Attaches itself to dev as its transport, so it is freed after dev.  Memory from heap on is its own. */
VirtDriver *virt_driver_new(VirtioDevice *dev, GuestMemory *mem, uint64_t heap);
void virt_driver_free(VirtDriver *driver);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VirtDriver, virt_driver_free)

/* Goes on with another device of the same kind, as a restored guest does. */
void virt_driver_adopt(VirtDriver *driver, VirtioDevice *dev);

/* Zeroed guest memory. */
uint64_t virt_driver_alloc(VirtDriver *driver, uint64_t len, uint64_t align);
void *virt_driver_ptr(const VirtDriver *driver, uint64_t address, uint64_t len);

/* Up to DRIVER_OK with every queue of size; false if the device refuses the features. */
bool virt_driver_start(VirtDriver *driver, uint64_t features, uint16_t size);

/* The two halves of it: negotiate up to FEATURES_OK, then set queues up and go. */
bool virt_driver_negotiate(VirtDriver *driver, uint64_t features);
void virt_driver_set_up_queue(VirtDriver *driver, unsigned index, uint16_t size);
void virt_driver_go(VirtDriver *driver);

/* Offers one chain; returns its id, or -1 when the ring is full. */
int virt_driver_add(VirtDriver *driver, unsigned index, const VirtBuffer *buffers, unsigned count);

/* Kicks if the device wants that, as a driver would; returns whether it did. */
bool virt_driver_kick(VirtDriver *driver, unsigned index);

/* Collects the next chain that the device has given back. */
bool virt_driver_take(VirtDriver *driver, unsigned index, uint32_t *ret_id, uint32_t *ret_len);

/* Asks for interrupts (with event_idx: at the next chain given back), or for none. */
void virt_driver_want_interrupts(VirtDriver *driver, unsigned index, bool on);

unsigned virt_driver_interrupts(const VirtDriver *driver);
unsigned virt_driver_config_interrupts(const VirtDriver *driver);

/* One descriptor in either layout; tail as the layout has it. */
void virt_driver_put_desc(VirtDriver *driver, uint64_t at, uint64_t address, uint32_t len,
                          const uint16_t tail[2]);

#endif

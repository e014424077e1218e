/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A driver's half of virtio-mmio version 2 and of both kinds of ring, by the 1.2 specification.
 * Devices are found by the virtio_mmio.device=SIZE@ADDRESS:IRQ words of the command line.
 * Completion is polled; interrupts are counted on the side.
 *
 *     virtio_find -> virtio_start -> virtqueue_init (each) -> virtio_driver_ok
 *     virtqueue_add* -> virtqueue_kick -> virtqueue_wait
 */
#ifndef TESTS_GUEST_LIB_VIRTIO_H
#define TESTS_GUEST_LIB_VIRTIO_H

#include <stdbool.h>
#include <stdint.h>

#define VIRTIO_ID_BLOCK               2
#define VIRTIO_ID_RNG                 4

#define VIRTIO_MMIO_MAGIC             0x000
#define VIRTIO_MMIO_VERSION           0x004
#define VIRTIO_MMIO_DEVICE_ID         0x008
#define VIRTIO_MMIO_DEVICE_FEATURES   0x010
#define VIRTIO_MMIO_FEATURES_SELECT   0x014
#define VIRTIO_MMIO_DRIVER_FEATURES   0x020
#define VIRTIO_MMIO_DRIVER_SELECT     0x024
#define VIRTIO_MMIO_QUEUE_SELECT      0x030
#define VIRTIO_MMIO_QUEUE_SIZE_MAX    0x034
#define VIRTIO_MMIO_QUEUE_SIZE        0x038
#define VIRTIO_MMIO_QUEUE_READY       0x044
#define VIRTIO_MMIO_QUEUE_NOTIFY      0x050
#define VIRTIO_MMIO_INTERRUPT_STATUS  0x060
#define VIRTIO_MMIO_INTERRUPT_ACK     0x064
#define VIRTIO_MMIO_STATUS            0x070
#define VIRTIO_MMIO_QUEUE_DESCRIPTORS 0x080
#define VIRTIO_MMIO_QUEUE_AVAILABLE   0x090
#define VIRTIO_MMIO_QUEUE_USED        0x0a0
#define VIRTIO_MMIO_CONFIG_GENERATION 0x0fc
#define VIRTIO_MMIO_CONFIG            0x100

#define VIRTIO_STATUS_ACKNOWLEDGE     0x01
#define VIRTIO_STATUS_DRIVER          0x02
#define VIRTIO_STATUS_DRIVER_OK       0x04
#define VIRTIO_STATUS_FEATURES_OK     0x08
#define VIRTIO_STATUS_NEEDS_RESET     0x40

#define VIRTIO_FEATURE_EVENT_INDEX    (1ull << 29)
#define VIRTIO_FEATURE_PACKED         (1ull << 34)
#define VIRTIO_FEATURE_INDIRECT       (1ull << 28)
#define VIRTIO_FEATURE_VERSION_1      (1ull << 32)

#define VIRTQUEUE_SIZE                64

typedef struct VirtioDevice {
    uint64_t base;
    unsigned irq;
    uint32_t id;
    uint64_t offered;
    uint64_t features; /* agreed */
} VirtioDevice;

typedef struct VirtDescriptor {
    uint64_t address;
    uint32_t length;
    uint16_t flags;
    uint16_t next;
} VirtDescriptor;

typedef struct VirtAvailable {
    uint16_t flags;
    uint16_t index;
    uint16_t ring[VIRTQUEUE_SIZE];
    uint16_t used_event;
} VirtAvailable;

typedef struct VirtUsedElement {
    uint32_t id;
    uint32_t length;
} VirtUsedElement;

typedef struct VirtUsed {
    uint16_t flags;
    uint16_t index;
    VirtUsedElement ring[VIRTQUEUE_SIZE];
    uint16_t available_event;
} VirtUsed;

typedef struct VirtPackedDescriptor {
    uint64_t address;
    uint32_t length;
    uint16_t id;
    volatile uint16_t flags;
} VirtPackedDescriptor;

/* Where and whether one side wants to hear from the other; zero means always. */
typedef struct VirtPackedEvent {
    uint16_t position;
    uint16_t flags;
} VirtPackedEvent;

/* What only a packed ring has.  Positions wrap, and each wrap turns the meaning of the flags over. */
typedef struct VirtPackedRing {
    VirtPackedDescriptor descriptors[VIRTQUEUE_SIZE] __attribute__((aligned(16)));
    VirtPackedEvent driver_event;
    VirtPackedEvent device_event;
    uint16_t next_available;
    uint16_t next_used;
    uint16_t chain_length[VIRTQUEUE_SIZE];
    bool available_wrap;
    bool used_wrap;
} VirtPackedRing;

typedef struct VirtQueue {
    VirtPackedRing packed;
    VirtDescriptor descriptors[VIRTQUEUE_SIZE] __attribute__((aligned(16)));
    VirtDescriptor indirect[VIRTQUEUE_SIZE][4] __attribute__((aligned(16)));
    VirtAvailable available __attribute__((aligned(4)));
    volatile VirtUsed used __attribute__((aligned(4)));
    const VirtioDevice *device;
    unsigned index;
    uint16_t size;
    uint16_t free_head;
    uint16_t free_count;
    uint16_t next_used;
    uint16_t kicked; /* the available index that the device was last told about */
    bool is_indirect;
    bool has_event_index;
    bool is_packed;
} VirtQueue;

typedef struct VirtBuffer {
    const volatile void *data;
    uint32_t length;
    bool device_writes;
} VirtBuffer;

/* The n-th device with that id; false when there is none. */
bool virtio_find(VirtioDevice *device, uint32_t id, unsigned n);

/* Resets the device and agrees on VERSION_1 and what it offers of `wanted`. */
bool virtio_start(VirtioDevice *device, uint64_t wanted);
void virtio_driver_ok(const VirtioDevice *device);
uint32_t virtio_status(const VirtioDevice *device);
void virtio_reset(const VirtioDevice *device);

/* Routes the device's interrupt (edge) to the running CPU, acknowledged and counted. */
void virtio_count_interrupts(const VirtioDevice *device, unsigned vector);
unsigned virtio_interrupts(void);

/* Lets interrupts in until one has been counted since `before`; false when patience ends. */
bool virtio_wait_interrupt(unsigned before);

bool virtqueue_init(VirtQueue *queue, const VirtioDevice *device, unsigned index);

/* At most four buffers when the queue is indirect. Returns the head, which names the request. */
uint16_t virtqueue_add(VirtQueue *queue, const VirtBuffer *buffers, unsigned count);

/* With the event index only if the device wants to hear of it. */
void virtqueue_kick(VirtQueue *queue);

/* The next finished request, if any; its descriptors are free again. */
bool virtqueue_get(VirtQueue *queue, uint16_t *head, uint32_t *length);

/* Waits for one; false when patience ends. Lets interrupts in meanwhile. */
bool virtqueue_wait(VirtQueue *queue, uint16_t *head, uint32_t *length);

/*
 * As virtqueue_wait(), but asleep: what wakes is the device's interrupt, or whoever sets *is_overdue;
 * false if nothing had been finished even then.
 */
bool virtqueue_sleep(VirtQueue *queue, const volatile bool *is_overdue, uint16_t *head,
                     uint32_t *length);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEVICES_VIRTIO_RING_H
#define DEVICES_VIRTIO_RING_H

/*
 * What both ring layouts share: reading memory that the guest may change at any moment, and
 * building a chain piece by piece.  Private to devices/virtio/queue*.c.
 */

#include "devices/virtio/queue.h"
#include "util/bytes.h"

#define VIRTQ_DESC_BYTES    16
#define VIRTQ_DESC_NEXT     1
#define VIRTQ_DESC_WRITE    2
#define VIRTQ_DESC_INDIRECT 4

/* The last two fields are (flags, next) in a split ring and (id, flags) in a packed one. */
typedef struct VirtqDesc {
    uint64_t address;
    uint32_t len;
    uint16_t tail[2];
} VirtqDesc;

/* Copies once: the barrier keeps the compiler from going back for a field later. */
static inline VirtqDesc virtq_read_desc(const uint8_t *table, unsigned index)
{
    const uint8_t *at = table + (size_t)index * VIRTQ_DESC_BYTES;
    VirtqDesc desc;

    memcpy(&desc, at, VIRTQ_DESC_BYTES);
    __asm__ volatile("" ::: "memory");
    desc.address = GUINT64_FROM_LE(desc.address);
    desc.len = GUINT32_FROM_LE(desc.len);
    desc.tail[0] = GUINT16_FROM_LE(desc.tail[0]);
    desc.tail[1] = GUINT16_FROM_LE(desc.tail[1]);
    return desc;
}

/* Fields that order others; their alignment was checked when the ring was mapped. */
static inline uint16_t ring_load16(const uint8_t *at)
{
    return GUINT16_FROM_LE(__atomic_load_n((const uint16_t *)(const void *)at, __ATOMIC_ACQUIRE));
}

static inline void ring_store16(void *at, uint16_t value)
{
    __atomic_store_n((uint16_t *)at, GUINT16_TO_LE(value), __ATOMIC_RELEASE);
}

static inline void ring_store32(void *at, uint32_t value)
{
    __atomic_store_n((uint32_t *)at, GUINT32_TO_LE(value), __ATOMIC_RELAXED);
}

/* Our stores before it are seen before our loads after it look. */
static inline void ring_fence(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* One area of a ring, as the guest described it. */
typedef struct VirtqSpan {
    const char *name; /* for the error message */
    uint64_t address;
    uint64_t len;
    uint64_t align;
    GuestAccess access;
} VirtqSpan;

/* It must be aligned and lie in one block of RAM. */
uint8_t *virtq_map_area(const GuestMemory *mem, const VirtqSpan *span, GError **error);

/* Empties the chain but keeps its array. */
void virt_chain_restart(VirtChain *chain);

/* Appends [address, address + len) to the readable or the writable part, checked. */
bool virt_chain_add(VirtChain *chain, const GuestMemory *mem, const VirtqDesc *desc, bool writable,
                    GError **error);

/* A table of descriptors elsewhere in guest memory. */
const uint8_t *virtq_map_indirect(const VirtQueue *q, const GuestMemory *mem, const VirtqDesc *desc,
                                  unsigned *ret_count, GError **error);

/* True if the place `event` lies among the last `since` places before `now`. */
static inline bool virtq_event_passed(uint16_t event, uint16_t now, uint16_t since)
{
    return (uint16_t)(now - event - 1) < since;
}

#endif

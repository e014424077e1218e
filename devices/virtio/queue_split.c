/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The split ring.
 *
 *     desc     size x { address u64, len u32, flags u16, next u16 }
 *     driver   { flags u16, index u16, ring u16 x size, used_event u16 }
 *     device   { flags u16, index u16, { id u32, len u32 } x size, avail_event u16 }
 */
#include "devices/virtio/ring.h"
#include "devices/virtio/virtio.h"
#include "util/error.h"

#define RING_FLAGS      0
#define RING_INDEX      2
#define RING_SLOTS      4
#define AVAIL_BYTES     2
#define USED_BYTES      8
#define EVENT_BYTES     2
#define NO_NOTIFICATION 1 /* of either side's flags */

static bool split_map(VirtQueue *q, const GuestMemory *mem, GError **error)
{
    uint64_t size = q->size;
    const VirtqSpan desc = {.name = "desc_address",
                            .address = q->desc_address,
                            .len = size * VIRTQ_DESC_BYTES,
                            .align = 16,
                            .access = GUEST_READ};
    const VirtqSpan driver = {.name = "driver_address",
                              .address = q->driver_address,
                              .len = RING_SLOTS + size * AVAIL_BYTES + EVENT_BYTES,
                              .align = 2,
                              .access = GUEST_READ};
    const VirtqSpan device = {.name = "device_address",
                              .address = q->device_address,
                              .len = RING_SLOTS + size * USED_BYTES + EVENT_BYTES,
                              .align = 4,
                              .access = GUEST_WRITE};

    if (!is_power_of_two(size)) {
        return fail(error, VMM_ERROR_GUEST, "size: %u is not a power of two", q->size);
    }
    q->desc_ring = virtq_map_area(mem, &desc, error);
    q->driver_area = q->desc_ring ? virtq_map_area(mem, &driver, error) : NULL;
    q->device_area = q->driver_area ? virtq_map_area(mem, &device, error) : NULL;
    return q->device_area != NULL;
}

/* Slot n of the driver's and of the device's area; behind the last lies the event index. */
static uint8_t *avail_slot(const VirtQueue *q, size_t n)
{
    return q->driver_area + RING_SLOTS + n * AVAIL_BYTES;
}

static uint8_t *used_slot(const VirtQueue *q, size_t n)
{
    return q->device_area + RING_SLOTS + n * USED_BYTES;
}

static uint16_t ring_place(const VirtQueue *q, uint16_t index)
{
    return index & (uint16_t)(q->size - 1);
}

static bool split_has_work(VirtQueue *q)
{
    if (q->seen_avail == q->last_avail) {
        q->seen_avail = ring_load16(q->driver_area + RING_INDEX);
    }
    return q->seen_avail != q->last_avail;
}

/* The table that a chain is being read from: the queue's own, then perhaps an indirect one. */
typedef struct Table {
    const uint8_t *descs;
    unsigned count;
    bool is_indirect;
} Table;

static bool check_index(const Table *table, unsigned index, GError **error)
{
    return index < table->count ||
           fail(error, VMM_ERROR_GUEST, "descriptor %u of a table of %u", index, table->count);
}

static bool enter_indirect(const VirtQueue *q, const GuestMemory *mem, const VirtqDesc *desc,
                           Table *table, GError **error)
{
    if (table->is_indirect) {
        return fail(error, VMM_ERROR_GUEST, "an indirect table inside an indirect table");
    }
    if (desc->tail[0] & VIRTQ_DESC_NEXT) {
        return fail(error, VMM_ERROR_GUEST, "an indirect descriptor with a next one");
    }
    table->descs = virtq_map_indirect(q, mem, desc, &table->count, error);
    table->is_indirect = true;
    return table->descs != NULL;
}

static bool read_chain(const VirtQueue *q, const GuestMemory *mem, uint16_t head, VirtChain *chain,
                       GError **error)
{
    Table table = {.descs = q->desc_ring, .count = q->size};
    unsigned index = head;
    unsigned steps = 0;

    for (;;) {
        if (!check_index(&table, index, error)) {
            return false;
        }

        VirtqDesc desc = virtq_read_desc(table.descs, index);
        uint16_t flags = desc.tail[0];

        if (flags & VIRTQ_DESC_INDIRECT) {
            if (!enter_indirect(q, mem, &desc, &table, error)) {
                return false;
            }
            index = 0;
            steps = 0;
            continue;
        }
        if (!virt_chain_add(chain, mem, &desc, flags & VIRTQ_DESC_WRITE, error)) {
            return false;
        }
        if (!(flags & VIRTQ_DESC_NEXT)) {
            return true;
        }
        if (++steps >= table.count) {
            return fail(error, VMM_ERROR_GUEST, "a chain from descriptor %u that does not end",
                        head);
        }
        index = desc.tail[1];
    }
}

static bool split_pop(VirtQueue *q, const GuestMemory *mem, VirtChain *chain, GError **error)
{
    uint16_t ahead = (uint16_t)(q->seen_avail - q->last_avail);

    if (ahead > q->size) {
        return fail(error, VMM_ERROR_GUEST, "%u chains announced in a ring of %u", ahead, q->size);
    }

    uint16_t head = ring_load16(avail_slot(q, ring_place(q, q->last_avail)));

    if (!read_chain(q, mem, head, chain, error)) {
        return false;
    }
    chain->id = head;
    chain->ring_slots = 1;
    q->last_avail++;
    return true;
}

static void split_unpop(VirtQueue *q, const VirtChain *chain)
{
    (void)chain;
    q->last_avail--;
}

static void split_push(VirtQueue *q, const VirtChain *chain, uint32_t written)
{
    uint8_t *slot = used_slot(q, ring_place(q, q->last_used));

    ring_store32(slot, chain->id);
    ring_store32(slot + 4, written);
    q->last_used++;
    ring_store16(q->device_area + RING_INDEX, q->last_used);
}

static void split_want_kicks(VirtQueue *q, bool on)
{
    if (!q->has_event_idx) {
        ring_store16(q->device_area + RING_FLAGS, on ? 0 : NO_NOTIFICATION);
    } else if (on) {
        /* A stale event is one that the guest has passed, which is the same as asking not to. */
        ring_store16(used_slot(q, q->size), q->last_avail);
    }
}

static bool split_wants_interrupt(VirtQueue *q)
{
    ring_fence();
    if (!q->has_event_idx) {
        return !(ring_load16(q->driver_area + RING_FLAGS) & NO_NOTIFICATION);
    }

    uint16_t event = ring_load16(avail_slot(q, q->size));

    return virtq_event_passed(event, q->last_used, q->unsignalled);
}

const VirtqLayout virtq_split = {
    .map = split_map,
    .has_work = split_has_work,
    .pop = split_pop,
    .unpop = split_unpop,
    .push = split_push,
    .want_kicks = split_want_kicks,
    .wants_interrupt = split_wants_interrupt,
};

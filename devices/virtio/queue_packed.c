/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The packed ring: one array that both sides write, and two words that say who wants to be told.
 *
 *     desc     size x { address u64, len u32, id u16, flags u16 }
 *     driver   { event u16, flags u16 }        when the driver wants interrupts
 *     device   { event u16, flags u16 }        when the device wants kicks
 *
 * Two bits in a descriptor's flags say whose it is.  Each side keeps a wrap bit that toggles when
 * it passes the end: available means AVAIL == wrap and USED != wrap, used means both == wrap.  An
 * event is a place in the ring with the wrap bit on top.
 */
#include "devices/virtio/ring.h"
#include "devices/virtio/virtio.h"
#include "util/error.h"

#define DESC_ID         12
#define DESC_FLAGS      14
#define FLAG_AVAIL      0x0080
#define FLAG_USED       0x8000
#define EVENT_BYTES     4
#define EVENT_FLAGS     2
#define EVENT_PLACE     0x7fff
#define EVENT_WRAP      15
#define EVENTS_ON       0
#define EVENTS_OFF      1
#define EVENTS_AT_PLACE 2

static bool packed_map(VirtQueue *q, const GuestMemory *mem, GError **error)
{
    const VirtqSpan desc = {.name = "desc_address",
                            .address = q->desc_address,
                            .len = (uint64_t)q->size * VIRTQ_DESC_BYTES,
                            .align = 16,
                            .access = GUEST_WRITE};
    const VirtqSpan driver = {.name = "driver_address",
                              .address = q->driver_address,
                              .len = EVENT_BYTES,
                              .align = 4,
                              .access = GUEST_READ};
    const VirtqSpan device = {.name = "device_address",
                              .address = q->device_address,
                              .len = EVENT_BYTES,
                              .align = 4,
                              .access = GUEST_WRITE};

    if (q->last_avail >= q->size || q->last_used >= q->size) {
        return fail(error, VMM_ERROR_GUEST, "position: %u and %u in a ring of %u", q->last_avail,
                    q->last_used, q->size);
    }
    q->desc_ring = virtq_map_area(mem, &desc, error);
    q->driver_area = q->desc_ring ? virtq_map_area(mem, &driver, error) : NULL;
    q->device_area = q->driver_area ? virtq_map_area(mem, &device, error) : NULL;
    return q->device_area != NULL;
}

static bool packed_has_work(VirtQueue *q)
{
    const uint8_t *desc = q->desc_ring + (size_t)q->last_avail * VIRTQ_DESC_BYTES;
    uint16_t flags = ring_load16(desc + DESC_FLAGS);
    bool avail = flags & FLAG_AVAIL;
    bool used = flags & FLAG_USED;

    return avail == (bool)q->avail_wrap && used != (bool)q->avail_wrap;
}

/* Moves a place forward by slots, which is at most the size. */
static void advance(const VirtQueue *q, uint16_t *place, uint8_t *wrap, uint16_t slots)
{
    unsigned next = *place + slots;

    if (next >= q->size) {
        next -= q->size;
        *wrap ^= 1;
    }
    *place = (uint16_t)next;
}

static bool read_indirect(const VirtQueue *q, const GuestMemory *mem, const VirtqDesc *table_desc,
                          VirtChain *chain, GError **error)
{
    unsigned count;
    const uint8_t *table = virtq_map_indirect(q, mem, table_desc, &count, error);

    if (!table) {
        return false;
    }
    if (table_desc->tail[1] & VIRTQ_DESC_NEXT) {
        return fail(error, VMM_ERROR_GUEST, "an indirect descriptor with a next one");
    }
    for (unsigned i = 0; i < count; i++) {
        VirtqDesc desc = virtq_read_desc(table, i);

        if (desc.tail[1] & VIRTQ_DESC_INDIRECT) {
            return fail(error, VMM_ERROR_GUEST, "an indirect table inside an indirect table");
        }
        if (!virt_chain_add(chain, mem, &desc, desc.tail[1] & VIRTQ_DESC_WRITE, error)) {
            return false;
        }
    }
    return true;
}

/* Descriptors of a chain follow each other in the ring; the last one carries the buffer id. */
static bool read_chain(const VirtQueue *q, const GuestMemory *mem, VirtChain *chain, GError **error)
{
    uint16_t place = q->last_avail;

    for (uint16_t slots = 1; slots <= q->size; slots++) {
        VirtqDesc desc = virtq_read_desc(q->desc_ring, place);
        uint16_t flags = desc.tail[1];

        chain->id = desc.tail[0];
        chain->ring_slots = slots;
        if (flags & VIRTQ_DESC_INDIRECT) {
            if (slots > 1) {
                return fail(error, VMM_ERROR_GUEST, "an indirect descriptor inside a chain");
            }
            return read_indirect(q, mem, &desc, chain, error);
        }
        if (!virt_chain_add(chain, mem, &desc, flags & VIRTQ_DESC_WRITE, error)) {
            return false;
        }
        if (!(flags & VIRTQ_DESC_NEXT)) {
            return true;
        }
        place = place + 1 == q->size ? 0 : (uint16_t)(place + 1);
    }
    return fail(error, VMM_ERROR_GUEST, "a chain at place %u that does not end", q->last_avail);
}

static bool packed_pop(VirtQueue *q, const GuestMemory *mem, VirtChain *chain, GError **error)
{
    if (!read_chain(q, mem, chain, error)) {
        return false;
    }
    advance(q, &q->last_avail, &q->avail_wrap, chain->ring_slots);
    return true;
}

static void packed_unpop(VirtQueue *q, const VirtChain *chain)
{
    if (q->last_avail < chain->ring_slots) {
        q->last_avail = (uint16_t)(q->last_avail + q->size - chain->ring_slots);
        q->avail_wrap ^= 1;
    } else {
        q->last_avail = (uint16_t)(q->last_avail - chain->ring_slots);
    }
}

static void packed_push(VirtQueue *q, const VirtChain *chain, uint32_t written)
{
    uint8_t *desc = q->desc_ring + (size_t)q->last_used * VIRTQ_DESC_BYTES;
    uint16_t flags = q->used_wrap ? FLAG_AVAIL | FLAG_USED : 0;

    if (written > 0) {
        flags |= VIRTQ_DESC_WRITE;
    }
    ring_store32(desc + 8, written);
    ring_store16(desc + DESC_ID, chain->id);
    ring_store16(desc + DESC_FLAGS, flags);
    advance(q, &q->last_used, &q->used_wrap, chain->ring_slots);
}

static void packed_want_kicks(VirtQueue *q, bool on)
{
    uint16_t flags = EVENTS_OFF;

    if (on && q->has_event_idx) {
        ring_store16(q->device_area, (uint16_t)(q->last_avail | q->avail_wrap << EVENT_WRAP));
        flags = EVENTS_AT_PLACE;
    } else if (on) {
        flags = EVENTS_ON;
    }
    ring_store16(q->device_area + EVENT_FLAGS, flags);
}

static bool packed_wants_interrupt(VirtQueue *q)
{
    ring_fence();

    uint16_t flags = ring_load16(q->driver_area + EVENT_FLAGS);

    if (flags != EVENTS_AT_PLACE || !q->has_event_idx) {
        return flags != EVENTS_OFF;
    }

    /* Places count up for the comparison: an event of the lap before lies a whole ring behind. */
    uint16_t event = ring_load16(q->driver_area);
    uint16_t place = event & EVENT_PLACE;

    if (event >> EVENT_WRAP != q->used_wrap) {
        place = (uint16_t)(place - q->size);
    }
    return virtq_event_passed(place, q->last_used, q->unsignalled);
}

const VirtqLayout virtq_packed = {
    .map = packed_map,
    .has_work = packed_has_work,
    .pop = packed_pop,
    .unpop = packed_unpop,
    .push = packed_push,
    .want_kicks = packed_want_kicks,
    .wants_interrupt = packed_wants_interrupt,
};

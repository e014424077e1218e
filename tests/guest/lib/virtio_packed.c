/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The packed ring: requests lie in the order in which they were made, answers in that in which they
 * were finished, in one array.  Whose turn a slot is is told by two flags against a wrap counter.
 * Ids come from the free list that a split ring would use for its descriptors.
 */
#include "tests/guest/lib/virtio_ring.h"

#include "tests/guest/lib/x86.h"

#define FLAG_AVAILABLE (1u << 7)
#define FLAG_USED      (1u << 15)

static uint16_t turn_flags(bool wrap)
{
    return wrap ? FLAG_AVAILABLE : FLAG_USED;
}

static uint16_t buffer_flags(const VirtBuffer *buffer, bool has_next)
{
    return (uint16_t)((has_next ? DESCRIPTOR_NEXT : 0) |
                      (buffer->device_writes ? DESCRIPTOR_WRITE : 0));
}

/* Fills the next slot but for its flags, and steps on. */
static VirtPackedDescriptor *take_slot(VirtQueue *queue, uint64_t address, uint32_t length,
                                       uint16_t id)
{
    VirtPackedRing *ring = &queue->packed;
    VirtPackedDescriptor *d = &ring->descriptors[ring->next_available];

    d->address = address;
    d->length = length;
    d->id = id;
    if (++ring->next_available == queue->size) {
        ring->next_available = 0;
        ring->available_wrap = !ring->available_wrap;
    }
    return d;
}

static uint16_t take_id(VirtQueue *queue, unsigned slots)
{
    uint16_t id = queue->free_head;

    queue->free_head = queue->descriptors[id].next;
    queue->free_count = (uint16_t)(queue->free_count - slots);
    queue->packed.chain_length[id] = (uint16_t)slots;
    return id;
}

static uint16_t add_indirect(VirtQueue *queue, const VirtBuffer *buffers, unsigned count)
{
    uint16_t turn = turn_flags(queue->packed.available_wrap);
    uint16_t id = take_id(queue, 1);
    VirtPackedDescriptor *table = (VirtPackedDescriptor *)queue->indirect[id];
    VirtPackedDescriptor *d;

    for (unsigned i = 0; i < count; i++) {
        table[i] = (VirtPackedDescriptor){
            .address = (uint64_t)buffers[i].data,
            .length = buffers[i].length,
            .flags = buffer_flags(&buffers[i], false),
        };
    }
    d = take_slot(queue, (uint64_t)table, (uint32_t)(count * sizeof(*table)), id);
    memory_barrier();
    d->flags = DESCRIPTOR_TABLE | turn;
    return id;
}

uint16_t virtio_packed_add(VirtQueue *queue, const VirtBuffer *buffers, unsigned count)
{
    VirtPackedDescriptor *first = NULL;
    uint16_t first_flags = 0;
    uint16_t id;

    if (queue->is_indirect) {
        return add_indirect(queue, buffers, count);
    }
    id = take_id(queue, count);
    for (unsigned i = 0; i < count; i++) {
        uint16_t flags = turn_flags(queue->packed.available_wrap);
        VirtPackedDescriptor *d =
            take_slot(queue, (uint64_t)buffers[i].data, buffers[i].length, id);

        flags |= buffer_flags(&buffers[i], i + 1 < count);
        if (i == 0) {
            first = d;
            first_flags = flags;
        } else {
            d->flags = flags;
        }
    }
    /* The head's flags hand the whole chain over, so they come last. */
    memory_barrier();
    first->flags = first_flags;
    return id;
}

bool virtio_packed_get(VirtQueue *queue, uint16_t *head, uint32_t *length)
{
    VirtPackedRing *ring = &queue->packed;
    const VirtPackedDescriptor *d = &ring->descriptors[ring->next_used];
    uint16_t flags = d->flags;
    uint16_t slots;

    if (((flags & FLAG_AVAILABLE) != 0) != ring->used_wrap ||
        ((flags & FLAG_USED) != 0) != ring->used_wrap) {
        return false;
    }
    memory_barrier();
    *head = d->id;
    *length = d->length;
    slots = ring->chain_length[*head];
    ring->next_used = (uint16_t)(ring->next_used + slots);
    if (ring->next_used >= queue->size) {
        ring->next_used = (uint16_t)(ring->next_used - queue->size);
        ring->used_wrap = !ring->used_wrap;
    }
    queue->free_count = (uint16_t)(queue->free_count + slots);
    queue->descriptors[*head].next = queue->free_head;
    queue->free_head = *head;
    return true;
}

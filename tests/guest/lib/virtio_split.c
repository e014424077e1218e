/* SPDX-License-Identifier: Apache-2.0 */
/* The split ring: descriptors in a free list, chained; or one descriptor and a table of its own. */
#include "tests/guest/lib/virtio_ring.h"

#include "tests/guest/lib/x86.h"

static void fill_descriptor(VirtDescriptor *d, const VirtBuffer *buffer, bool has_next)
{
    d->address = (uint64_t)buffer->data;
    d->length = buffer->length;
    d->flags = (uint16_t)((has_next ? DESCRIPTOR_NEXT : 0) |
                          (buffer->device_writes ? DESCRIPTOR_WRITE : 0));
}

static uint16_t add_direct(VirtQueue *queue, const VirtBuffer *buffers, unsigned count)
{
    uint16_t head = queue->free_head;
    uint16_t at = head;

    for (unsigned i = 0; i < count; i++) {
        VirtDescriptor *d = &queue->descriptors[at];

        fill_descriptor(d, &buffers[i], i + 1 < count);
        at = d->next;
    }
    queue->free_head = at;
    queue->free_count = (uint16_t)(queue->free_count - count);
    return head;
}

static uint16_t add_indirect(VirtQueue *queue, const VirtBuffer *buffers, unsigned count)
{
    uint16_t head = queue->free_head;
    VirtDescriptor *d = &queue->descriptors[head];
    VirtDescriptor *table = queue->indirect[head];

    for (unsigned i = 0; i < count; i++) {
        fill_descriptor(&table[i], &buffers[i], i + 1 < count);
        table[i].next = (uint16_t)(i + 1);
    }
    d->address = (uint64_t)table;
    d->length = (uint32_t)(count * sizeof(*table));
    d->flags = DESCRIPTOR_TABLE;
    queue->free_head = d->next;
    queue->free_count--;
    return head;
}

uint16_t virtio_split_add(VirtQueue *queue, const VirtBuffer *buffers, unsigned count)
{
    uint16_t head = queue->is_indirect ? add_indirect(queue, buffers, count)
                                       : add_direct(queue, buffers, count);

    queue->available.ring[queue->available.index % queue->size] = head;
    memory_barrier();
    queue->available.index++;
    return head;
}

/* True if the device's event index lies among those that became available since the last kick. */
bool virtio_split_wants_kick(VirtQueue *queue)
{
    uint16_t now = queue->available.index;
    uint16_t since = (uint16_t)(now - queue->kicked);

    queue->kicked = now;
    return (uint16_t)(now - queue->used.available_event - 1) < since;
}

static void free_chain(VirtQueue *queue, uint16_t head)
{
    uint16_t at = head;

    queue->free_count++;
    while (queue->descriptors[at].flags & DESCRIPTOR_NEXT) {
        at = queue->descriptors[at].next;
        queue->free_count++;
    }
    queue->descriptors[at].next = queue->free_head;
    queue->free_head = head;
}

bool virtio_split_get(VirtQueue *queue, uint16_t *head, uint32_t *length)
{
    const volatile VirtUsedElement *element;

    if (queue->used.index == queue->next_used) {
        return false;
    }
    memory_barrier();
    element = &queue->used.ring[queue->next_used % queue->size];
    *head = (uint16_t)element->id;
    *length = element->length;
    queue->next_used++;
    queue->available.used_event = queue->next_used;
    free_chain(queue, *head);
    return true;
}

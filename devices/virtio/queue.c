/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What does not depend on the layout of the ring: building chains, bounds on what the guest may
 * have in flight, and turning a ring that makes no sense into a broken device.
 */
#include "devices/virtio/queue.h"

#include "devices/virtio/iov.h"
#include "devices/virtio/ring.h"
#include "devices/virtio/virtio.h"
#include "util/error.h"
#include "util/loop.h"
#include "util/trace.h"

#include <inttypes.h>

/* --- chains --- */

void virt_chain_clear(VirtChain *chain)
{
    g_free(chain->iov);
    *chain = (VirtChain){0};
}

uint64_t virt_chain_read(const VirtChain *chain, uint64_t offset, void *data, uint64_t len)
{
    return iov_read(virt_chain_out(chain), chain->num_out, offset, data, len);
}

uint64_t virt_chain_write(const VirtChain *chain, uint64_t offset, const void *data, uint64_t len)
{
    return iov_write(virt_chain_in(chain), chain->num_in, offset, data, len);
}

void virt_chain_restart(VirtChain *chain)
{
    chain->num_out = 0;
    chain->num_in = 0;
    chain->out_bytes = 0;
    chain->in_bytes = 0;
}

static bool add_piece(VirtChain *chain, void *hva, uint64_t len, GError **error)
{
    unsigned used = chain->num_out + chain->num_in;

    if (used == VIRTQ_MAX_SEGMENTS) {
        return fail(error, VMM_ERROR_GUEST, "a chain of more than %d pieces", VIRTQ_MAX_SEGMENTS);
    }
    if (used == chain->capacity) {
        chain->capacity = MAX(16, chain->capacity * 2);
        chain->iov = g_renew(struct iovec, chain->iov, chain->capacity);
    }
    chain->iov[used] = (struct iovec){.iov_base = hva, .iov_len = len};
    return true;
}

/* How much of [gpa, gpa + len) its block holds; 0 where there is no RAM. */
static uint64_t len_in_block(const GuestMemory *mem, uint64_t gpa, uint64_t len)
{
    size_t count;
    const RamBlock *blocks = guest_mem_blocks(mem, &count);

    for (size_t i = 0; i < count; i++) {
        uint64_t into = gpa - blocks[i].base.v;

        if (gpa >= blocks[i].base.v && into < blocks[i].size) {
            return MIN(len, blocks[i].size - into);
        }
    }
    return 0;
}

bool virt_chain_add(VirtChain *chain, const GuestMemory *mem, const VirtqDesc *desc, bool writable,
                    GError **error)
{
    GuestAccess access = writable ? GUEST_WRITE : GUEST_READ;
    uint64_t address = desc->address;
    uint64_t left = desc->len;

    if (left == 0) {
        return fail(error, VMM_ERROR_GUEST, "a buffer of no bytes at 0x%" PRIx64, address);
    }
    if (!writable && chain->num_in > 0) {
        return fail(error, VMM_ERROR_GUEST, "a readable buffer behind a writable one");
    }
    while (left > 0) {
        uint64_t n = len_in_block(mem, address, left);
        void *hva = guest_mem_ptr(mem, GPA(address), n > 0 ? n : left, access, error);

        if (!hva || !add_piece(chain, hva, n, error)) {
            return false;
        }
        if (writable) {
            chain->num_in++;
            chain->in_bytes += n;
        } else {
            chain->num_out++;
            chain->out_bytes += n;
        }
        address += n;
        left -= n;
    }
    return true;
}

/* --- mapping --- */

uint8_t *virtq_map_area(const GuestMemory *mem, const VirtqSpan *span, GError **error)
{
    if (!is_aligned(span->address, span->align)) {
        return fail_null(error, VMM_ERROR_GUEST, "%s: 0x%" PRIx64 " is not a multiple of %" PRIu64,
                         span->name, span->address, span->align);
    }

    uint8_t *hva = guest_mem_ptr(mem, GPA(span->address), span->len, span->access, error);

    if (!hva) {
        g_prefix_error(error, "%s: ", span->name);
    }
    return hva;
}

const uint8_t *virtq_map_indirect(const VirtQueue *q, const GuestMemory *mem, const VirtqDesc *desc,
                                  unsigned *ret_count, GError **error)
{
    if (!q->has_indirect) {
        return fail_null(error, VMM_ERROR_GUEST, "an indirect descriptor without the feature");
    }
    if (desc->len == 0 || desc->len % VIRTQ_DESC_BYTES != 0) {
        return fail_null(error, VMM_ERROR_GUEST, "an indirect table of %" PRIu32 " bytes",
                         desc->len);
    }
    *ret_count = desc->len / VIRTQ_DESC_BYTES;
    return guest_mem_ptr(mem, GPA(desc->address), desc->len, GUEST_READ, error);
}

void virtq_reset(VirtQueue *q)
{
    q->size = q->max_size;
    q->ready = 0;
    q->desc_address = 0;
    q->driver_address = 0;
    q->device_address = 0;
    q->layout = NULL;
    q->last_avail = 0;
    q->last_used = 0;
    q->avail_wrap = 1;
    q->used_wrap = 1;
    q->unsignalled = 0;
    q->seen_avail = 0;
    q->in_flight = 0;
}

bool virtq_enable(VirtQueue *q, const GuestMemory *mem, uint64_t features, GError **error)
{
    const VirtqLayout *layout =
        features & VIRTIO_FEATURE_RING_PACKED ? &virtq_packed : &virtq_split;

    if (q->size == 0 || q->size > q->max_size) {
        return fail(error, VMM_ERROR_GUEST, "size: %u, expected 1..%u", q->size, q->max_size);
    }
    q->has_event_idx = features & VIRTIO_FEATURE_EVENT_IDX;
    q->has_indirect = features & VIRTIO_FEATURE_INDIRECT_DESC;
    q->seen_avail = q->last_avail;
    if (!layout->map(q, mem, error)) {
        return false;
    }
    q->layout = layout;
    return true;
}

/* --- requests --- */

static bool is_usable(const VirtQueue *q)
{
    return q->layout && !virtio_is_broken(q->dev);
}

bool virtq_has_work(VirtQueue *q)
{
    return is_usable(q) && q->layout->has_work(q);
}

bool virtq_pop(VirtQueue *q, VirtChain *chain)
{
    g_autoptr(GError) error = NULL;

    if (!virtq_has_work(q)) {
        return false;
    }
    virt_chain_restart(chain);
    if (!q->layout->pop(q, q->dev->mem, chain, &error)) {
        virtio_break(q->dev, "queue %u: %s", q->index, error->message);
        return false;
    }
    /* A guest that offers slots again which it has not got back would grow our queues for ever. */
    if (chain->ring_slots > q->size - q->in_flight) {
        q->layout->unpop(q, chain);
        virtio_break(q->dev, "queue %u: more than %u slots in flight", q->index, q->size);
        return false;
    }
    q->in_flight += chain->ring_slots;
    chain->popped_ns = loop_now_ns();
    TRACE(virtio_pop, "%s queue %u: %" PRIu64 " out, %" PRIu64 " in", q->dev->base.id, q->index,
          chain->out_bytes, chain->in_bytes);
    return true;
}

void virtq_unpop(VirtQueue *q, const VirtChain *chain)
{
    g_assert(q->in_flight >= chain->ring_slots);
    q->layout->unpop(q, chain);
    q->in_flight -= chain->ring_slots;
}

/* One thread writes, so that no locked instruction is needed. */
static void count(atomic_uint_least64_t *counter, uint64_t more)
{
    uint64_t now = atomic_load_explicit(counter, memory_order_relaxed);

    atomic_store_explicit(counter, now + more, memory_order_relaxed);
}

static void count_chain(VirtqCount *counts, const VirtChain *chain, uint32_t written)
{
    count(&counts->requests, 1);
    count(&counts->bytes_read, chain->out_bytes);
    count(&counts->bytes_written, written);
    count(&counts->total_ns, (uint64_t)(loop_now_ns() - chain->popped_ns));
}

void virtq_push(VirtQueue *q, const VirtChain *chain, uint32_t written)
{
    g_assert(q->in_flight >= chain->ring_slots);
    count_chain(&q->count, chain, written);
    TRACE(virtio_push, "%s queue %u: %" PRIu32, q->dev->base.id, q->index, written);
    q->layout->push(q, chain, written);
    q->in_flight -= chain->ring_slots;
    q->unsignalled = (uint16_t)MIN(q->unsignalled + chain->ring_slots, UINT16_MAX);
}

void virtq_notify(VirtQueue *q)
{
    if (!q->layout || q->unsignalled == 0) {
        return;
    }

    bool wanted = q->layout->wants_interrupt(q);

    q->unsignalled = 0;
    if (wanted && q->dev->transport.interrupt) {
        TRACE(virtio_interrupt, "%s queue %u", q->dev->base.id, q->index);
        q->dev->transport.interrupt(q->dev->transport.opaque, VIRTIO_INTERRUPT_QUEUE, q->index);
    }
}

bool virtq_want_kicks(VirtQueue *q, bool on)
{
    if (!is_usable(q)) {
        return false;
    }
    q->layout->want_kicks(q, on);
    if (!on) {
        return false;
    }
    ring_fence();
    return q->layout->has_work(q);
}

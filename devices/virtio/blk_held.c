/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/blk_held.h"

#include "migration/vmstate.h"
#include "util/error.h"

#include <inttypes.h>

#define KNOWN_FLAGS     (BLOCK_REQUEST_FUA | BLOCK_REQUEST_UNMAP)
#define WORDS_PER_PIECE 2u
#define MAX_REQUESTS    (VIRTQ_MAX_SIZE * 8u)
#define MAX_WORDS       (MAX_REQUESTS * WORDS_PER_PIECE * 16u)

void blk_held_clear(BlkHeld *held)
{
    g_free(held->request);
    g_free(held->piece);
    *held = (BlkHeld){0};
}

/* ---- saving --------------------------------------------------------------------------------- */

static bool add_pieces(BlkHeld *held, const GuestMemory *mem, const BlockRequest *block,
                       GError **error)
{
    uint32_t words = held->num_words + block->iov_count * WORDS_PER_PIECE;

    held->piece = g_renew(uint64_t, held->piece, words);
    for (unsigned i = 0; i < block->iov_count; i++) {
        Gpa gpa;

        if (!guest_mem_address(mem, block->iov[i].iov_base, &gpa, error)) {
            return false;
        }
        held->piece[held->num_words++] = gpa.v;
        held->piece[held->num_words++] = block->iov[i].iov_len;
    }
    return true;
}

bool blk_held_add(BlkHeld *held, const GuestMemory *mem, const BlkRequest *request,
                  uint32_t overtaken, GError **error)
{
    const BlockRequest *block = &request->block;
    Gpa status;

    if (!guest_mem_address(mem, request->status, &status, error)) {
        return false;
    }
    held->request = g_renew(BlkHeldRequest, held->request, held->num_requests + 1);
    held->request[held->num_requests++] = (BlkHeldRequest){
        .queue = (uint16_t)request->queue->index,
        .id = request->chain.id,
        .ring_slots = request->chain.ring_slots,
        .op = (uint8_t)block->op,
        .flags = block->flags,
        .offset = block->offset,
        .bytes = block->bytes,
        .status_address = status.v,
        .written = request->written,
        .overtaken = overtaken,
        .pieces = block->iov_count,
    };
    return add_pieces(held, mem, block, error);
}

/* ---- loading -------------------------------------------------------------------------------- */

bool blk_held_check(const BlkHeld *held, const VirtioDevice *dev, GError **error)
{
    g_autofree uint64_t *slots = g_new0(uint64_t, dev->num_queues + 1);

    for (uint32_t i = 0; i < held->num_requests; i++) {
        const BlkHeldRequest *from = &held->request[i];

        if (from->queue >= dev->num_queues || from->ring_slots == 0) {
            return fail(error, VMM_ERROR_WIRE, "request[%" PRIu32 "]: %u slots of queue %u", i,
                        from->ring_slots, from->queue);
        }
        slots[from->queue] += from->ring_slots;
    }
    for (unsigned i = 0; i < dev->num_queues; i++) {
        if (slots[i] != dev->queue[i].in_flight) {
            return fail(error, VMM_ERROR_WIRE,
                        "%" PRIu64 " slots of queue %u, which has %" PRIu32 " in flight", slots[i],
                        i, dev->queue[i].in_flight);
        }
    }
    return true;
}

static bool take_pieces(const BlkHeld *held, const BlkHeldRequest *from, uint32_t *word,
                        const GuestMemory *mem, BlkRequest *request, GError **error)
{
    GuestAccess access = from->op == BLOCK_READ ? GUEST_WRITE : GUEST_READ;

    if (from->pieces > VIRTQ_MAX_SEGMENTS ||
        from->pieces > (held->num_words - *word) / WORDS_PER_PIECE) {
        return fail(error, VMM_ERROR_WIRE, "pieces: %" PRIu32 " are more than there are",
                    from->pieces);
    }
    request->chain.iov = g_renew(struct iovec, request->chain.iov, from->pieces + 1);
    request->chain.capacity = from->pieces + 1;
    for (uint32_t i = 0; i < from->pieces; i++) {
        uint64_t address = held->piece[(*word)++];
        uint64_t len = held->piece[(*word)++];
        void *hva = guest_mem_ptr(mem, GPA(address), len, access, error);

        if (!hva) {
            return false;
        }
        request->chain.iov[i] = (struct iovec){.iov_base = hva, .iov_len = len};
    }
    request->block.iov = request->chain.iov;
    request->block.iov_count = from->pieces;
    return true;
}

bool blk_held_take(const BlkHeld *held, uint32_t index, uint32_t *word, const GuestMemory *mem,
                   BlkRequest *request, GError **error)
{
    const BlkHeldRequest *from = &held->request[index];

    if (from->op >= BLOCK_OP_COUNT || (from->flags & ~KNOWN_FLAGS)) {
        return fail(error, VMM_ERROR_WIRE, "op: %u with flags 0x%" PRIx32 " is unknown", from->op,
                    from->flags);
    }
    request->status = guest_mem_ptr(mem, GPA(from->status_address), 1, GUEST_WRITE, error);
    if (!request->status) {
        return false;
    }
    request->chain.id = from->id;
    request->chain.ring_slots = from->ring_slots;
    request->written = from->written;
    request->block.op = (BlockOp)from->op;
    request->block.flags = from->flags;
    request->block.offset = from->offset;
    request->block.bytes = from->bytes;
    return take_pieces(held, from, word, mem, request, error);
}

static const VmStateField request_fields[] = {
    VMSTATE_FIELD_U16(BlkHeldRequest, queue, 1),
    VMSTATE_FIELD_U16(BlkHeldRequest, id, 1),
    VMSTATE_FIELD_U16(BlkHeldRequest, ring_slots, 1),
    VMSTATE_FIELD_U8(BlkHeldRequest, op, 1),
    VMSTATE_FIELD_U32(BlkHeldRequest, flags, 1),
    VMSTATE_FIELD_U64(BlkHeldRequest, offset, 1),
    VMSTATE_FIELD_U64(BlkHeldRequest, bytes, 1),
    VMSTATE_FIELD_U64(BlkHeldRequest, status_address, 1),
    VMSTATE_FIELD_U32(BlkHeldRequest, written, 1),
    VMSTATE_FIELD_U32(BlkHeldRequest, overtaken, 1),
    VMSTATE_FIELD_U32(BlkHeldRequest, pieces, 1),
};

static const VmStateDesc request_vmstate = {
    .name = "virtio-blk-request",
    .version = 1,
    .min_version = 1,
    .fields = request_fields,
    .num_fields = G_N_ELEMENTS(request_fields),
};

static const VmStateField held_fields[] = {
    VMSTATE_FIELD_STRUCT_BUFFER(BlkHeld, request, num_requests, MAX_REQUESTS, BlkHeldRequest,
                                &request_vmstate, 1),
    VMSTATE_FIELD_U64_BUFFER(BlkHeld, piece, num_words, MAX_WORDS, 1),
};

const VmStateDesc blk_held_vmstate = {
    .name = "virtio-blk-held",
    .version = 1,
    .min_version = 1,
    .fields = held_fields,
    .num_fields = G_N_ELEMENTS(held_fields),
};

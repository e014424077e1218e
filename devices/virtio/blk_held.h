/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEVICES_VIRTIO_BLK_HELD_H
#define DEVICES_VIRTIO_BLK_HELD_H

/*
 * How a request that failed and waits for the VM to go on (rerror=stop) survives a save.
 *
 * The latest ones of a queue go back into their ring; one that others have overtaken cannot, and a
 * packed ring may have lost its descriptors by then.  So it is written down as what it asks of the
 * disk, with guest addresses, and asked again where the state is loaded.
 */

#include "devices/virtio/blk_request.h"
#include "devices/virtio/virtio.h"

typedef struct VmStateDesc VmStateDesc;

/* A request as it is saved. */
typedef struct BlkHeldRequest {
    uint16_t queue;
    uint16_t id;
    uint16_t ring_slots;
    uint8_t op;
    uint32_t flags;
    uint64_t offset;
    uint64_t bytes;
    uint64_t status_address;
    uint32_t written;
    uint32_t overtaken; /* by how many that were popped later */
    uint32_t pieces;
} BlkHeldRequest;

/* All that a device holds; their pieces one after the other, each an address and a length. */
typedef struct BlkHeld {
    BlkHeldRequest *request;
    uint32_t num_requests;
    uint64_t *piece;
    uint32_t num_words; /* two for each piece */
} BlkHeld;

extern const VmStateDesc blk_held_vmstate;

void blk_held_clear(BlkHeld *held);

/* Appends request, which overtaken others have overtaken. */
bool blk_held_add(BlkHeld *held, const GuestMemory *mem, const BlkRequest *request,
                  uint32_t overtaken, GError **error);

/* Each queue of dev is there and has as many slots in flight as are held of it. */
bool blk_held_check(const BlkHeld *held, const VirtioDevice *dev, GError **error);

/*
 * Makes *request the index-th one again, all but its queue and order; its pieces begin at *word,
 * which moves on.  The numbers came out of a file: here they are checked against RAM.
 */
bool blk_held_take(const BlkHeld *held, uint32_t index, uint32_t *word, const GuestMemory *mem,
                   BlkRequest *request, GError **error);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEVICES_VIRTIO_BLK_REQUEST_H
#define DEVICES_VIRTIO_BLK_REQUEST_H

/*
 * A request of a disk from pop to push:
 *
 *     readable   header (16 bytes) | data of a write
 *     writable   data of a read    | status (1 byte)
 *
 * in any number of pieces.  Cutting header and status off leaves the data where it is, in guest
 * memory, ready for the back end.
 */

#include "devices/backend/block.h"
#include "devices/virtio/queue.h"

#define BLK_HEADER_BYTES 16u

typedef struct BlkRequest {
    BlockRequest block; /* first: done gets this */
    VirtChain chain;
    VirtQueue *queue;
    uint8_t *status; /* in guest memory */
    uint32_t written;
    uint32_t order; /* of pops from the queue */
    struct BlkRequest *next;
} BlkRequest;

/* Of a BlkRequest; a GDestroyNotify. */
void blk_request_free(void *opaque);

/* Cuts the header off the readable pieces: what is left. */
struct iovec *blk_request_out_data(VirtChain *chain, unsigned *ret_count);

/* Cuts the status byte off the end of the writable pieces, of which there is one: where it is. */
uint8_t *blk_request_cut_status(VirtChain *chain);

#endif

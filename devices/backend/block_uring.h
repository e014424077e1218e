/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEVICES_BACKEND_BLOCK_URING_H
#define DEVICES_BACKEND_BLOCK_URING_H

/*
 * One io_uring for one loop.  Requests gather in its submission queue until flush hands all of them
 * to the kernel with one system call; completions are read from shared memory.
 *
 * All functions are for the thread that made the ring.
 */

#include "devices/backend/block.h"

typedef struct BlockUring BlockUring;

/* NULL if the kernel has no io_uring, or one too old, or a policy forbids it. */
BlockUring *block_uring_new(void);

/* Accepts NULL.  Nothing may be in flight. */
void block_uring_free(BlockUring *ring);

/* Readable while there is something to reap. */
int block_uring_fd(const BlockUring *ring);

/* False if the ring takes no more at the moment.  Not for BLOCK_IO_CALL. */
bool block_uring_queue(BlockUring *ring, BlockIo *io);

/* True if something was queued since the last flush. */
bool block_uring_has_queued(const BlockUring *ring);
void block_uring_flush(BlockUring *ring);

/* Calls done for what is complete; false if nothing was. */
bool block_uring_reap(BlockUring *ring);

#endif

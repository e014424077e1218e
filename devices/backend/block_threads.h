/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEVICES_BACKEND_BLOCK_THREADS_H
#define DEVICES_BACKEND_BLOCK_THREADS_H

/*
 * Threads that do blocking file I/O for one loop: for hosts without io_uring, for aio=threads, and
 * for the calls that no ring takes.  A thread is started when there is work and nobody idle.
 *
 * All functions are for the loop's thread; only BlockIo.call runs elsewhere.
 */

#include "devices/backend/block.h"

typedef struct BlockPool BlockPool;

/* NULL if the host has no descriptor left. */
BlockPool *block_pool_new(void);

/* Accepts NULL.  Joins the threads; nothing may be in flight. */
void block_pool_free(BlockPool *pool);

/* Readable while there is something to take. */
int block_pool_fd(const BlockPool *pool);

void block_pool_submit(BlockPool *pool, BlockIo *io);

/* What is finished, linked by next, its result set; its done is the caller's to call. */
BlockIo *block_pool_take(BlockPool *pool);

#endif

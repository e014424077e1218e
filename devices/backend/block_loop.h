/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEVICES_BACKEND_BLOCK_LOOP_H
#define DEVICES_BACKEND_BLOCK_LOOP_H

/*
 * What all back ends of one loop share: a ring, a pool of threads and the idea of a batch.
 *
 * Whoever submits or completes requests does so between enter and leave; the outermost leave hands
 * the gathered requests to the kernel in one call, takes what is already complete, and tells each
 * client whose requests were done that the batch has ended.
 *
 * Ring and pool come into being with the first request that needs them.  Everything here runs on
 * the loop's thread.
 */

#include "devices/backend/block.h"

/* One reference to the loop's own BlockLoop, which is made on first use. */
BlockLoop *block_loop_ref(Loop *loop);
void block_loop_unref(BlockLoop *bl);

Loop *block_loop_loop(const BlockLoop *bl);

void block_loop_enter(BlockLoop *bl);
void block_loop_leave(BlockLoop *bl);

/* CLOCK_MONOTONIC as of the beginning of the batch: exact enough for statistics, and free. */
int64_t block_loop_now_ns(const BlockLoop *bl);

/* blk completed a request: its batch_end is due. */
void block_loop_completed(BlockLoop *bl, BlockBackend *blk);

/* blk goes away: its batch_end is no longer due. */
void block_loop_forget(BlockLoop *bl, const BlockBackend *blk);

/* The three ways to have an io done.  The ring falls back to the pool where there is none. */
void block_loop_submit_ring(BlockLoop *bl, BlockIo *io);
void block_loop_submit_pool(BlockLoop *bl, BlockIo *io);
void block_loop_run_now(BlockLoop *bl, BlockIo *io);

/* True if the kernel lets us have a ring. */
bool block_loop_has_ring(BlockLoop *bl);

/* Sleeps until something completes, and completes it.  Something must be in flight. */
void block_loop_wait(BlockLoop *bl);

#endif

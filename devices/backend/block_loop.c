/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/backend/block_loop.h"

#include "devices/backend/block_io.h"
#include "devices/backend/block_threads.h"
#include "devices/backend/block_uring.h"

#include <poll.h>

/* So that a guest which is answered from the page cache cannot keep the loop from its other work. */
#define BATCH_MAX_ROUNDS 8u

#define RING_RETRY_NS    INT64_C(1000000)

struct BlockLoop {
    Loop *loop;
    unsigned refs;
    unsigned depth;
    int64_t now_ns;
    BlockBackend *dirty; /* through next_dirty: their batch_end is due */
    BlockUring *ring;
    bool ring_refused;
    LoopWatch *ring_watch;
    LoopTimer *ring_retry; /* NULL until the kernel refuses a request for lack of memory */
    BlockPool *pool;
    bool pool_refused;
    LoopWatch *pool_watch;
};

/* Its address is the key; it holds nothing. */
static const char block_loop_key = 0;

BlockLoop *block_loop_ref(Loop *loop)
{
    BlockLoop *bl = loop_local(loop, &block_loop_key);

    if (!bl) {
        bl = g_new0(BlockLoop, 1);
        bl->loop = loop;
        loop_set_local(loop, &block_loop_key, bl);
    }
    bl->refs++;
    return bl;
}

void block_loop_unref(BlockLoop *bl)
{
    if (--bl->refs > 0) {
        return;
    }
    loop_set_local(bl->loop, &block_loop_key, NULL);
    loop_unwatch(bl->ring_watch);
    loop_unwatch(bl->pool_watch);
    loop_timer_free(bl->ring_retry);
    block_uring_free(bl->ring);
    block_pool_free(bl->pool);
    g_free(bl);
}

Loop *block_loop_loop(const BlockLoop *bl)
{
    return bl->loop;
}

int64_t block_loop_now_ns(const BlockLoop *bl)
{
    return bl->now_ns;
}

void block_loop_completed(BlockLoop *bl, BlockBackend *blk)
{
    if (!blk->batch_dirty) {
        blk->batch_dirty = true;
        blk->next_dirty = bl->dirty;
        bl->dirty = blk;
    }
}

void block_loop_forget(BlockLoop *bl, const BlockBackend *blk)
{
    for (BlockBackend **at = &bl->dirty; *at; at = &(*at)->next_dirty) {
        if (*at == blk) {
            *at = blk->next_dirty;
            return;
        }
    }
}

static void end_batches(BlockLoop *bl)
{
    while (bl->dirty) {
        BlockBackend *blk = bl->dirty;

        bl->dirty = blk->next_dirty;
        blk->batch_dirty = false;
        if (blk->client.batch_end) {
            blk->client.batch_end(blk->client.opaque);
        }
    }
}

static bool reap_ring(BlockLoop *bl)
{
    bl->now_ns = loop_now_ns();
    return block_uring_reap(bl->ring);
}

static bool reap_pool(BlockLoop *bl)
{
    BlockIo *io = block_pool_take(bl->pool);
    bool any = io != NULL;

    bl->now_ns = loop_now_ns();
    while (io) {
        BlockIo *next = io->next;

        io->done(io, io->result);
        io = next;
    }
    return any;
}

void block_loop_enter(BlockLoop *bl)
{
    if (bl->depth++ == 0) {
        bl->now_ns = loop_now_ns();
    }
}

static bool ring_has_queued(const BlockLoop *bl)
{
    return bl->ring && block_uring_has_queued(bl->ring);
}

static void ring_try_again(void *opaque)
{
    block_loop_enter(opaque);
    block_loop_leave(opaque);
}

void block_loop_leave(BlockLoop *bl)
{
    if (bl->depth > 1) {
        bl->depth--;
        return;
    }
    /* Depth stays 1 here, so that what the callbacks enter and leave joins this batch. */
    for (unsigned round = 0; ring_has_queued(bl); round++) {
        block_uring_flush(bl->ring);
        if (round == BATCH_MAX_ROUNDS || !reap_ring(bl)) {
            break;
        }
        end_batches(bl);
    }
    while (bl->dirty) {
        end_batches(bl);
        if (ring_has_queued(bl)) {
            block_uring_flush(bl->ring);
        }
    }
    if (ring_has_queued(bl)) {
        if (!bl->ring_retry) {
            bl->ring_retry = loop_timer_new(bl->loop, ring_try_again, bl);
        }
        loop_timer_arm(bl->ring_retry, loop_now_ns() + RING_RETRY_NS);
    }
    bl->depth--;
}

static void ring_ready(void *opaque, int fd, GIOCondition events)
{
    BlockLoop *bl = opaque;

    (void)fd;
    (void)events;
    block_loop_enter(bl);
    reap_ring(bl);
    block_loop_leave(bl);
}

static void pool_ready(void *opaque, int fd, GIOCondition events)
{
    BlockLoop *bl = opaque;

    (void)fd;
    (void)events;
    block_loop_enter(bl);
    reap_pool(bl);
    block_loop_leave(bl);
}

bool block_loop_has_ring(BlockLoop *bl)
{
    if (!bl->ring && !bl->ring_refused) {
        bl->ring = block_uring_new();
        bl->ring_refused = bl->ring == NULL;
        if (bl->ring) {
            bl->ring_watch =
                loop_watch_fd(bl->loop, block_uring_fd(bl->ring), G_IO_IN, ring_ready, bl);
        }
    }
    return bl->ring != NULL;
}

static bool has_pool(BlockLoop *bl)
{
    if (!bl->pool && !bl->pool_refused) {
        bl->pool = block_pool_new();
        bl->pool_refused = bl->pool == NULL;
        if (bl->pool) {
            bl->pool_watch =
                loop_watch_fd(bl->loop, block_pool_fd(bl->pool), G_IO_IN, pool_ready, bl);
        }
    }
    return bl->pool != NULL;
}

void block_loop_run_now(BlockLoop *bl, BlockIo *io)
{
    int64_t result = block_io_run(io);

    bl->now_ns = loop_now_ns();
    io->done(io, result);
}

void block_loop_submit_pool(BlockLoop *bl, BlockIo *io)
{
    if (has_pool(bl)) {
        block_pool_submit(bl->pool, io);
    } else {
        block_loop_run_now(bl, io);
    }
}

void block_loop_submit_ring(BlockLoop *bl, BlockIo *io)
{
    if (io->op == BLOCK_IO_CALL || !block_loop_has_ring(bl) || !block_uring_queue(bl->ring, io)) {
        block_loop_submit_pool(bl, io);
    }
}

void block_loop_wait(BlockLoop *bl)
{
    struct pollfd fds[2];
    nfds_t count = 0;

    if (bl->ring) {
        fds[count++] = (struct pollfd){.fd = block_uring_fd(bl->ring), .events = POLLIN};
    }
    if (bl->pool) {
        fds[count++] = (struct pollfd){.fd = block_pool_fd(bl->pool), .events = POLLIN};
    }
    if (poll(fds, count, ring_has_queued(bl) ? 1 : -1) < 0) {
        return; /* EINTR: the caller looks again */
    }
    block_loop_enter(bl);
    if (bl->ring) {
        reap_ring(bl);
    }
    if (bl->pool) {
        reap_pool(bl);
    }
    block_loop_leave(bl);
}

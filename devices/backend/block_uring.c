/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/backend/block_uring.h"

#include <errno.h>
#include <liburing.h>

#define RING_ENTRIES 256u
#define REAP_BATCH   64u

struct BlockUring {
    struct io_uring ring;
};

/*
 * Best first.  A completion then waits for the thread's next system call instead of interrupting
 * it (5.19, 6.0).  Deferring completions further (IORING_SETUP_DEFER_TASKRUN) is not for us: who
 * sleeps in poll() on the ring would not hear of them.
 */
static const unsigned ring_flags[] = {
    IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN |
        IORING_SETUP_TASKRUN_FLAG,
    IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
    0,
};

/* 5.7 and newer: descriptions of buffers may go after submission, and all our operations exist. */
#define RING_NEEDED_FEATURES \
    (IORING_FEAT_SUBMIT_STABLE | IORING_FEAT_NODROP | IORING_FEAT_FAST_POLL)

BlockUring *block_uring_new(void)
{
    BlockUring *ring = g_new0(BlockUring, 1);
    int result = -EINVAL;

    for (unsigned i = 0; i < G_N_ELEMENTS(ring_flags) && result == -EINVAL; i++) {
        struct io_uring_params params = {.flags = ring_flags[i]};

        result = io_uring_queue_init_params(RING_ENTRIES, &ring->ring, &params);
    }
    if (result < 0) {
        g_free(ring);
        return NULL;
    }
    if ((ring->ring.features & RING_NEEDED_FEATURES) != RING_NEEDED_FEATURES) {
        block_uring_free(ring);
        return NULL;
    }
    /* Spares a descriptor lookup per call; it is fine if an older kernel refuses. */
    (void)io_uring_register_ring_fd(&ring->ring);
    return ring;
}

void block_uring_free(BlockUring *ring)
{
    if (ring) {
        io_uring_queue_exit(&ring->ring);
        g_free(ring);
    }
}

int block_uring_fd(const BlockUring *ring)
{
    return ring->ring.ring_fd;
}

static void prepare(struct io_uring_sqe *sqe, const BlockIo *io)
{
    switch (io->op) {
    case BLOCK_IO_READ:
        if (io->iov_count == 1 && io->iov[0].iov_len <= G_MAXINT32) {
            io_uring_prep_read(sqe, io->fd, io->iov[0].iov_base, (unsigned)io->iov[0].iov_len,
                               io->offset);
        } else {
            io_uring_prep_readv(sqe, io->fd, io->iov, io->iov_count, io->offset);
        }
        break;
    case BLOCK_IO_WRITE:
        if (io->iov_count == 1 && io->iov[0].iov_len <= G_MAXINT32) {
            io_uring_prep_write(sqe, io->fd, io->iov[0].iov_base, (unsigned)io->iov[0].iov_len,
                                io->offset);
        } else {
            io_uring_prep_writev(sqe, io->fd, io->iov, io->iov_count, io->offset);
        }
        break;
    case BLOCK_IO_SYNC:
        io_uring_prep_fsync(sqe, io->fd, IORING_FSYNC_DATASYNC);
        return;
    case BLOCK_IO_CALL:
        g_assert_not_reached();
    }
    sqe->rw_flags = io->rw_flags;
}

bool block_uring_queue(BlockUring *ring, BlockIo *io)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->ring);

    if (!sqe) {
        block_uring_flush(ring);
        sqe = io_uring_get_sqe(&ring->ring);
    }
    if (!sqe) {
        return false;
    }
    prepare(sqe, io);
    io_uring_sqe_set_data(sqe, io);
    return true;
}

bool block_uring_has_queued(const BlockUring *ring)
{
    return io_uring_sq_ready(&ring->ring) > 0;
}

/*
 * The kernel takes less than everything only when it
 * is out of memory for the moment or wants its completions reaped first; what stays is flushed by
 * the next call, at the latest when something that is in flight completes.
 */
void block_uring_flush(BlockUring *ring)
{
    for (unsigned attempt = 0; io_uring_sq_ready(&ring->ring) > 0 && attempt < 16; attempt++) {
        int result = io_uring_submit(&ring->ring);

        if (result < 0 && result != -EINTR && result != -EAGAIN) {
            break;
        }
    }
}

/* The kernel asks for another try. */
static bool try_again(BlockUring *ring, BlockIo *io)
{
    return (io->result == -EINTR || io->result == -EAGAIN) && block_uring_queue(ring, io);
}

/* done may queue and flush: the entries are copied and given back before the first call. */
static unsigned reap_some(BlockUring *ring)
{
    struct io_uring_cqe *cqes[REAP_BATCH];
    BlockIo *ios[REAP_BATCH];
    unsigned count = io_uring_peek_batch_cqe(&ring->ring, cqes, REAP_BATCH);

    for (unsigned i = 0; i < count; i++) {
        ios[i] = io_uring_cqe_get_data(cqes[i]);
        ios[i]->result = cqes[i]->res;
    }
    io_uring_cq_advance(&ring->ring, count);
    for (unsigned i = 0; i < count; i++) {
        if (!try_again(ring, ios[i])) {
            ios[i]->done(ios[i], ios[i]->result);
        }
    }
    return count;
}

bool block_uring_reap(BlockUring *ring)
{
    unsigned count = reap_some(ring);
    bool any = count > 0;

    while (count == REAP_BATCH) {
        count = reap_some(ring);
    }
    return any;
}

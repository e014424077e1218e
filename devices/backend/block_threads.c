/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/backend/block_threads.h"

#include "devices/backend/block_io.h"
#include "util/fd.h"
#include "util/lock.h"
#include "util/thread.h"

#include <sys/eventfd.h>
#include <unistd.h>

#define POOL_MAX_THREADS 16u

/* A queue through BlockIo.next. */
typedef struct IoQueue {
    BlockIo *head;
    BlockIo *tail;
} IoQueue;

struct BlockPool {
    /* fixed after creation */
    int event;

    /* loop thread only */
    GThread *threads[POOL_MAX_THREADS];
    unsigned thread_count;

    /* guarded by lock */
    Mutex lock;
    Cond work;
    IoQueue todo;
    IoQueue finished;
    unsigned todo_count;
    unsigned idle;
    bool quit;
};

static void queue_push(IoQueue *queue, BlockIo *io)
{
    io->next = NULL;
    if (queue->tail) {
        queue->tail->next = io;
    } else {
        queue->head = io;
    }
    queue->tail = io;
}

static BlockIo *queue_pop(IoQueue *queue)
{
    BlockIo *io = queue->head;

    queue->head = io->next;
    if (!queue->head) {
        queue->tail = NULL;
    }
    return io;
}

BlockPool *block_pool_new(void)
{
    auto_fd int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    if (event < 0) {
        return NULL;
    }

    BlockPool *pool = g_new0(BlockPool, 1);

    pool->event = fd_steal(&event);
    mutex_init(&pool->lock);
    cond_init(&pool->work);
    return pool;
}

void block_pool_free(BlockPool *pool)
{
    if (!pool) {
        return;
    }
    mutex_lock(&pool->lock);
    pool->quit = true;
    cond_broadcast(&pool->work);
    mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->thread_count; i++) {
        g_thread_join(pool->threads[i]);
    }
    fd_close(&pool->event);
    cond_fini(&pool->work);
    mutex_fini(&pool->lock);
    g_free(pool);
}

int block_pool_fd(const BlockPool *pool)
{
    return pool->event;
}

/* The eventfd is written when the list of finished ones stops being empty, and only then. */
static void pool_finish_locked(BlockPool *pool, BlockIo *io) REQUIRES(pool->lock)
{
    uint64_t one = 1;
    bool first = !pool->finished.head;

    queue_push(&pool->finished, io);
    if (first && write(pool->event, &one, sizeof(one)) < 0) {
        /* Only a full counter refuses a write, and then the descriptor is readable anyway. */
        return;
    }
}

static void *pool_thread(void *opaque)
{
    BlockPool *pool = opaque;

    mutex_lock(&pool->lock);
    for (;;) {
        while (!pool->todo.head && !pool->quit) {
            pool->idle++;
            cond_wait(&pool->work, &pool->lock);
            pool->idle--;
        }
        if (!pool->todo.head) {
            break;
        }

        BlockIo *io = queue_pop(&pool->todo);

        pool->todo_count--;
        mutex_unlock(&pool->lock);
        io->result = block_io_run(io);
        mutex_lock(&pool->lock);
        pool_finish_locked(pool, io);
    }
    mutex_unlock(&pool->lock);
    return NULL;
}

void block_pool_submit(BlockPool *pool, BlockIo *io)
{
    mutex_lock(&pool->lock);
    queue_push(&pool->todo, io);
    pool->todo_count++;

    bool more_threads = pool->todo_count > pool->idle && pool->thread_count < POOL_MAX_THREADS;

    if (pool->idle > 0) {
        cond_signal(&pool->work);
    }
    mutex_unlock(&pool->lock);
    if (!more_threads) {
        return;
    }

    GThread *thread = thread_start(THREAD_WORKER, "block-io", pool_thread, pool, NULL);

    if (thread) {
        pool->threads[pool->thread_count++] = thread;
        return;
    }
    if (pool->thread_count > 0) {
        return;
    }
    /* The host has no thread left, not even one: then the loop's own thread does the work. */
    mutex_lock(&pool->lock);
    while (pool->todo.head) {
        BlockIo *mine = queue_pop(&pool->todo);

        pool->todo_count--;
        mine->result = block_io_run(mine);
        pool_finish_locked(pool, mine);
    }
    mutex_unlock(&pool->lock);
}

BlockIo *block_pool_take(BlockPool *pool)
{
    uint64_t count;

    if (read(pool->event, &count, sizeof(count)) < 0) {
        return NULL; /* EAGAIN: nothing was finished since the last take */
    }
    mutex_lock(&pool->lock);

    BlockIo *io = pool->finished.head;

    pool->finished = (IoQueue){0};
    mutex_unlock(&pool->lock);
    return io;
}

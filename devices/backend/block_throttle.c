/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/backend/block_throttle.h"

#include "devices/backend/block_loop.h"
#include "util/error.h"

typedef struct RequestQueue {
    BlockRequest *head;
    BlockRequest *tail;
} RequestQueue;

typedef struct BlockThrottle {
    BlockBackend base;

    /* loop thread only; main thread while detached */
    Throttle throttle;
    bool enabled;
    RequestQueue queue[2]; /* reads, writes: each in order */
    bool write_is_next;    /* they take turns where a limit covers both */
    LoopTimer *timer;      /* NULL until the first wait */

    /* main thread only */
    ThrottleConfig config;
} BlockThrottle;

static bool counts_as_write(const BlockRequest *request)
{
    return request->op != BLOCK_READ;
}

/* Discarded bytes move nowhere: they count as an operation only. */
static uint64_t counted_bytes(const BlockRequest *request)
{
    return request->op == BLOCK_READ || request->op == BLOCK_WRITE ? request->bytes : 0;
}

static void pass_on(BlockThrottle *t, BlockRequest *request)
{
    throttle_account(&t->throttle, counts_as_write(request), counted_bytes(request));
    block_forward(&t->base, request);
}

static BlockRequest *take(RequestQueue *queue)
{
    BlockRequest *request = queue->head;

    queue->head = request->next;
    request->next = NULL;
    return request;
}

/* Sends what may go now, in turns, and answers how long the rest has to wait; 0 = there is none. */
static int64_t send_due(BlockThrottle *t)
{
    int64_t now = loop_now_ns();

    for (;;) {
        int64_t wait = 0;
        bool sent = false;

        for (unsigned turn = 0; turn < 2 && !sent; turn++) {
            bool is_write = t->write_is_next != (turn != 0);
            RequestQueue *queue = &t->queue[is_write];

            if (!queue->head) {
                continue;
            }

            int64_t needs = t->enabled ? throttle_wait_ns(&t->throttle, is_write, now) : 0;

            if (needs == 0) {
                t->write_is_next = !is_write;
                pass_on(t, take(queue));
                sent = true;
            } else {
                wait = wait == 0 ? needs : MIN(wait, needs);
            }
        }
        if (!sent) {
            return wait;
        }
    }
}

static void timer_fired(void *opaque);

static void pump(BlockThrottle *t)
{
    block_loop_enter(t->base.loop);

    int64_t wait = send_due(t);

    if (wait > 0) {
        if (!t->timer) {
            t->timer = loop_timer_new(block_loop_loop(t->base.loop), timer_fired, t);
        }
        loop_timer_arm(t->timer, loop_now_ns() + wait);
    } else if (t->timer) {
        loop_timer_disarm(t->timer);
    }
    block_loop_leave(t->base.loop);
}

static void timer_fired(void *opaque)
{
    pump(opaque);
}

static void throttle_submit(BlockBackend *node, BlockRequest *request)
{
    BlockThrottle *t = (BlockThrottle *)node;

    if (!t->enabled || request->op == BLOCK_FLUSH) {
        block_forward(node, request);
        return;
    }

    RequestQueue *queue = &t->queue[counts_as_write(request)];
    bool first = !queue->head;

    if (first) {
        queue->head = request;
    } else {
        queue->tail->next = request;
    }
    queue->tail = request;
    if (first) {
        pump(t);
    }
}

static void throttle_release(BlockBackend *node)
{
    BlockThrottle *t = (BlockThrottle *)node;

    for (unsigned i = 0; i < G_N_ELEMENTS(t->queue); i++) {
        while (t->queue[i].head) {
            pass_on(t, take(&t->queue[i]));
        }
    }
}

static void throttle_detach(BlockBackend *node)
{
    BlockThrottle *t = (BlockThrottle *)node;

    loop_timer_free(g_steal_pointer(&t->timer));
}

static const BlockOps throttle_ops = {
    .name = "throttle",
    .submit = throttle_submit,
    .release = throttle_release,
    .detach = throttle_detach,
};

static void apply(BlockThrottle *t, const ThrottleConfig *config)
{
    throttle_init(&t->throttle, config, loop_now_ns());
    t->enabled = throttle_is_enabled(config);
}

BlockBackend *block_throttle_new(BlockBackend *child, const ThrottleConfig *config)
{
    BlockThrottle *t = block_alloc(&throttle_ops, child, sizeof(*t));

    t->config = config ? *config : (ThrottleConfig){0};
    apply(t, &t->config);
    return &t->base;
}

static void apply_on_loop(void *opaque)
{
    BlockThrottle *t = opaque;

    apply(t, &t->config);
    pump(t);
}

static BlockThrottle *find_throttle(BlockBackend *blk)
{
    while (blk && blk->ops != &throttle_ops) {
        blk = blk->child;
    }
    g_assert(blk);
    return (BlockThrottle *)blk;
}

bool block_throttle_set(BlockBackend *blk, const ThrottleConfig *config, GError **error)
{
    BlockThrottle *t = find_throttle(blk);

    if (!throttle_check_config(config, error)) {
        g_prefix_error(error, "drive %s: ", blk->id);
        return false;
    }
    t->config = *config;

    Loop *loop = block_attached_loop(&t->base);

    if (loop) {
        loop_call(loop, apply_on_loop, t);
    } else {
        apply(t, config);
    }
    return true;
}

ThrottleConfig block_throttle_get(BlockBackend *blk)
{
    return find_throttle(blk)->config;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The face of every block node: what is asked of a disk is checked here once, counted here once,
 * and its end is announced from here.
 */
#include "devices/backend/block.h"

#include "devices/backend/block_io.h"
#include "devices/backend/block_loop.h"
#include "util/bytes.h"
#include "util/error.h"
#include "util/trace.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>

typedef struct OpInfo {
    const char *name;
    bool writes;
    bool ranged;
    bool has_data;
} OpInfo;

static const OpInfo op_info[BLOCK_OP_COUNT] = {
    [BLOCK_READ] = {.name = "read", .ranged = true, .has_data = true},
    [BLOCK_WRITE] = {.name = "write", .writes = true, .ranged = true, .has_data = true},
    [BLOCK_FLUSH] = {.name = "flush"},
    [BLOCK_DISCARD] = {.name = "discard", .writes = true, .ranged = true},
    [BLOCK_WRITE_ZEROES] = {.name = "write-zeroes", .writes = true, .ranged = true},
};

const char *block_op_name(BlockOp op)
{
    return op_info[op].name;
}

void *block_alloc(const BlockOps *ops, BlockBackend *child, size_t size)
{
    BlockBackend *node = g_malloc0(size);

    g_assert(size >= sizeof(*node));
    node->ops = ops;
    node->child = child;
    node->limits = (BlockLimits){.request_alignment = 1, .memory_alignment = 1};
    if (child) {
        node->read_only = child->read_only;
        node->limits = child->limits;
        atomic_init(&node->size, block_size(child));
    }
    return node;
}

void block_close(BlockBackend *blk)
{
    while (blk) {
        BlockBackend *child = blk->child;

        block_detach(blk);
        if (blk->ops->close) {
            blk->ops->close(blk);
        }
        g_free(blk->id);
        g_free(blk->node_name);
        g_free(blk->file_name);
        g_free(blk);
        blk = child;
    }
}

/* --- a life on a loop --- */

void block_set_client(BlockBackend *blk, const BlockClient *client)
{
    blk->client = client ? *client : (BlockClient){0};
}

typedef struct Attachment {
    BlockBackend *blk;
    Loop *loop;
} Attachment;

static void attach_on_loop(void *opaque)
{
    const Attachment *a = opaque;

    for (BlockBackend *node = a->blk; node; node = node->child) {
        node->loop = block_loop_ref(a->loop);
        atomic_store(&node->attached, a->loop);
    }
}

void block_attach(BlockBackend *blk, Loop *loop)
{
    Attachment a = {.blk = blk, .loop = loop};

    g_assert(!atomic_load(&blk->attached));
    loop_call(loop, attach_on_loop, &a);
}

Loop *block_attached_loop(const BlockBackend *blk)
{
    return atomic_load(&blk->attached);
}

static void detach_on_loop(void *opaque)
{
    BlockBackend *blk = opaque;

    g_assert(blk->in_flight == 0);
    for (BlockBackend *node = blk; node; node = node->child) {
        BlockLoop *bl = node->loop;

        if (node->ops->detach) {
            node->ops->detach(node);
        }
        node->loop = NULL;
        atomic_store(&node->attached, NULL);
        block_loop_forget(bl, node);
        block_loop_unref(bl);
    }
}

void block_detach(BlockBackend *blk)
{
    Loop *loop = block_attached_loop(blk);

    if (loop) {
        loop_call(loop, detach_on_loop, blk);
    }
}

void block_plug(BlockBackend *blk)
{
    block_loop_enter(blk->loop);
}

void block_unplug(BlockBackend *blk)
{
    block_loop_leave(blk->loop);
}

/* --- requests --- */

/* 0, or the errno value that the request fails with. */
static int check_request(const BlockBackend *blk, const BlockRequest *request)
{
    const OpInfo *info = &op_info[request->op];

    if (info->writes && blk->read_only) {
        return EROFS;
    }
    if (!info->ranged) {
        return 0;
    }
    if (!is_aligned(request->offset | request->bytes, BLOCK_SECTOR_BYTES) ||
        !range_fits(request->offset, request->bytes, block_size(blk))) {
        return EINVAL;
    }
    if (info->has_data && (request->iov_count > BLOCK_MAX_SEGMENTS ||
                           block_iov_bytes(request->iov, request->iov_count) != request->bytes)) {
        return EINVAL;
    }
    return 0;
}

void block_submit(BlockBackend *blk, BlockRequest *request)
{
    int error = check_request(blk, request);

    TRACE(block_submit, "%s %s at %" PRIu64 ": %" PRIu64, blk->id ? blk->id : "",
          block_op_name(request->op), request->offset, request->bytes);
    block_loop_enter(blk->loop);
    request->top = blk;
    request->node = blk;
    request->next = NULL;
    request->progress = 0;
    request->rest = NULL;
    request->start_ns = block_loop_now_ns(blk->loop);
    blk->in_flight++;
    if (error != 0) {
        block_complete(request, error);
    } else if (op_info[request->op].ranged && request->bytes == 0) {
        block_complete(request, 0);
    } else {
        blk->ops->submit(blk, request);
    }
    block_loop_leave(blk->loop);
}

void block_forward(BlockBackend *node, BlockRequest *request)
{
    request->node = node->child;
    node->child->ops->submit(node->child, request);
}

/* There is one writer, the loop's thread, so a load and a store make an addition. */
static void count_add(atomic_uint_least64_t *count, uint64_t value)
{
    uint64_t sum = atomic_load_explicit(count, memory_order_relaxed) + value;

    atomic_store_explicit(count, sum, memory_order_relaxed);
}

void block_complete(BlockRequest *request, int error)
{
    BlockBackend *blk = request->top;
    BlockOp op = request->op;

    TRACE(block_done, "%s %s at %" PRIu64 ": %" PRIu64 ", error %d", blk->id ? blk->id : "",
          block_op_name(op), request->offset, request->bytes, error);
    g_clear_pointer(&request->rest, g_free);
    count_add(&blk->count[op].requests, 1);
    if (error != 0) {
        count_add(&blk->count[op].errors, 1);
    } else {
        count_add(&blk->count[op].bytes, request->bytes);
    }
    count_add(&blk->count[op].total_ns,
              (uint64_t)MAX(block_loop_now_ns(blk->loop) - request->start_ns, 0));
    blk->in_flight--;
    block_loop_completed(blk->loop, blk);
    request->done(request, error);
}

static void drain_on_loop(void *opaque)
{
    BlockBackend *blk = opaque;

    while (blk->in_flight > 0) {
        block_loop_enter(blk->loop);
        for (BlockBackend *node = blk; node; node = node->child) {
            if (node->ops->release) {
                node->ops->release(node);
            }
        }
        block_loop_leave(blk->loop);
        if (blk->in_flight > 0) {
            block_loop_wait(blk->loop);
        }
    }
}

void block_drain(BlockBackend *blk)
{
    Loop *loop = block_attached_loop(blk);

    if (loop) {
        loop_call(loop, drain_on_loop, blk);
    }
}

/* --- size --- */

uint64_t block_size(const BlockBackend *blk)
{
    return atomic_load(&blk->size);
}

bool block_refresh_size(BlockBackend *blk, GError **error)
{
    uint64_t size = 0;

    if (blk->child) {
        if (!block_refresh_size(blk->child, error)) {
            return false;
        }
        size = block_size(blk->child);
    }
    if (blk->ops->get_size && !blk->ops->get_size(blk, &size, error)) {
        return false;
    }
    if (size != block_size(blk)) {
        atomic_store(&blk->size, size);
        if (blk->client.resized) {
            blk->client.resized(blk->client.opaque);
        }
    }
    return true;
}

static bool set_size(BlockBackend *node, uint64_t size, GError **error)
{
    if (node->ops->set_size) {
        return node->ops->set_size(node, size, error);
    }
    if (node->child) {
        return set_size(node->child, size, error);
    }
    return fail(error, VMM_ERROR_CONFIG, "a %s node cannot change its size", node->ops->name);
}

bool block_resize(BlockBackend *blk, uint64_t size, GError **error)
{
    if (blk->read_only) {
        return fail(error, VMM_ERROR_STATE, "drive %s is read-only: its size stays", blk->id);
    }
    if (size == 0 || !is_aligned(size, BLOCK_SECTOR_BYTES)) {
        return fail(error, VMM_ERROR_CONFIG,
                    "drive %s: size %" PRIu64 " is not a positive multiple of %u", blk->id, size,
                    BLOCK_SECTOR_BYTES);
    }
    if (!set_size(blk, size, error)) {
        g_prefix_error(error, "drive %s: ", blk->id);
        return false;
    }
    return block_refresh_size(blk, error);
}

/* --- statistics and errors --- */

void block_get_stats(const BlockBackend *blk, BlockStats *ret_stats)
{
    for (unsigned i = 0; i < BLOCK_OP_COUNT; i++) {
        ret_stats->op[i] = (BlockCount){
            .requests = atomic_load_explicit(&blk->count[i].requests, memory_order_relaxed),
            .errors = atomic_load_explicit(&blk->count[i].errors, memory_order_relaxed),
            .bytes = atomic_load_explicit(&blk->count[i].bytes, memory_order_relaxed),
            .total_ns = atomic_load_explicit(&blk->count[i].total_ns, memory_order_relaxed),
        };
    }
}

BlockErrorPolicy block_error_action(BlockBackend *blk, BlockOp op, int error)
{
    BlockErrorPolicy action = op == BLOCK_READ ? blk->on_read_error : blk->on_write_error;

    if (action == BLOCK_ERROR_ENOSPC) {
        action = error == ENOSPC ? BLOCK_ERROR_STOP : BLOCK_ERROR_REPORT;
    }
    if (!blk->error_hook.raise) {
        /* Nobody could stop the VM, and so nobody would ever let the request go on. */
        return action == BLOCK_ERROR_STOP ? BLOCK_ERROR_REPORT : action;
    }

    BlockErrorInfo info = {
        .device = blk->id, .node_name = blk->node_name, .op = op, .action = action, .error = error};

    blk->error_hook.raise(blk->error_hook.opaque, &info);
    return action;
}

json_object *block_error_event_data(const BlockErrorInfo *info)
{
    static const char *const action_names[] = {
        [BLOCK_ERROR_REPORT] = "report",
        [BLOCK_ERROR_IGNORE] = "ignore",
        [BLOCK_ERROR_STOP] = "stop",
    };
    json_object *data = json_object_new_object();

    json_object_object_add(data, "device", json_object_new_string(info->device));
    if (info->node_name) {
        json_object_object_add(data, "node-name", json_object_new_string(info->node_name));
    }
    json_object_object_add(data, "operation",
                           json_object_new_string(info->op == BLOCK_READ ? "read" : "write"));
    json_object_object_add(data, "action", json_object_new_string(action_names[info->action]));
    json_object_object_add(data, "nospace", json_object_new_boolean(info->error == ENOSPC));
    json_object_object_add(data, "reason", json_object_new_string(error_words(info->error)));
    return data;
}

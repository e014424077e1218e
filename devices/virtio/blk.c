/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests are made as a guest keeps more in flight than ever before and reused from then on, so a
 * steady load allocates nothing.
 */
#include "devices/virtio/blk.h"

#include "devices/virtio/blk_held.h"
#include "devices/virtio/blk_request.h"
#include "devices/virtio/blk_space.h"
#include "migration/vmstate.h"
#include "util/bytes.h"
#include "util/error.h"
#include "util/loop.h"

#include <inttypes.h>
#include <string.h>

#define BLK_DEVICE_ID   2
#define BLK_RANGE_BYTES 16u /* of DISCARD and WRITE_ZEROES */

#define BLK_FLAG_UNMAP  1u

typedef enum {
    BLK_STATUS_OK,
    BLK_STATUS_IOERR,
    BLK_STATUS_UNSUPP,
    BLK_STATUS_PENDING, /* ours: the back end has it */
} BlkStatus;

typedef struct VirtioBlk {
    VirtioDevice base;

    /* fixed after realize */
    BlockBackend *drive;
    char serial[BLK_SERIAL_BYTES];
    uint32_t logical_block_size;
    bool default_writeback;

    /* guarded by base.config_lock */
    uint8_t config[BLK_CONFIG_BYTES];

    /* atomic */
    uint8_t writeback; /* the driver's wish */

    /* serving thread */
    BlkRequest *unused;
    BlkRequest *parked; /* failed, and wait for the VM to go on */
    GPtrArray *requests;
    uint32_t *popped; /* per queue */

    /* while saving and loading */
    uint64_t capacity;
    BlkHeld held;
} VirtioBlk;

/* --- requests come and go --- */

static BlkRequest *blk_take_request(VirtioBlk *blk)
{
    BlkRequest *request = blk->unused;

    if (request) {
        blk->unused = request->next;
        return request;
    }
    request = g_new0(BlkRequest, 1);
    g_ptr_array_add(blk->requests, request);
    return request;
}

static void blk_give_back(VirtioBlk *blk, BlkRequest *request)
{
    request->next = blk->unused;
    blk->unused = request;
}

static void blk_finish(VirtioBlk *blk, BlkRequest *request, BlkStatus status)
{
    *request->status = (uint8_t)status;
    virtq_push(request->queue, &request->chain, status == BLK_STATUS_OK ? request->written : 1);
    blk_give_back(blk, request);
}

static void blk_done(BlockRequest *block, int error)
{
    BlkRequest *request = (BlkRequest *)block;
    VirtioBlk *blk = (VirtioBlk *)request->queue->dev;

    if (error != 0) {
        BlockErrorPolicy action = block_error_action(blk->drive, block->op, error);

        if (action == BLOCK_ERROR_STOP) {
            request->next = blk->parked;
            blk->parked = request;
            return;
        }
        if (action == BLOCK_ERROR_IGNORE) {
            error = 0;
        }
    }
    blk_finish(blk, request, error == 0 ? BLK_STATUS_OK : BLK_STATUS_IOERR);
}

static void blk_batch_end(void *opaque)
{
    VirtioBlk *blk = opaque;

    for (unsigned i = 0; i < blk->base.num_queues; i++) {
        virtq_notify(&blk->base.queue[i]);
    }
}

/* --- what the guest asks --- */

static bool blk_range_is_good(const VirtioBlk *blk, uint64_t sector, uint64_t bytes)
{
    uint64_t offset;

    return checked_mul(sector, BLOCK_SECTOR_BYTES, &offset) &&
           is_aligned(offset | bytes, blk->logical_block_size) &&
           range_fits(offset, bytes, block_size(blk->drive));
}

/* No write may be done before it is on the medium. */
static bool blk_writes_through(const VirtioBlk *blk)
{
    if (virtio_has_feature(&blk->base, BLK_FEATURE_CONFIG_WCE)) {
        return !__atomic_load_n(&blk->writeback, __ATOMIC_RELAXED);
    }
    return !blk->default_writeback || !virtio_has_feature(&blk->base, BLK_FEATURE_FLUSH);
}

static BlkStatus blk_submit(VirtioBlk *blk, BlkRequest *request, BlockOp op, uint64_t sector,
                            uint64_t bytes)
{
    BlockRequest *block = &request->block;

    if (op != BLOCK_READ && op != BLOCK_FLUSH && blk->drive->read_only) {
        return BLK_STATUS_IOERR;
    }
    if (!blk_range_is_good(blk, sector, bytes)) {
        return BLK_STATUS_IOERR;
    }
    block->op = op;
    block->offset = sector * BLOCK_SECTOR_BYTES;
    block->bytes = bytes;
    block->done = blk_done;
    if (op != BLOCK_READ && op != BLOCK_FLUSH && blk_writes_through(blk)) {
        block->flags |= BLOCK_REQUEST_FUA;
    }
    block_submit(blk->drive, block);
    return BLK_STATUS_PENDING;
}

static BlkStatus blk_read(VirtioBlk *blk, BlkRequest *request, uint64_t sector)
{
    VirtChain *chain = &request->chain;

    request->written = (uint32_t)MIN(chain->in_bytes, UINT32_MAX);
    request->block.iov = virt_chain_in(chain);
    request->block.iov_count = chain->num_in;
    return blk_submit(blk, request, BLOCK_READ, sector, chain->in_bytes - 1);
}

static BlkStatus blk_write(VirtioBlk *blk, BlkRequest *request, uint64_t sector)
{
    VirtChain *chain = &request->chain;

    request->block.iov = blk_request_out_data(chain, &request->block.iov_count);
    return blk_submit(blk, request, BLOCK_WRITE, sector, chain->out_bytes - BLK_HEADER_BYTES);
}

static BlkStatus blk_flush(VirtioBlk *blk, BlkRequest *request, uint64_t sector)
{
    (void)sector;
    return blk_submit(blk, request, BLOCK_FLUSH, 0, 0);
}

static BlkStatus blk_get_id(VirtioBlk *blk, BlkRequest *request, uint64_t sector)
{
    uint64_t room = request->chain.in_bytes - 1;

    (void)sector;
    request->written = 1 + (uint32_t)virt_chain_write(&request->chain, 0, blk->serial,
                                                      MIN(room, sizeof(blk->serial)));
    return BLK_STATUS_OK;
}

/* One range is all that we say we take. */
static BlkStatus blk_range(VirtioBlk *blk, BlkRequest *request, BlockOp op, uint32_t known_flags)
{
    uint8_t range[BLK_RANGE_BYTES];

    if (request->chain.out_bytes != BLK_HEADER_BYTES + sizeof(range) ||
        virt_chain_read(&request->chain, BLK_HEADER_BYTES, range, sizeof(range)) != sizeof(range)) {
        return BLK_STATUS_UNSUPP;
    }

    uint64_t sector = load_le64(&range[0]);
    uint32_t sectors = load_le32(&range[8]);
    uint32_t flags = load_le32(&range[12]);

    if (flags & ~known_flags) {
        return BLK_STATUS_UNSUPP;
    }
    if (sectors > BLK_MAX_RANGE_SECTORS) {
        return BLK_STATUS_IOERR;
    }
    request->block.flags = flags & BLK_FLAG_UNMAP ? BLOCK_REQUEST_UNMAP : 0;
    return blk_submit(blk, request, op, sector, (uint64_t)sectors * BLOCK_SECTOR_BYTES);
}

static BlkStatus blk_discard(VirtioBlk *blk, BlkRequest *request, uint64_t sector)
{
    (void)sector;
    return blk_range(blk, request, BLOCK_DISCARD, /* known_flags= */ 0);
}

static BlkStatus blk_write_zeroes(VirtioBlk *blk, BlkRequest *request, uint64_t sector)
{
    (void)sector;
    return blk_range(blk, request, BLOCK_WRITE_ZEROES, BLK_FLAG_UNMAP);
}

typedef struct BlkCommand {
    uint64_t feature; /* 0: always there */
    BlkStatus (*run)(VirtioBlk *blk, BlkRequest *request, uint64_t sector);
} BlkCommand;

/* By the type in the header; NULL: unknown. */
static const BlkCommand blk_commands[] = {
    [0] = {.run = blk_read},
    [1] = {.run = blk_write},
    [4] = {.run = blk_flush},
    [8] = {.run = blk_get_id},
    [11] = {.run = blk_discard, .feature = BLK_FEATURE_DISCARD},
    [13] = {.run = blk_write_zeroes, .feature = BLK_FEATURE_WRITE_ZEROES},
};

static BlkStatus blk_run(VirtioBlk *blk, BlkRequest *request, const uint8_t *header)
{
    uint32_t type = load_le32(&header[0]);
    const BlkCommand *command = type < G_N_ELEMENTS(blk_commands) ? &blk_commands[type] : NULL;

    if (!command || !command->run || (command->feature & blk->base.features) != command->feature) {
        return BLK_STATUS_UNSUPP;
    }
    return command->run(blk, request, load_le64(&header[8]));
}

/* False if the chain cannot even be answered. */
static bool blk_begin(VirtioBlk *blk, BlkRequest *request)
{
    VirtChain *chain = &request->chain;
    uint8_t header[BLK_HEADER_BYTES];

    if (chain->in_bytes == 0 ||
        virt_chain_read(chain, 0, header, sizeof(header)) != sizeof(header)) {
        return false;
    }
    request->status = blk_request_cut_status(chain);
    request->written = 1;
    request->block.flags = 0;
    request->block.iov = NULL;
    request->block.iov_count = 0;

    BlkStatus status = blk_run(blk, request, header);

    if (status != BLK_STATUS_PENDING) {
        blk_finish(blk, request, status);
    }
    return true;
}

/* Once something failed that must wait for the VM to stop, nothing new begins. */
static bool blk_handle_queue(VirtioDevice *dev, VirtQueue *q)
{
    VirtioBlk *blk = (VirtioBlk *)dev;

    block_plug(blk->drive);
    while (!blk->parked) {
        BlkRequest *request = blk_take_request(blk);

        if (!virtq_pop(q, &request->chain)) {
            blk_give_back(blk, request);
            break;
        }
        request->queue = q;
        request->order = ++blk->popped[q->index];
        if (!blk_begin(blk, request)) {
            blk->popped[q->index]--;
            virtq_unpop(q, &request->chain);
            blk_give_back(blk, request);
            virtio_break(dev, "queue %u: a request without a header or a status byte", q->index);
            break;
        }
    }
    block_unplug(blk->drive);
    return !blk->parked;
}

/* --- parked requests --- */

/* The latest one that was popped goes back into the ring, if it is one of the parked. */
static bool blk_unpop_latest(VirtioBlk *blk)
{
    for (BlkRequest **at = &blk->parked; *at; at = &(*at)->next) {
        BlkRequest *request = *at;

        if (request->order == blk->popped[request->queue->index]) {
            *at = request->next;
            blk->popped[request->queue->index]--;
            virtq_unpop(request->queue, &request->chain);
            blk_give_back(blk, request);
            return true;
        }
    }
    return false;
}

static BlkRequest *blk_take_parked(VirtioBlk *blk)
{
    BlkRequest *parked = blk->parked;

    blk->parked = NULL;
    return parked;
}

static bool blk_drain(VirtioDevice *dev, GError **error)
{
    VirtioBlk *blk = (VirtioBlk *)dev;

    (void)error;
    block_drain(blk->drive);
    while (blk_unpop_latest(blk)) {
    }
    return true;
}

/* A queue that was reset meanwhile has forgotten its requests. */
static void blk_resume(VirtioDevice *dev)
{
    VirtioBlk *blk = (VirtioBlk *)dev;
    BlkRequest *request = blk_take_parked(blk);

    block_plug(blk->drive);
    while (request) {
        BlkRequest *next = request->next;

        if (request->queue->layout) {
            block_submit(blk->drive, &request->block);
        } else {
            blk_give_back(blk, request);
        }
        request = next;
    }
    block_unplug(blk->drive);
}

/* --- life --- */

/* Requests may have come with a loaded state. */
static void blk_activate(VirtioDevice *dev)
{
    VirtioBlk *blk = (VirtioBlk *)dev;

    if (!block_attached_loop(blk->drive)) {
        block_attach(blk->drive, dev->loop);
    }
    blk_resume(dev);
}

static void blk_forget_parked(VirtioBlk *blk)
{
    BlkRequest *request = blk_take_parked(blk);

    while (request) {
        BlkRequest *next = request->next;

        blk_give_back(blk, request);
        request = next;
    }
    for (unsigned i = 0; i < blk->base.num_queues; i++) {
        blk->popped[i] = 0;
    }
}

static void blk_deactivate(VirtioDevice *dev)
{
    VirtioBlk *blk = (VirtioBlk *)dev;

    block_drain(blk->drive);
    blk_forget_parked(blk);
}

/* Under config_lock. */
static void blk_set_writeback(VirtioBlk *blk, bool on)
{
    blk->config[BLK_CONFIG_WRITEBACK] = on;
    __atomic_store_n(&blk->writeback, on, __ATOMIC_RELAXED);
}

static void blk_config_write(VirtioDevice *dev, unsigned offset, unsigned size, uint64_t value)
{
    if (offset == BLK_CONFIG_WRITEBACK && size == 1 &&
        virtio_has_feature(dev, BLK_FEATURE_CONFIG_WCE)) {
        blk_set_writeback((VirtioBlk *)dev, value & 1);
    }
}

static void blk_reset(VirtioDevice *dev)
{
    VirtioBlk *blk = (VirtioBlk *)dev;

    blk_forget_parked(blk);
    mutex_lock(&dev->config_lock);
    blk_set_writeback(blk, blk->default_writeback);
    mutex_unlock(&dev->config_lock);
}

static void blk_resized(void *opaque)
{
    VirtioBlk *blk = opaque;

    virtio_config_begin(&blk->base);
    store_le64(&blk->config[BLK_CONFIG_CAPACITY], block_size(blk->drive) / BLOCK_SECTOR_BYTES);
    virtio_config_end(&blk->base);
}

static bool blk_realize(VirtioDevice *dev, GError **error)
{
    VirtioBlk *blk = (VirtioBlk *)dev;
    const BlockClient client = {.batch_end = blk_batch_end, .resized = blk_resized, .opaque = blk};

    if (!dev->threaded) {
        return fail(error, VMM_ERROR_CONFIG, "it needs a loop that serves it");
    }
    block_set_client(blk->drive, &client);
    return true;
}

static void blk_finalize(VirtioDevice *dev)
{
    VirtioBlk *blk = (VirtioBlk *)dev;

    block_detach(blk->drive);
    block_set_client(blk->drive, NULL);
    g_ptr_array_unref(blk->requests);
    g_free(blk->popped);
    blk_held_clear(&blk->held);
}

/* --- state --- */

static bool blk_pre_save(void *opaque, GError **error)
{
    VirtioBlk *blk = opaque;

    blk->capacity = block_size(blk->drive) / BLOCK_SECTOR_BYTES;
    blk_held_clear(&blk->held);
    for (const BlkRequest *r = blk->parked; r; r = r->next) {
        uint32_t overtaken = blk->popped[r->queue->index] - r->order;

        if (r->queue->layout && !blk_held_add(&blk->held, blk->base.mem, r, overtaken, error)) {
            return false;
        }
    }
    return true;
}

/* The order in which the state has them, so that it is the same when it is saved again. */
static bool blk_load_held(VirtioBlk *blk, GError **error)
{
    BlkRequest **end = &blk->parked;
    uint32_t word = 0;

    blk_forget_parked(blk);
    for (uint32_t i = 0; i < blk->held.num_requests; i++) {
        const BlkHeldRequest *from = &blk->held.request[i];
        BlkRequest *request = blk_take_request(blk);

        *end = request;
        request->next = NULL;
        end = &request->next;
        request->queue = &blk->base.queue[from->queue];
        request->order = blk->popped[from->queue] - from->overtaken;
        request->block.done = blk_done;
        if (!blk_held_take(&blk->held, i, &word, blk->base.mem, request, error)) {
            g_prefix_error(error, "held.request[%" PRIu32 "].", i);
            return false;
        }
        if (!blk_range_is_good(blk, from->offset / BLOCK_SECTOR_BYTES, from->bytes)) {
            return fail(error, VMM_ERROR_WIRE, "held.request[%" PRIu32 "].offset: outside the disk",
                        i);
        }
    }
    return true;
}

/* The guest knows how large its disk is: another size would be another disk. */
static bool blk_post_load(void *opaque, uint32_t version, GError **error)
{
    VirtioBlk *blk = opaque;
    uint64_t here = block_size(blk->drive) / BLOCK_SECTOR_BYTES;

    (void)version;
    if (blk->capacity != here) {
        return fail(error, VMM_ERROR_WIRE,
                    "capacity: the disk had %" PRIu64 " sectors, '%s' has %" PRIu64, blk->capacity,
                    blk->drive->file_name ? blk->drive->file_name : blk->drive->id, here);
    }
    blk->config[BLK_CONFIG_WRITEBACK] = blk->writeback;
    if (!blk_held_check(&blk->held, &blk->base, error)) {
        g_prefix_error(error, "held: ");
        return false;
    }
    return blk_load_held(blk, error);
}

static const VmStateField blk_fields[] = {
    VMSTATE_FIELD_STRUCT(VirtioBlk, base, VirtioDevice, &virtio_vmstate, 1),
    VMSTATE_FIELD_U64(VirtioBlk, capacity, 1),
    VMSTATE_FIELD_BOOL(VirtioBlk, writeback, 1),
    VMSTATE_FIELD_STRUCT(VirtioBlk, held, BlkHeld, &blk_held_vmstate, 1),
};

const VmStateDesc virtio_blk_vmstate = {
    .name = "virtio-blk",
    .version = 1,
    .min_version = 1,
    .fields = blk_fields,
    .num_fields = G_N_ELEMENTS(blk_fields),
    .pre_save = blk_pre_save,
    .post_load = blk_post_load,
};

static const VirtioOps blk_virtio_ops = {
    .device_id = BLK_DEVICE_ID,
    .realize = blk_realize,
    .finalize = blk_finalize,
    .config_write = blk_config_write,
    .activate = blk_activate,
    .deactivate = blk_deactivate,
    .handle_queue = blk_handle_queue,
    .drain = blk_drain,
    .resume = blk_resume,
    .reset = blk_reset,
    .saves_requests = true,
};

static const DeviceOps blk_ops = {
    .name = "virtio-blk",
    VIRTIO_DEVICE_OPS,
    .vmstate = &virtio_blk_vmstate,
};

VirtioDevice *virtio_blk_new(const char *id, GuestMemory *mem, const VirtioHost *host, Loop *loop,
                             BlockBackend *drive, const VirtioBlkConfig *config)
{
    const VirtioInit init = {
        .ops = &blk_virtio_ops,
        .mem = mem,
        .host = host,
        .loop = loop,
        .num_queues = (unsigned)config->num_queues,
        .queue_size = (uint16_t)config->queue_size,
        .features = blk_space_features(drive, config),
    };
    VirtioBlk *blk = virtio_device_alloc(&blk_ops, id, sizeof(*blk), &init);

    blk->base.wants_loop = true;
    blk->drive = drive;
    blk->logical_block_size = (uint32_t)config->logical_block_size;
    blk->default_writeback = config->write_cache == ON_OFF_AUTO_AUTO
                                 ? drive->limits.cached
                                 : config->write_cache == ON_OFF_AUTO_ON;
    if (config->serial) {
        memcpy(blk->serial, config->serial, MIN(strlen(config->serial), sizeof(blk->serial)));
    }
    blk->requests = g_ptr_array_new_with_free_func(blk_request_free);
    blk->popped = g_new0(uint32_t, config->num_queues);
    virtio_set_config(&blk->base, blk->config, sizeof(blk->config));
    blk_space_fill(blk->config, drive, config);
    blk_set_writeback(blk, blk->default_writeback);
    return &blk->base;
}

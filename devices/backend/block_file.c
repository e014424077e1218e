/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/backend/block_file.h"

#include "devices/backend/block_file_slow.h"
#include "devices/backend/block_io.h"
#include "devices/backend/block_loop.h"
#include "util/bytes.h"
#include "util/error.h"
#include "util/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where the kernel does not tell what O_DIRECT wants: no file system wants more than this. */
#define DIRECT_ALIGN_MAX 4096u

static BlockFile *request_file(const BlockRequest *request)
{
    return (BlockFile *)request->node;
}

static void dispatch(BlockFile *file, BlockIo *io)
{
    if (file->aio == BLOCK_AIO_URING) {
        block_loop_submit_ring(file->base.loop, io);
    } else if (file->aio == BLOCK_AIO_THREADS) {
        block_loop_submit_pool(file->base.loop, io);
    } else {
        block_loop_run_now(file->base.loop, io);
    }
}

/* --- who may run --- */

static bool is_misaligned(const BlockFile *file, const BlockRequest *request)
{
    return !is_aligned(request->offset | request->bytes, file->base.limits.request_alignment);
}

/* It reads what is around, and puts it back: nobody else may write there meanwhile. */
static bool must_be_alone(const BlockFile *file, const BlockRequest *request)
{
    return is_misaligned(file, request) &&
           (request->op == BLOCK_WRITE || request->op == BLOCK_WRITE_ZEROES);
}

static void start(BlockFile *file, BlockRequest *request);

static void start_waiting(BlockFile *file)
{
    while (file->waiting && !file->alone) {
        BlockRequest *request = file->waiting;

        if (must_be_alone(file, request) && file->running > 0) {
            return;
        }
        file->waiting = request->next;
        start(file, request);
    }
}

static void finish(BlockFile *file, BlockRequest *request, int error)
{
    file->running--;
    file->alone = false;
    block_complete(request, error);
    start_waiting(file);
}

static void file_submit(BlockBackend *node, BlockRequest *request)
{
    BlockFile *file = (BlockFile *)node;
    bool waits =
        file->alone || file->waiting || (must_be_alone(file, request) && file->running > 0);

    if (!waits) {
        start(file, request);
        return;
    }

    BlockRequest **end = &file->waiting;

    while (*end) {
        end = &(*end)->next;
    }
    request->next = NULL;
    *end = request;
}

/* --- one request --- */

/* The file had less for us than asked: 0 bytes is its end. */
static void continue_transfer(BlockFile *file, BlockRequest *request, int64_t result)
{
    BlockIo *io = &request->io;
    struct iovec *before = request->rest;

    if (result == 0) {
        if (request->op == BLOCK_WRITE) {
            finish(file, request, ENOSPC);
            return;
        }
        block_iov_set_zero(request->iov, request->iov_count, request->progress,
                           request->bytes - request->progress);
        finish(file, request, 0);
        return;
    }
    request->rest =
        block_iov_rest(request->iov, request->iov_count, request->progress, &io->iov_count);
    g_free(before);
    io->iov = request->rest;
    io->offset = request->offset + request->progress;
    if (!is_aligned(request->progress, file->base.limits.request_alignment)) {
        io->op = BLOCK_IO_CALL;
        io->call = block_file_bounce;
    }
    dispatch(file, io);
}

static void transfer_done(BlockIo *io, int64_t result)
{
    BlockRequest *request = block_file_request(io);
    BlockFile *file = request_file(request);

    if (result < 0) {
        finish(file, request, (int)-result);
        return;
    }
    request->progress += (uint64_t)result;
    file->unsafe |= request->op == BLOCK_WRITE;
    if (request->progress < request->bytes) {
        continue_transfer(file, request, result);
    } else {
        finish(file, request, 0);
    }
}

/* A result of 0 or -errno. */
static void call_done(BlockIo *io, int64_t result)
{
    BlockRequest *request = block_file_request(io);
    BlockFile *file = request_file(request);

    file->unsafe |= request->op != BLOCK_READ;
    finish(file, request, (int)-result);
}

static void flush_done(BlockIo *io, int64_t result)
{
    BlockRequest *request = block_file_request(io);
    BlockFile *file = request_file(request);

    file->flushing--;
    file->unsafe |= result < 0;
    finish(file, request, (int)-result);
}

static void start_transfer(BlockFile *file, BlockRequest *request)
{
    const BlockLimits *limits = &file->base.limits;
    BlockIo *io = &request->io;
    bool bounce = is_misaligned(file, request) ||
                  !block_iov_is_aligned(request->iov, request->iov_count, limits->memory_alignment);

    io->rw_flags = (request->flags & BLOCK_REQUEST_FUA) && !file->no_flush ? RWF_DSYNC : 0;
    if (bounce) {
        io->op = BLOCK_IO_CALL;
        io->call = block_file_bounce;
    } else {
        io->op = request->op == BLOCK_READ ? BLOCK_IO_READ : BLOCK_IO_WRITE;
        io->iov = request->iov;
        io->iov_count = request->iov_count;
        io->offset = request->offset;
    }
    io->done = transfer_done;
    dispatch(file, io);
}

static void start_call(BlockFile *file, BlockRequest *request, int64_t (*call)(BlockIo *io))
{
    request->io.op = BLOCK_IO_CALL;
    request->io.call = call;
    request->io.done = call_done;
    dispatch(file, &request->io);
}

/* Nothing to do if the last flush still holds and none is under way that might fail. */
static void start_flush(BlockFile *file, BlockRequest *request)
{
    if (file->no_flush || (!file->unsafe && file->flushing == 0)) {
        finish(file, request, 0);
        return;
    }
    file->unsafe = false;
    file->flushing++;
    request->io.op = BLOCK_IO_SYNC;
    request->io.done = flush_done;
    dispatch(file, &request->io);
}

static void start(BlockFile *file, BlockRequest *request)
{
    file->running++;
    file->alone = must_be_alone(file, request);
    request->io.fd = file->fd;
    switch (request->op) {
    case BLOCK_WRITE:
        if (file->detect_zeroes != BLOCK_DETECT_ZEROES_OFF &&
            block_iov_is_zero(request->iov, request->iov_count)) {
            start_call(file, request, block_file_write_zeroes);
            break;
        }
        start_transfer(file, request);
        break;
    case BLOCK_READ:
        start_transfer(file, request);
        break;
    case BLOCK_FLUSH:
        start_flush(file, request);
        break;
    case BLOCK_DISCARD:
        if (file->base.limits.discard) {
            start_call(file, request, block_file_discard);
        } else {
            finish(file, request, 0);
        }
        break;
    case BLOCK_WRITE_ZEROES:
        start_call(file, request, block_file_write_zeroes);
        break;
    case BLOCK_OP_COUNT:
        g_assert_not_reached();
    }
}

/* --- the image --- */

static bool file_get_size(BlockBackend *node, uint64_t *ret_size, GError **error)
{
    const BlockFile *file = (const BlockFile *)node;
    uint64_t bytes = 0;
    struct stat st;

    if (file->is_device) {
        if (ioctl(file->fd, BLKGETSIZE64, &bytes) < 0) {
            return fail_errno(error, errno, "cannot learn the size of '%s'", node->file_name);
        }
    } else {
        if (fstat(file->fd, &st) < 0) {
            return fail_errno(error, errno, "cannot learn the size of '%s'", node->file_name);
        }
        bytes = (uint64_t)st.st_size;
    }
    *ret_size = align_up(bytes, BLOCK_SECTOR_BYTES);
    return true;
}

static bool file_set_size(BlockBackend *node, uint64_t size, GError **error)
{
    const BlockFile *file = (const BlockFile *)node;

    if (file->is_device) {
        return fail(error, VMM_ERROR_CONFIG,
                    "'%s' is a device of the host: its size can only be changed there",
                    node->file_name);
    }
    if (ftruncate(file->fd, (off_t)size) < 0) {
        return fail_errno(error, errno, "cannot make '%s' %" PRIu64 " bytes long", node->file_name,
                          size);
    }
    return true;
}

static void file_close(BlockBackend *node)
{
    BlockFile *file = (BlockFile *)node;

    fd_close(&file->fd);
}

static const BlockOps block_file_ops = {
    .name = "file",
    .submit = file_submit,
    .get_size = file_get_size,
    .set_size = file_set_size,
    .close = file_close,
};

/* 0 if not even the largest works: the file system has no O_DIRECT. */
static uint32_t probe_alignment(int fd)
{
    void *data = NULL;
    uint32_t align = 0;

    if (posix_memalign(&data, DIRECT_ALIGN_MAX, DIRECT_ALIGN_MAX) != 0) {
        return 0;
    }
    for (uint32_t try = BLOCK_SECTOR_BYTES; try <= DIRECT_ALIGN_MAX && align == 0; try *= 2) {
        if (pread(fd, data, try, 0) >= 0 || errno != EINVAL) {
            align = try;
        }
    }
    free(data);
    return align;
}

static bool find_alignment(BlockFile *file, GError **error)
{
    BlockLimits *limits = &file->base.limits;
    struct statx stx = {0};

    if (statx(file->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) == 0 &&
        (stx.stx_mask & STATX_DIOALIGN) && stx.stx_dio_offset_align > 0) {
        limits->request_alignment = stx.stx_dio_offset_align;
        limits->memory_alignment = MAX(stx.stx_dio_mem_align, 1);
    } else {
        limits->request_alignment = probe_alignment(file->fd);
        limits->memory_alignment = limits->request_alignment;
    }
    if (!is_power_of_two(limits->request_alignment) || !is_power_of_two(limits->memory_alignment) ||
        limits->request_alignment > 64 * KIB) {
        return fail(error, VMM_ERROR_HOST,
                    "'%s': its file system does not do O_DIRECT; use direct=off",
                    file->base.file_name);
    }
    return true;
}

static bool open_image(BlockFile *file, const BlockFileConfig *config, GError **error)
{
    int flags = (config->read_only ? O_RDONLY : O_RDWR) | (config->direct ? O_DIRECT : 0);
    struct stat st;

    /* O_NONBLOCK: a path that turns out to be a pipe must not make us wait for its other end. */
    file->fd = fd_sets_open(config->fd_sets, config->path, flags | O_NONBLOCK, 0, error);
    if (file->fd < 0) {
        return false;
    }
    if (fstat(file->fd, &st) < 0) {
        return fail_errno(error, errno, "cannot look at '%s'", config->path);
    }
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) {
        return fail(error, VMM_ERROR_CONFIG, "'%s' is neither a regular file nor a block device",
                    config->path);
    }
    file->is_device = S_ISBLK(st.st_mode);

    int host_read_only = 0;

    if (file->is_device && !config->read_only && ioctl(file->fd, BLKROGET, &host_read_only) == 0 &&
        host_read_only) {
        return fail(error, VMM_ERROR_HOST, "'%s' is a read-only device; use readonly=on",
                    config->path);
    }
    return block_lock_image(file->fd, config->path, !config->read_only, config->locking, error);
}

BlockBackend *block_file_open(const BlockFileConfig *config, GError **error)
{
    BlockFile *file = block_alloc(&block_file_ops, /* child= */ NULL, sizeof(*file));
    g_autoptr(BlockBackend) node = &file->base;
    uint64_t size;

    file->fd = -1;
    node->file_name = g_strdup(config->path);
    node->read_only = config->read_only;
    node->limits.discard = config->discard;
    node->limits.cached = true;
    file->aio = config->aio;
    file->no_flush = config->no_flush;
    file->detect_zeroes = config->detect_zeroes;
    file->unsafe = true; /* whoever made the image may have left it in the page cache */
    if (!open_image(file, config, error) || !file_get_size(node, &size, error)) {
        return NULL;
    }
    if (config->direct && !find_alignment(file, error)) {
        return NULL;
    }
    atomic_store(&node->size, size);
    return g_steal_pointer(&node);
}

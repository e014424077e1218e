/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/backend/block_file_slow.h"

#include "devices/backend/block_io.h"
#include "util/bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* However much a guest asks for at once, no call holds more memory than this. */
#define BOUNCE_BYTES (1 * MIB)

BlockRequest *block_file_request(BlockIo *io)
{
    return (BlockRequest *)((char *)io - offsetof(BlockRequest, io));
}

/* Bytes read; less than len only at the end of the file. */
static int64_t read_span(int fd, uint8_t *data, uint64_t len, uint64_t offset)
{
    uint64_t got = 0;

    while (got < len) {
        ssize_t n = pread(fd, data + got, len - got, (off_t)(offset + got));

        if (n < 0 && errno != EINTR) {
            /* O_DIRECT cannot go on at the odd end of a file: there is nothing more there. */
            return got > 0 && errno == EINVAL ? (int64_t)got : -errno;
        }
        if (n == 0) {
            break;
        }
        got += (uint64_t)MAX(n, 0);
    }
    memset(data + got, 0, len - got);
    return (int64_t)got;
}

static int64_t write_span(int fd, void *data, uint64_t len, uint64_t offset, int rw_flags)
{
    uint64_t put = 0;

    while (put < len) {
        struct iovec iov = {.iov_base = (uint8_t *)data + put, .iov_len = len - put};
        ssize_t n = pwritev2(fd, &iov, 1, (off_t)(offset + put), rw_flags);

        if (n < 0 && errno != EINTR) {
            return -errno;
        }
        if (n == 0) {
            return -ENOSPC;
        }
        put += (uint64_t)MAX(n, 0);
    }
    return 0;
}

/* A piece of a request, and the whole host blocks around it. */
typedef struct Span {
    uint64_t begin, end;             /* in the image */
    uint64_t block_begin, block_end; /* likewise */
    uint64_t in_request;             /* where the piece begins in the request's buffers */
} Span;

static Span next_span(const BlockRequest *request, uint64_t position, uint32_t align)
{
    uint64_t end = request->offset + request->bytes;
    Span span = {.begin = position,
                 .block_begin = align_down(position, align),
                 .in_request = position - request->offset};

    span.block_end = MIN(align_up(end, align), span.block_begin + BOUNCE_BYTES);
    span.end = MIN(end, span.block_end);
    return span;
}

static int64_t bounce_read(const BlockFile *file, const BlockRequest *request, const Span *span,
                           uint8_t *buffer)
{
    int64_t got =
        read_span(file->fd, buffer, span->block_end - span->block_begin, span->block_begin);

    if (got < 0) {
        return got;
    }
    block_iov_scatter(request->iov, request->iov_count, span->in_request,
                      buffer + (span->begin - span->block_begin), span->end - span->begin);
    return 0;
}

/* Writes the buffers, or zeros for a request that has none. */
static int64_t bounce_write(const BlockFile *file, const BlockRequest *request, const Span *span,
                            uint8_t *buffer)
{
    uint64_t block_bytes = span->block_end - span->block_begin;
    uint8_t *place = buffer + (span->begin - span->block_begin);
    int64_t result = 0;

    if (span->begin != span->block_begin || span->end != span->block_end) {
        result = read_span(file->fd, buffer, block_bytes, span->block_begin);
    }
    if (result < 0) {
        return result;
    }
    if (request->op == BLOCK_WRITE) {
        block_iov_gather(request->iov, request->iov_count, span->in_request, place,
                         span->end - span->begin);
    } else {
        memset(place, 0, span->end - span->begin);
    }
    result = write_span(file->fd, buffer, block_bytes, span->block_begin, request->io.rw_flags);
    if (result == 0 && !file->is_device && span->block_end > block_size(&file->base)) {
        /* The last host block reached over the end of the image, which must not grow by that. */
        result = ftruncate(file->fd, (off_t)block_size(&file->base)) < 0 ? -errno : 0;
    }
    return result;
}

int64_t block_file_bounce(BlockIo *io)
{
    const BlockRequest *request = block_file_request(io);
    const BlockFile *file = (const BlockFile *)request->node;
    uint32_t align = file->base.limits.request_alignment;
    uint64_t position = request->offset + request->progress;
    uint64_t end = request->offset + request->bytes;
    void *buffer = NULL;
    int64_t result = 0;

    if (posix_memalign(&buffer, MAX(PAGE_BYTES, align), BOUNCE_BYTES) != 0) {
        return -ENOMEM;
    }
    while (position < end && result == 0) {
        Span span = next_span(request, position, align);

        result = request->op == BLOCK_READ ? bounce_read(file, request, &span, buffer)
                                           : bounce_write(file, request, &span, buffer);
        position = span.end;
    }
    free(buffer);
    return result < 0 ? result : (int64_t)(request->bytes - request->progress);
}

static bool means_unsupported(int err)
{
    return err == EOPNOTSUPP || err == ENOSYS || err == ENODEV || err == ENOTTY || err == EINVAL;
}

int64_t block_file_write_zeroes(BlockIo *io)
{
    const BlockRequest *request = block_file_request(io);
    BlockFile *file = (BlockFile *)request->node;
    bool may_unmap = request->op == BLOCK_WRITE ? file->detect_zeroes == BLOCK_DETECT_ZEROES_UNMAP
                                                : (request->flags & BLOCK_REQUEST_UNMAP) != 0;
    int mode = may_unmap && file->base.limits.discard ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE;
    bool fua = (request->flags & BLOCK_REQUEST_FUA) && !file->no_flush;

    io->rw_flags = fua ? RWF_DSYNC : 0;
    if (!atomic_load(&file->cannot_zero)) {
        if (fallocate(file->fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)request->offset,
                      (off_t)request->bytes) == 0) {
            return fua && fdatasync(file->fd) < 0 ? -errno : 0;
        }
        if (!means_unsupported(errno)) {
            return -errno;
        }
        /* EINVAL may be about this one request: a device wants whole blocks. */
        if (errno != EINVAL) {
            atomic_store(&file->cannot_zero, true);
        }
    }

    int64_t written = block_file_bounce(io);

    return MIN(written, 0);
}

int64_t block_file_discard(BlockIo *io)
{
    const BlockRequest *request = block_file_request(io);
    const BlockFile *file = (const BlockFile *)request->node;
    int result;

    if (file->is_device) {
        uint64_t range[2] = {request->offset, request->bytes};

        result = ioctl(file->fd, BLKDISCARD, range);
    } else {
        result = fallocate(file->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                           (off_t)request->offset, (off_t)request->bytes);
    }
    /* Discarding is a hint, and a host that cannot take it has done its part. */
    return result < 0 && !means_unsupported(errno) ? -errno : 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/backend/block_io.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

int64_t block_io_run(BlockIo *io)
{
    int64_t result = -EINVAL;

    do {
        switch (io->op) {
        case BLOCK_IO_READ:
            result = preadv2(io->fd, io->iov, (int)io->iov_count, (off_t)io->offset, io->rw_flags);
            break;
        case BLOCK_IO_WRITE:
            result = pwritev2(io->fd, io->iov, (int)io->iov_count, (off_t)io->offset, io->rw_flags);
            break;
        case BLOCK_IO_SYNC:
            result = fdatasync(io->fd);
            break;
        case BLOCK_IO_CALL:
            return io->call(io);
        }
    } while (result < 0 && (errno == EINTR || errno == EAGAIN));
    return result < 0 ? -errno : result;
}

uint64_t block_iov_bytes(const struct iovec *iov, unsigned count)
{
    uint64_t bytes = 0;

    for (unsigned i = 0; i < count; i++) {
        bytes += iov[i].iov_len;
    }
    return bytes;
}

bool block_iov_is_aligned(const struct iovec *iov, unsigned count, uint32_t align)
{
    uintptr_t all = 0;

    for (unsigned i = 0; i < count; i++) {
        all |= (uintptr_t)iov[i].iov_base | iov[i].iov_len;
    }
    return (all & (align - 1)) == 0;
}

static bool is_zero(const uint8_t *data, size_t len)
{
    size_t head = MIN(len, 16);

    for (size_t i = 0; i < head; i++) {
        if (data[i] != 0) {
            return false;
        }
    }
    /* The first bytes are zero, and each byte equals the one 16 before it. */
    return len == head || memcmp(data, data + head, len - head) == 0;
}

bool block_iov_is_zero(const struct iovec *iov, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (!is_zero(iov[i].iov_base, iov[i].iov_len)) {
            return false;
        }
    }
    return true;
}

typedef enum {
    IOV_ZERO,
    IOV_GATHER,
    IOV_SCATTER
} IovWay;

static void iov_walk(const struct iovec *iov, unsigned count, uint64_t offset, uint8_t *data,
                     uint64_t bytes, IovWay way)
{
    for (unsigned i = 0; i < count && bytes > 0; i++) {
        if (offset >= iov[i].iov_len) {
            offset -= iov[i].iov_len;
            continue;
        }

        size_t step = MIN(bytes, iov[i].iov_len - offset);
        uint8_t *place = (uint8_t *)iov[i].iov_base + offset;

        if (way == IOV_ZERO) {
            memset(place, 0, step);
        } else if (way == IOV_GATHER) {
            memcpy(data, place, step);
            data += step;
        } else {
            memcpy(place, data, step);
            data += step;
        }
        bytes -= step;
        offset = 0;
    }
}

void block_iov_set_zero(const struct iovec *iov, unsigned count, uint64_t offset, uint64_t bytes)
{
    iov_walk(iov, count, offset, NULL, bytes, IOV_ZERO);
}

void block_iov_gather(const struct iovec *iov, unsigned count, uint64_t offset, void *data,
                      uint64_t bytes)
{
    iov_walk(iov, count, offset, data, bytes, IOV_GATHER);
}

void block_iov_scatter(const struct iovec *iov, unsigned count, uint64_t offset, const void *data,
                       uint64_t bytes)
{
    iov_walk(iov, count, offset, (uint8_t *)(uintptr_t)data, bytes, IOV_SCATTER);
}

struct iovec *block_iov_rest(const struct iovec *iov, unsigned count, uint64_t skip,
                             unsigned *ret_count)
{
    unsigned first = 0;

    while (first < count && skip >= iov[first].iov_len) {
        skip -= iov[first].iov_len;
        first++;
    }

    struct iovec *rest = g_new(struct iovec, MAX(count - first, 1));

    if (first < count) {
        memcpy(rest, &iov[first], (count - first) * sizeof(*iov));
        rest[0].iov_base = (uint8_t *)rest[0].iov_base + skip;
        rest[0].iov_len -= skip;
    }
    *ret_count = count - first;
    return rest;
}

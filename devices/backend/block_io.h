/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEVICES_BACKEND_BLOCK_IO_H
#define DEVICES_BACKEND_BLOCK_IO_H

/* Helpers around BlockIo and iovecs that know nothing of loops. */

#include "devices/backend/block.h"

/* Does the io on the calling thread: bytes transferred or -errno. */
int64_t block_io_run(BlockIo *io);

uint64_t block_iov_bytes(const struct iovec *iov, unsigned count);

/* True if each buffer begins and ends on a multiple of align, a power of two. */
bool block_iov_is_aligned(const struct iovec *iov, unsigned count, uint32_t align);

bool block_iov_is_zero(const struct iovec *iov, unsigned count);

/* [offset, offset + bytes) of the buffers, which reach that far. */
void block_iov_set_zero(const struct iovec *iov, unsigned count, uint64_t offset, uint64_t bytes);
void block_iov_gather(const struct iovec *iov, unsigned count, uint64_t offset, void *data,
                      uint64_t bytes);
void block_iov_scatter(const struct iovec *iov, unsigned count, uint64_t offset, const void *data,
                       uint64_t bytes);

/* The buffers without their first skip bytes, in a new array that the caller frees. */
struct iovec *block_iov_rest(const struct iovec *iov, unsigned count, uint64_t skip,
                             unsigned *ret_count);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEVICES_VIRTIO_IOV_H
#define DEVICES_VIRTIO_IOV_H

/* Scattered memory: copies in and out of an array of pieces, all bounded by both sides. */

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

uint64_t iov_bytes(const struct iovec *iov, unsigned count);

/* From (to) the pieces, starting offset bytes in; returns how much there was to copy. */
uint64_t iov_read(const struct iovec *iov, unsigned count, uint64_t offset, void *data,
                  uint64_t len);
uint64_t iov_write(const struct iovec *iov, unsigned count, uint64_t offset, const void *data,
                   uint64_t len);
uint64_t iov_fill(const struct iovec *iov, unsigned count, uint64_t offset, uint8_t byte,
                  uint64_t len);

/*
 * The pieces that make up [offset, offset + len), in ret_part with room for count of them; returns
 * how many.  The memory is the same, only the edges move.
 */
unsigned iov_slice(const struct iovec *iov, unsigned count, uint64_t offset, uint64_t len,
                   struct iovec *ret_part);

#endif

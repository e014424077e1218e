/* SPDX-License-Identifier: Apache-2.0 */
/* One walk over the pieces serves every copy; what is done with each piece is the caller's. */
#include "devices/virtio/iov.h"

#include <glib.h>
#include <string.h>

uint64_t iov_bytes(const struct iovec *iov, unsigned count)
{
    uint64_t total = 0;

    for (unsigned i = 0; i < count; i++) {
        total += iov[i].iov_len;
    }
    return total;
}

/* A position in an array of pieces that hands out the longest run of contiguous memory. */
typedef struct Walk {
    const struct iovec *iov;
    unsigned left;
    uint64_t offset; /* still to skip */
} Walk;

static uint8_t *walk_next(Walk *walk, uint64_t want, uint64_t *ret_len)
{
    while (walk->left > 0) {
        const struct iovec *piece = walk->iov;

        if (walk->offset < piece->iov_len) {
            uint8_t *at = (uint8_t *)piece->iov_base + walk->offset;

            *ret_len = MIN(want, piece->iov_len - walk->offset);
            walk->offset += *ret_len;
            return at;
        }
        walk->offset -= piece->iov_len;
        walk->iov++;
        walk->left--;
    }
    return NULL;
}

uint64_t iov_read(const struct iovec *iov, unsigned count, uint64_t offset, void *data,
                  uint64_t len)
{
    Walk walk = {.iov = iov, .left = count, .offset = offset};
    uint64_t done = 0;

    while (done < len) {
        uint64_t n;
        const uint8_t *at = walk_next(&walk, len - done, &n);

        if (!at) {
            break;
        }
        memcpy((uint8_t *)data + done, at, n);
        done += n;
    }
    return done;
}

uint64_t iov_write(const struct iovec *iov, unsigned count, uint64_t offset, const void *data,
                   uint64_t len)
{
    Walk walk = {.iov = iov, .left = count, .offset = offset};
    uint64_t done = 0;

    while (done < len) {
        uint64_t n;
        uint8_t *at = walk_next(&walk, len - done, &n);

        if (!at) {
            break;
        }
        memcpy(at, (const uint8_t *)data + done, n);
        done += n;
    }
    return done;
}

uint64_t iov_fill(const struct iovec *iov, unsigned count, uint64_t offset, uint8_t byte,
                  uint64_t len)
{
    Walk walk = {.iov = iov, .left = count, .offset = offset};
    uint64_t done = 0;

    while (done < len) {
        uint64_t n;
        uint8_t *at = walk_next(&walk, len - done, &n);

        if (!at) {
            break;
        }
        memset(at, byte, n);
        done += n;
    }
    return done;
}

unsigned iov_slice(const struct iovec *iov, unsigned count, uint64_t offset, uint64_t len,
                   struct iovec *ret_part)
{
    Walk walk = {.iov = iov, .left = count, .offset = offset};
    unsigned pieces = 0;

    while (len > 0) {
        uint64_t n;
        uint8_t *at = walk_next(&walk, len, &n);

        if (!at) {
            break;
        }
        ret_part[pieces++] = (struct iovec){.iov_base = at, .iov_len = n};
        len -= n;
    }
    return pieces;
}

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UTIL_BYTES_H
#define UTIL_BYTES_H

/*
 * Numbers in memory that others share: little-endian loads and stores that need no alignment,
 * alignment by powers of two, and sums and products that say when they overflow.
 */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define KIB        UINT64_C(1024)
#define MIB        (KIB * 1024)
#define GIB        (MIB * 1024)
#define TIB        (GIB * 1024)

#define PAGE_BYTES UINT64_C(4096)

static inline uint16_t load_le16(const void *p)
{
    uint16_t v;

    memcpy(&v, p, sizeof(v));
    return GUINT16_FROM_LE(v);
}

static inline uint32_t load_le32(const void *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return GUINT32_FROM_LE(v);
}

static inline uint64_t load_le64(const void *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return GUINT64_FROM_LE(v);
}

static inline void store_le16(void *p, uint16_t v)
{
    v = GUINT16_TO_LE(v);
    memcpy(p, &v, sizeof(v));
}

static inline void store_le32(void *p, uint32_t v)
{
    v = GUINT32_TO_LE(v);
    memcpy(p, &v, sizeof(v));
}

static inline void store_le64(void *p, uint64_t v)
{
    v = GUINT64_TO_LE(v);
    memcpy(p, &v, sizeof(v));
}

/* A register access of 1, 2, 4 or 8 bytes, as buses pass it around. */
static inline uint64_t load_le(const void *p, unsigned size)
{
    uint64_t v = 0;

    memcpy(&v, p, MIN(size, sizeof(v)));
    return GUINT64_FROM_LE(v);
}

static inline void store_le(void *p, unsigned size, uint64_t v)
{
    v = GUINT64_TO_LE(v);
    memcpy(p, &v, MIN(size, sizeof(v)));
}

static inline bool is_power_of_two(uint64_t v)
{
    return v != 0 && (v & (v - 1)) == 0;
}

/* align must be a power of two; align_up wraps to 0 at the top of the range. */
static inline uint64_t align_down(uint64_t v, uint64_t align)
{
    return v & ~(align - 1);
}

static inline uint64_t align_up(uint64_t v, uint64_t align)
{
    return align_down(v + align - 1, align);
}

static inline bool is_aligned(uint64_t v, uint64_t align)
{
    return (v & (align - 1)) == 0;
}

/* True if a + b (a * b) fits, and then stores it. */
static inline bool checked_add(uint64_t a, uint64_t b, uint64_t *ret_sum)
{
    return !__builtin_add_overflow(a, b, ret_sum);
}

static inline bool checked_mul(uint64_t a, uint64_t b, uint64_t *ret_product)
{
    return !__builtin_mul_overflow(a, b, ret_product);
}

/* True if [start, start + len) lies inside [0, limit); nothing overflows on the way. */
static inline bool range_fits(uint64_t start, uint64_t len, uint64_t limit)
{
    return start <= limit && len <= limit - start;
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UTIL_CRC32C_ARCH_H
#define UTIL_CRC32C_ARCH_H

/*
 * The instruction, per architecture.  Private to crc32c.c.
 *
 * It takes 8 bytes and answers three cycles later, but takes the next ones at once; so three lanes
 * of a block go through it side by side and are joined afterwards:
 *
 *     | lane a, CRC32C_LANE bytes | lane b | lane c |     crc = past(past(a) ^ b) ^ c
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CRC32C_LANE  ((size_t)1360) /* three of them and two words are a page */
#define CRC32C_BLOCK (3 * CRC32C_LANE)

/* How far ahead memory is fetched: three streams at once are more than the hardware guesses. */
#define CRC32C_AHEAD 8192

bool crc32c_arch_usable(void);

/* Both without the inversions at the ends.  A block has CRC32C_BLOCK bytes; the lanes start at 0. */
void crc32c_arch_block(const uint8_t *block, uint32_t lanes[3]);
uint32_t crc32c_arch_bytes(uint32_t crc, const uint8_t *data, size_t len);

#endif

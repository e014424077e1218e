/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UTIL_CRC32C_H
#define UTIL_CRC32C_H

/*
 * CRC-32C (Castagnoli), by the processor's own instruction where it has one.  Starts at 0; what it
 * returned for the bytes so far goes on with the next ones:
 *
 *     crc32c(crc32c(0, "1234", 4), "56789", 5) == crc32c(0, "123456789", 9) == 0xe3069283
 */

#include <stddef.h>
#include <stdint.h>

uint32_t crc32c(uint32_t crc, const void *data, size_t len);

/* The same without the instruction: for processors that lack it, and for tests. */
uint32_t crc32c_by_table(uint32_t crc, const void *data, size_t len);

#endif

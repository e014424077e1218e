/* SPDX-License-Identifier: Apache-2.0 */
#include "util/crc32c_arch.h"

#include <arm_acle.h>
#include <string.h>
#include <sys/auxv.h>

#define HAS_CRC32 (1UL << 7) /* HWCAP_CRC32 */

bool crc32c_arch_usable(void)
{
    return (getauxval(AT_HWCAP) & HAS_CRC32) != 0;
}

static uint64_t word_at(const uint8_t *p)
{
    uint64_t word;

    memcpy(&word, p, sizeof(word));
    return word;
}

__attribute__((target("+crc"))) void crc32c_arch_block(const uint8_t *block, uint32_t lanes[3])
{
    uint32_t a = lanes[0];
    uint32_t b = lanes[1];
    uint32_t c = lanes[2];

    for (size_t i = 0; i < CRC32C_LANE; i += sizeof(uint64_t)) {
        __builtin_prefetch(block + CRC32C_AHEAD + i);
        __builtin_prefetch(block + CRC32C_AHEAD + CRC32C_LANE + i);
        __builtin_prefetch(block + CRC32C_AHEAD + 2 * CRC32C_LANE + i);
        a = __crc32cd(a, word_at(block + i));
        b = __crc32cd(b, word_at(block + CRC32C_LANE + i));
        c = __crc32cd(c, word_at(block + 2 * CRC32C_LANE + i));
    }
    lanes[0] = a;
    lanes[1] = b;
    lanes[2] = c;
}

__attribute__((target("+crc"))) uint32_t crc32c_arch_bytes(uint32_t crc, const uint8_t *data,
                                                           size_t len)
{
    for (; len >= sizeof(uint64_t); len -= sizeof(uint64_t)) {
        crc = __crc32cd(crc, word_at(data));
        data += sizeof(uint64_t);
    }
    for (size_t i = 0; i < len; i++) {
        crc = __crc32cb(crc, data[i]);
    }
    return crc;
}

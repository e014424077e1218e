/* SPDX-License-Identifier: Apache-2.0 */
#include "util/crc32c_arch.h"

#include <nmmintrin.h>
#include <string.h>
#include <sys/platform/x86.h>

bool crc32c_arch_usable(void)
{
    /* What libc found out at its start; a CPUID of our own may cost a trip to the host. */
    return CPU_FEATURE_ACTIVE(SSE4_2);
}

static uint64_t word_at(const uint8_t *p)
{
    uint64_t word;

    memcpy(&word, p, sizeof(word));
    return word;
}

__attribute__((target("sse4.2"))) void crc32c_arch_block(const uint8_t *block, uint32_t lanes[3])
{
    uint64_t a = lanes[0];
    uint64_t b = lanes[1];
    uint64_t c = lanes[2];

    for (size_t i = 0; i < CRC32C_LANE; i += sizeof(uint64_t)) {
        __builtin_prefetch(block + CRC32C_AHEAD + i);
        __builtin_prefetch(block + CRC32C_AHEAD + CRC32C_LANE + i);
        __builtin_prefetch(block + CRC32C_AHEAD + 2 * CRC32C_LANE + i);
        a = _mm_crc32_u64(a, word_at(block + i));
        b = _mm_crc32_u64(b, word_at(block + CRC32C_LANE + i));
        c = _mm_crc32_u64(c, word_at(block + 2 * CRC32C_LANE + i));
    }
    lanes[0] = (uint32_t)a;
    lanes[1] = (uint32_t)b;
    lanes[2] = (uint32_t)c;
}

__attribute__((target("sse4.2"))) uint32_t crc32c_arch_bytes(uint32_t crc, const uint8_t *data,
                                                             size_t len)
{
    for (; len >= sizeof(uint64_t); len -= sizeof(uint64_t)) {
        crc = (uint32_t)_mm_crc32_u64(crc, word_at(data));
        data += sizeof(uint64_t);
    }
    for (size_t i = 0; i < len; i++) {
        crc = _mm_crc32_u8(crc, data[i]);
    }
    return crc;
}

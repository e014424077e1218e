/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table holds one page of descriptors of 8 bytes; the topmost may be smaller.  The lower half of
 * the address space begins at TTBR0, the upper half at TTBR1, each with a size and a page size of
 * its own.
 */
#include "hypervisor/arm64/page_walk.h"

#include "util/bytes.h"

#define SCTLR_MMU        UINT64_C(1)
#define TCR_DISABLE(up)  ((up) ? 23 : 7)
#define TCR_SIZE(up)     ((up) ? 16 : 0)
#define TCR_GRANULE(up)  ((up) ? 30 : 14)
#define TCR_TAGGED(up)   ((up) ? 38 : 37)
#define UPPER_BIT        55
#define MIN_ADDRESS_BITS 16U
#define MAX_ADDRESS_BITS 52U

#define TABLE_BITS       UINT64_C(0x0000ffffffffffc0) /* of TTBR */
#define OUTPUT_BITS      UINT64_C(0x0000fffffffff000) /* of a descriptor */
#define DESC_VALID       1U
#define DESC_TABLE       2U /* at the last level: a page */

/* How an address of one half is taken apart. */
typedef struct Half {
    uint64_t table;
    unsigned address_bits;
    unsigned page_shift;
} Half;

static unsigned bits(uint64_t value, unsigned shift, unsigned count)
{
    return (unsigned)(value >> shift & ((UINT64_C(1) << count) - 1));
}

/* The two halves number the same three page sizes differently. */
static const unsigned char page_shifts[2][4] = {{12, 16, 14, 0}, {0, 14, 12, 16}};

static bool find_half(const Arm64Regime *regime, uint64_t address, Half *ret_half)
{
    bool upper = address >> UPPER_BIT & 1;
    uint64_t tcr = regime->tcr;
    Half half = {
        .table = (upper ? regime->ttbr1 : regime->ttbr0) & TABLE_BITS,
        .address_bits = 64 - bits(tcr, TCR_SIZE(upper), 6),
        .page_shift = page_shifts[upper][bits(tcr, TCR_GRANULE(upper), 2)],
    };
    /* With tags the topmost byte is not part of the address. */
    unsigned top = bits(tcr, TCR_TAGGED(upper), 1) ? UPPER_BIT + 1 : 64;

    if (bits(tcr, TCR_DISABLE(upper), 1) || half.page_shift == 0 ||
        half.address_bits < MIN_ADDRESS_BITS || half.address_bits > MAX_ADDRESS_BITS) {
        return false;
    }

    unsigned rest = top - half.address_bits;
    uint64_t extension = address >> half.address_bits & ((UINT64_C(1) << rest) - 1);

    *ret_half = half;
    return extension == (upper ? (UINT64_C(1) << rest) - 1 : 0);
}

static bool walk(const GuestMemory *mem, const Half *half, uint64_t address, uint64_t *ret_gpa)
{
    unsigned step = half->page_shift - 3;
    unsigned levels = (half->address_bits - half->page_shift + step - 1) / step;
    uint64_t table = half->table;

    for (unsigned level = levels; level-- > 0;) {
        unsigned shift = half->page_shift + level * step;
        unsigned index = bits(address, shift, MIN(step, half->address_bits - shift));
        uint64_t inside = (UINT64_C(1) << shift) - 1;
        uint64_t desc;

        if (!guest_mem_read(mem, GPA(table + (uint64_t)index * sizeof(desc)), &desc, sizeof(desc),
                            NULL)) {
            return false;
        }
        desc = GUINT64_FROM_LE(desc);
        if (!(desc & DESC_VALID) || (level == 0 && !(desc & DESC_TABLE))) {
            return false;
        }
        if (level == 0 || !(desc & DESC_TABLE)) {
            *ret_gpa = (desc & OUTPUT_BITS & ~inside) | (address & inside);
            return true;
        }
        table = desc & OUTPUT_BITS & ~((UINT64_C(1) << half->page_shift) - 1);
    }
    return false;
}

bool arm64_page_walk(const GuestMemory *mem, const Arm64Regime *regime, uint64_t address,
                     uint64_t *ret_gpa)
{
    Half half;

    if (!(regime->sctlr & SCTLR_MMU)) {
        *ret_gpa = address;
        return true;
    }
    return find_half(regime, address, &half) && walk(mem, &half, address, ret_gpa);
}

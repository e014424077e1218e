/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RAM holds what is written to it, everywhere: a number made from its address goes to the start and
 * the end of a page in every stride of each RAM range, every 128th such page is filled, and all
 * must be found again behind the migrate point, twice, for the second round has changed half.
 * Pages between that nobody touched must be zero all the time.
 *
 * Command line: stride=SIZE, bytes=SIZE (RAM that the machine was given), high (some of it lies
 * above 4 GiB).
 */
#include "tests/guest/lib/boot_info.h"
#include "tests/guest/lib/report.h"
#include "tests/guest/lib/start.h"
#include "tests/guest/lib/x86.h"

#define PAGE_SIZE   4096ul
#define PAGE_WORDS  (PAGE_SIZE / sizeof(uint64_t))
#define FULL_PAGES  128
#define ZERO_PAGES  2
#define LOW_MIB     0x100000ul
#define GIB         (1ul << 30)
#define RESERVE_MAX (4ul << 20)

typedef void (*PageVisitor)(uint64_t page, uint64_t number);

static uint64_t generation_of_odd;
static uint64_t pages_wrong;
static uint64_t first_wrong;
static uint64_t pages_seen;
static uint64_t stride;

/* Spreads the bits of an address (the constant is 2^64 divided by the golden ratio). */
static uint64_t pattern(uint64_t address, uint64_t generation)
{
    uint64_t x = (address + generation * 0x51ed27) * 0x9e3779b97f4a7c15;

    return x ^ x >> 29;
}

static uint64_t generation_of(uint64_t number)
{
    return number & 1 ? generation_of_odd : 1;
}

static void write_page(uint64_t page, uint64_t number)
{
    volatile uint64_t *words = (volatile uint64_t *)page;
    uint64_t step = number % FULL_PAGES == 0 ? 1 : PAGE_WORDS - 1;
    uint64_t generation = generation_of(number);

    for (uint64_t i = 0; i < PAGE_WORDS; i += step) {
        words[i] = pattern(page + i * sizeof(*words), generation);
    }
}

static void write_odd_page(uint64_t page, uint64_t number)
{
    if (number & 1) {
        write_page(page, number);
    }
}

static void note_wrong(uint64_t address)
{
    if (!pages_wrong++) {
        first_wrong = address;
    }
}

static void verify_page(uint64_t page, uint64_t number)
{
    const volatile uint64_t *words = (const volatile uint64_t *)page;
    uint64_t step = number % FULL_PAGES == 0 ? 1 : PAGE_WORDS - 1;
    uint64_t generation = generation_of(number);

    for (uint64_t i = 0; i < PAGE_WORDS; i += step) {
        if (words[i] != pattern(page + i * sizeof(*words), generation)) {
            note_wrong((uint64_t)&words[i]);
            return;
        }
    }
}

/* The page behind a touched one; with a stride of one page there is none. */
static void verify_zero(uint64_t page, uint64_t number)
{
    const volatile uint64_t *words = (const volatile uint64_t *)(page + PAGE_SIZE);

    if (stride >= 2 * PAGE_SIZE && number % ZERO_PAGES == 0 &&
        (words[0] || words[PAGE_WORDS - 1])) {
        note_wrong((uint64_t)words);
    }
}

/* One page in each stride, and the last page; low memory and the payload itself are left out. */
static void visit_range(const MemoryRange *range, PageVisitor visit, bool with_last)
{
    uint64_t start = (range->start + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
    uint64_t end = (range->start + range->size) & ~(PAGE_SIZE - 1);
    uint64_t own = ((uint64_t)payload_end + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);

    if (end <= LOW_MIB) {
        return;
    }
    if (start < own) {
        start = own;
    }
    for (; start + 2 * PAGE_SIZE < end; start += stride) {
        visit(start, pages_seen++);
    }
    if (with_last) {
        visit(end - PAGE_SIZE, pages_seen++);
    }
}

static void visit_ram(PageVisitor visit, bool with_last)
{
    const BootInfo *info = boot_info();

    pages_seen = 0;
    for (unsigned i = 0; i < info->range_count; i++) {
        if (info->ranges[i].type == MEMORY_RAM) {
            visit_range(&info->ranges[i], visit, with_last);
        }
    }
}

static void test_map(void)
{
    const BootInfo *info = boot_info();
    uint64_t wanted = boot_option("bytes", 0);
    uint64_t bytes = 0;
    bool is_high = false;

    for (unsigned i = 0; i < info->range_count; i++) {
        const MemoryRange *range = &info->ranges[i];

        report_note("memory 0x%lx-0x%lx type %u", range->start, range->start + range->size - 1,
                    range->type);
        for (unsigned j = 0; j < i; j++) {
            const MemoryRange *other = &info->ranges[j];

            if (range->start < other->start + other->size &&
                other->start < range->start + range->size) {
                report(false, "ranges do not overlap: 0x%lx and 0x%lx", range->start, other->start);
            }
        }
        if (range->type == MEMORY_RAM) {
            bytes += range->size;
            is_high |= range->start >= 4 * GIB;
        }
    }
    report(bytes <= wanted && bytes + RESERVE_MAX >= wanted, "the map gives the RAM asked for: %lu",
           bytes);
    report(is_high == boot_flag("high"), "RAM lies above 4 GiB only if it has to");
}

static void verify(const char *when)
{
    pages_wrong = 0;
    visit_ram(verify_page, true);
    report(!pages_wrong, "%lu pages hold their pattern, %s (%lu wrong, first at 0x%lx)", pages_seen,
           when, pages_wrong, first_wrong);
    pages_wrong = 0;
    visit_ram(verify_zero, false);
    report(!pages_wrong, "untouched pages are zero, %s (%lu wrong, first at 0x%lx)", when,
           pages_wrong, first_wrong);
}

void payload_main(void)
{
    stride = boot_option("stride", 16 * PAGE_SIZE) & ~(PAGE_SIZE - 1);
    test_map();
    generation_of_odd = 1;
    visit_ram(write_page, true);
    verify("as written");
    migrate_point();
    verify("after the migrate point");
    generation_of_odd = 2;
    visit_ram(write_odd_page, true);
    verify("half of them changed");
    migrate_point();
    verify("after the second migrate point");
}

/* SPDX-License-Identifier: Apache-2.0 */
/* 1 GiB pages where the processor has them, else page directories of 2 MiB pages. */
#include "tests/guest/lib/paging.h"

#include "tests/guest/lib/boot_info.h"
#include "tests/guest/lib/x86.h"

#define GIB            (1ul << 30)
#define PAGE_TABLE     0x07
#define PAGE_LARGE     0x87
#define ENTRIES        512
#define LOW_GIBS       4
#define CPUID_1G_PAGES (1u << 26)

extern uint64_t boot_pdpt[ENTRIES];

static uint64_t high_directories[PAGING_LIMIT / GIB - LOW_GIBS][ENTRIES]
    __attribute__((aligned(4096)));

static void map_gib(uint64_t number, bool large)
{
    uint64_t *directory = high_directories[number - LOW_GIBS];

    if (large) {
        boot_pdpt[number] = number * GIB | PAGE_LARGE;
        return;
    }
    for (uint64_t i = 0; i < ENTRIES; i++) {
        directory[i] = (number * GIB + (i << 21)) | PAGE_LARGE;
    }
    boot_pdpt[number] = (uint64_t)directory | PAGE_TABLE;
}

void paging_map_high_ram(void)
{
    const BootInfo *info = boot_info();
    bool large =
        cpuid(0x80000000, 0).eax >= 0x80000001 && (cpuid(0x80000001, 0).edx & CPUID_1G_PAGES) != 0;

    for (unsigned i = 0; i < info->range_count; i++) {
        const MemoryRange *range = &info->ranges[i];
        uint64_t end = range->start + range->size;

        if (range->type != MEMORY_RAM || range->start < LOW_GIBS * GIB) {
            continue;
        }
        for (uint64_t n = range->start / GIB; n * GIB < end && n * GIB < PAGING_LIMIT; n++) {
            map_gib(n, large);
        }
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "util/page_map.h"

#include "util/bytes.h"
#include "util/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* --- PAGEMAP_SCAN, newer than the headers that this must build with --- */

typedef struct PageRegion {
    uint64_t start;
    uint64_t end;
    uint64_t categories;
} PageRegion;

typedef struct ScanArgs {
    uint64_t size;
    uint64_t flags;
    uint64_t start;
    uint64_t end;
    uint64_t walk_end;
    uint64_t vec;
    uint64_t vec_len;
    uint64_t max_pages;
    uint64_t category_inverted;
    uint64_t category_mask;
    uint64_t category_anyof_mask;
    uint64_t return_mask;
} ScanArgs;

#define SCAN_IOCTL      _IOWR('f', 16, ScanArgs)
#define SCAN_IS_PRESENT (UINT64_C(1) << 3)
#define SCAN_IS_SWAPPED (UINT64_C(1) << 4)
#define SCAN_IS_ZERO    (UINT64_C(1) << 5) /* the page of zeroes that all readers share */

#define SCAN_REGIONS    64

/* --- /proc/self/pagemap, a 64-bit entry per page --- */

#define ENTRY_PRESENT (UINT64_C(1) << 63)
#define ENTRY_SWAPPED (UINT64_C(1) << 62)
#define READ_ENTRIES  512

struct PageMap {
    PageMapMethod method;
    int fd; /* of /proc/self/pagemap */
};

void page_bits_set(uint64_t *bits, uint64_t first, uint64_t count)
{
    while (count > 0) {
        uint64_t shift = first % 64;
        uint64_t n = MIN(count, 64 - shift);
        uint64_t mask = n == 64 ? UINT64_MAX : ((UINT64_C(1) << n) - 1) << shift;

        bits[first / 64] |= mask;
        first += n;
        count -= n;
    }
}

/* The first bit from `from` on that is as wanted, or limit. */
static uint64_t next_bit(const uint64_t *bits, uint64_t from, uint64_t limit, bool wanted)
{
    while (from < limit) {
        uint64_t word = (wanted ? bits[from / 64] : ~bits[from / 64]) >> from % 64;

        if (word != 0) {
            return MIN(limit, from + (uint64_t)__builtin_ctzll(word));
        }
        from = align_down(from, 64) + 64;
    }
    return limit;
}

bool page_bits_next_run(const uint64_t *bits, uint64_t from, uint64_t limit, uint64_t *ret_first,
                        uint64_t *ret_count)
{
    uint64_t first = next_bit(bits, from, limit, /* wanted= */ true);

    if (first == limit) {
        return false;
    }
    *ret_first = first;
    *ret_count = next_bit(bits, first, limit, /* wanted= */ false) - first;
    return true;
}

bool page_is_zero(const void *page, size_t len)
{
    static const uint8_t zero[16];

    /* Equal to itself 16 bytes on, and zero at the start: memcmp is the fastest loop there is. */
    return memcmp(page, zero, sizeof(zero)) == 0 &&
           memcmp(page, (const uint8_t *)page + sizeof(zero), len - sizeof(zero)) == 0;
}

/* Sets the bits of one page after the other until it fails; true if it got through. */
static bool scan(int fd, uintptr_t start, uint64_t len, uint64_t *bits)
{
    PageRegion regions[SCAN_REGIONS];
    ScanArgs args = {
        .size = sizeof(args),
        .start = start,
        .end = start + len,
        .vec = (uintptr_t)regions,
        .vec_len = SCAN_REGIONS,
        .category_inverted = SCAN_IS_ZERO,
        .category_mask = SCAN_IS_ZERO,
        .category_anyof_mask = SCAN_IS_PRESENT | SCAN_IS_SWAPPED,
        .return_mask = SCAN_IS_PRESENT,
    };

    while (args.start < args.end) {
        int n = ioctl(fd, SCAN_IOCTL, &args);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 || args.walk_end <= args.start) {
            return false;
        }
        for (int i = 0; i < n; i++) {
            page_bits_set(bits, (regions[i].start - start) / PAGE_BYTES,
                          (regions[i].end - regions[i].start) / PAGE_BYTES);
        }
        args.start = args.walk_end;
    }
    return true;
}

static bool read_entries(int fd, uintptr_t start, uint64_t len, uint64_t *bits)
{
    uint64_t entries[READ_ENTRIES];
    uint64_t pages = len / PAGE_BYTES;
    uint64_t page = 0;

    while (page < pages) {
        size_t count = (size_t)MIN(pages - page, READ_ENTRIES);

        if (!fd_pread_all(fd, "pagemap", entries, count * sizeof(entries[0]),
                          (start / PAGE_BYTES + page) * sizeof(entries[0]), NULL)) {
            return false;
        }
        for (size_t i = 0; i < count; i++) {
            if (entries[i] & (ENTRY_PRESENT | ENTRY_SWAPPED)) {
                page_bits_set(bits, page + i, 1);
            }
        }
        page += count;
    }
    return true;
}

PageMap *page_map_new(PageMapMethod best)
{
    PageMap *map = g_new0(PageMap, 1);
    static const uint8_t probe;
    uintptr_t page = align_down((uintptr_t)&probe, PAGE_BYTES);
    uint64_t bits = 0;

    map->method = PAGE_MAP_BLIND;
    map->fd = best == PAGE_MAP_BLIND ? -1 : open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (map->fd >= 0 && best == PAGE_MAP_BEST && scan(map->fd, page, PAGE_BYTES, &bits)) {
        map->method = PAGE_MAP_BEST;
    } else if (map->fd >= 0 && read_entries(map->fd, page, PAGE_BYTES, &bits)) {
        map->method = PAGE_MAP_READ;
    }
    return map;
}

void page_map_free(PageMap *map)
{
    if (map) {
        fd_close(&map->fd);
        g_free(map);
    }
}

PageMapMethod page_map_method(const PageMap *map)
{
    return map->method;
}

void page_map_find_present(const PageMap *map, const void *hva, uint64_t len, uint64_t *bits)
{
    uintptr_t start = (uintptr_t)hva;

    if ((map->method == PAGE_MAP_BEST && scan(map->fd, start, len, bits)) ||
        (map->method == PAGE_MAP_READ && read_entries(map->fd, start, len, bits))) {
        return;
    }
    page_bits_set(bits, 0, len / PAGE_BYTES);
}

void page_map_find_file_data(int fd, uint64_t offset, uint64_t len, uint64_t *bits)
{
    uint64_t end = offset + len;
    uint64_t at = offset;

    while (at < end) {
        off_t data = lseek(fd, (off_t)at, SEEK_DATA);

        if (data < 0 && errno == ENXIO) {
            return; /* nothing but a hole up to the end */
        }

        off_t hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);

        if (hole < 0) { /* a file that cannot tell */
            data = (off_t)at;
            hole = (off_t)end;
        }
        if ((uint64_t)data >= end) {
            return;
        }

        uint64_t first = ((uint64_t)data - offset) / PAGE_BYTES;
        uint64_t last = (MIN((uint64_t)hole, end) - offset + PAGE_BYTES - 1) / PAGE_BYTES;

        page_bits_set(bits, first, last - first);
        at = (uint64_t)hole;
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UTIL_PAGE_MAP_H
#define UTIL_PAGE_MAP_H

/*
 * Which pages of this process hold something, found out without touching any: reading a page that
 * nobody ever wrote would make the kernel map one.
 *
 *     anonymous memory      what the kernel has given a page, in memory or in swap
 *     a file                its extents; a hole holds nothing
 *
 * Results go into a bitmap with one bit per 4 KiB page; the functions only ever set bits.  Safe
 * from any thread; a PageMap has no state that changes after it is made.
 */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct PageMap PageMap;

typedef enum {
    PAGE_MAP_BEST,  /* the PAGEMAP_SCAN ioctl if the kernel has it (6.7), else by reading */
    PAGE_MAP_READ,  /* reads /proc/self/pagemap */
    PAGE_MAP_BLIND, /* knows nothing: every page may hold something */
} PageMapMethod;

/* Never fails: where the kernel tells nothing the map is blind, which is slow but right. */
PageMap *page_map_new(PageMapMethod best);
void page_map_free(PageMap *map); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PageMap, page_map_free)

PageMapMethod page_map_method(const PageMap *map);

/* Sets the bits of pages in [hva, hva + len) that this process has in memory or in swap. */
void page_map_find_present(const PageMap *map, const void *hva, uint64_t len, uint64_t *bits);

/* Sets the bits of pages in [offset, offset + len) for which the file may hold data. */
void page_map_find_file_data(int fd, uint64_t offset, uint64_t len, uint64_t *bits);

/* --- the bitmap --- */

#define PAGE_BITS_WORDS(pages) (((pages) + 63) / 64)

void page_bits_set(uint64_t *bits, uint64_t first, uint64_t count);

/* The next run of set bits at or after from and below limit; false if there is none. */
bool page_bits_next_run(const uint64_t *bits, uint64_t from, uint64_t limit, uint64_t *ret_first,
                        uint64_t *ret_count);

/* True if all of len bytes at page, a multiple of 16, are zero. */
bool page_is_zero(const void *page, size_t len);

#endif

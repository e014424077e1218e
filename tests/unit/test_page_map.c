/* SPDX-License-Identifier: Apache-2.0 */
#include "util/page_map.h"

#include "tests/unit/suite.h"
#include "util/bytes.h"
#include "util/fd.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGES 1024
#define BYTES (PAGES * PAGE_BYTES)

static bool has(const uint64_t *bits, uint64_t page)
{
    return (bits[page / 64] >> page % 64 & 1) != 0;
}

static uint8_t *map_anonymous(void)
{
    uint8_t *at = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    ck_assert_ptr_ne(at, MAP_FAILED);
    madvise(at, BYTES, MADV_NOHUGEPAGE);
    return at;
}

static const PageMapMethod methods[] = {PAGE_MAP_BEST, PAGE_MAP_READ};

START_TEST(exactly_the_written_pages_are_present)
{
    g_autoptr(PageMap) map = page_map_new(methods[_i]);
    uint8_t *at = map_anonymous();
    uint64_t bits[PAGE_BITS_WORDS(PAGES)] = {0};

    ck_assert_int_ne(page_map_method(map), PAGE_MAP_BLIND);
    for (uint64_t page = 0; page < PAGES; page += 1 + page % 7) {
        at[page * PAGE_BYTES] = 1;
    }
    page_map_find_present(map, at, BYTES, bits);
    for (uint64_t page = 0; page < PAGES; page++) {
        ck_assert_int_eq(has(bits, page), at[page * PAGE_BYTES] == 1);
    }
    munmap(at, BYTES);
}
END_TEST

START_TEST(more_runs_than_the_kernel_tells_at_once_are_found)
{
    g_autoptr(PageMap) map = page_map_new(PAGE_MAP_BEST);
    uint8_t *at = map_anonymous();
    uint64_t bits[PAGE_BITS_WORDS(PAGES)] = {0};

    for (uint64_t page = 0; page < PAGES; page += 2) {
        at[page * PAGE_BYTES] = 1;
    }
    page_map_find_present(map, at, BYTES, bits);
    for (uint64_t page = 0; page < PAGES; page++) {
        ck_assert_int_eq(has(bits, page), page % 2 == 0);
    }
    munmap(at, BYTES);
}
END_TEST

START_TEST(a_page_that_was_only_read_is_known_to_be_empty_by_the_scan)
{
    g_autoptr(PageMap) map = page_map_new(PAGE_MAP_BEST);
    uint8_t *at = map_anonymous();
    uint64_t bits[PAGE_BITS_WORDS(PAGES)] = {0};

    if (page_map_method(map) == PAGE_MAP_BEST) {
        ck_assert_uint_eq(*(volatile uint8_t *)(at + 5 * PAGE_BYTES), 0);
        page_map_find_present(map, at, BYTES, bits);
        ck_assert(!has(bits, 5));
    }
    munmap(at, BYTES);
}
END_TEST

START_TEST(a_blind_map_takes_every_page_for_present)
{
    g_autoptr(PageMap) map = page_map_new(PAGE_MAP_BLIND);
    uint8_t *at = map_anonymous();
    uint64_t bits[PAGE_BITS_WORDS(PAGES)] = {0};

    ck_assert_int_eq(page_map_method(map), PAGE_MAP_BLIND);
    page_map_find_present(map, at, 100 * PAGE_BYTES, bits);
    for (uint64_t page = 0; page < PAGES; page++) {
        ck_assert_int_eq(has(bits, page), page < 100);
    }
    munmap(at, BYTES);
}
END_TEST

START_TEST(extents_of_a_file_are_found_and_holes_are_not)
{
    auto_fd int fd = memfd_create("t", MFD_CLOEXEC);
    uint64_t bits[PAGE_BITS_WORDS(PAGES)] = {0};
    uint8_t byte = 1;

    ck_assert_int_eq(ftruncate(fd, (off_t)BYTES), 0);
    ck_assert(fd_pwrite_all(fd, "t", &byte, 1, 3 * PAGE_BYTES + 100, NULL));
    ck_assert(fd_pwrite_all(fd, "t", &byte, 1, 4 * PAGE_BYTES, NULL));
    ck_assert(fd_pwrite_all(fd, "t", &byte, 1, 900 * PAGE_BYTES, NULL));
    page_map_find_file_data(fd, PAGE_BYTES, BYTES - PAGE_BYTES, bits);
    for (uint64_t page = 0; page < PAGES - 1; page++) {
        ck_assert_int_eq(has(bits, page), page == 2 || page == 3 || page == 899);
    }
    memset(bits, 0, sizeof(bits));
    page_map_find_file_data(fd, 901 * PAGE_BYTES, 20 * PAGE_BYTES, bits);
    ck_assert_uint_eq(bits[0], 0);
}
END_TEST

START_TEST(a_file_that_cannot_tell_is_taken_for_data)
{
    int pipe_fds[2];
    uint64_t bits[PAGE_BITS_WORDS(PAGES)] = {0};

    ck_assert_int_eq(pipe2(pipe_fds, O_CLOEXEC), 0);
    page_map_find_file_data(pipe_fds[0], 0, 10 * PAGE_BYTES, bits);
    ck_assert_uint_eq(bits[0], 0x3ff);
    fd_close(&pipe_fds[0]);
    fd_close(&pipe_fds[1]);
}
END_TEST

START_TEST(runs_of_bits_come_one_after_the_other)
{
    uint64_t bits[4] = {0};
    uint64_t first = 0;
    uint64_t count = 0;

    page_bits_set(bits, 60, 70);
    page_bits_set(bits, 131, 1);
    page_bits_set(bits, 255, 1);
    ck_assert(page_bits_next_run(bits, 0, 256, &first, &count));
    ck_assert(first == 60 && count == 70);
    ck_assert(page_bits_next_run(bits, 130, 256, &first, &count));
    ck_assert(first == 131 && count == 1);
    ck_assert(page_bits_next_run(bits, 132, 256, &first, &count));
    ck_assert(first == 255 && count == 1);
    ck_assert(!page_bits_next_run(bits, 256, 256, &first, &count));
    ck_assert(page_bits_next_run(bits, 0, 64, &first, &count));
    ck_assert(first == 60 && count == 4);
}
END_TEST

START_TEST(only_a_page_of_zeroes_is_zero)
{
    g_autofree uint8_t *page = g_malloc0(PAGE_BYTES);

    ck_assert(page_is_zero(page, PAGE_BYTES));
    for (size_t i = 0; i < PAGE_BYTES; i++) {
        page[i] = 1;
        ck_assert(!page_is_zero(page, PAGE_BYTES));
        page[i] = 0;
    }
    memset(page, 7, PAGE_BYTES);
    ck_assert(!page_is_zero(page, PAGE_BYTES));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("page_map");

    tcase_add_loop_test(tc, exactly_the_written_pages_are_present, 0, G_N_ELEMENTS(methods));
    tcase_add_test(tc, more_runs_than_the_kernel_tells_at_once_are_found);
    tcase_add_test(tc, a_page_that_was_only_read_is_known_to_be_empty_by_the_scan);
    tcase_add_test(tc, a_blind_map_takes_every_page_for_present);
    tcase_add_test(tc, extents_of_a_file_are_found_and_holes_are_not);
    tcase_add_test(tc, a_file_that_cannot_tell_is_taken_for_data);
    tcase_add_test(tc, runs_of_bits_come_one_after_the_other);
    tcase_add_test(tc, only_a_page_of_zeroes_is_zero);
    return suite_run("page_map", tc);
}

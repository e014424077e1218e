/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RAM that is filled while it is in use.  Skipped, with status 77 and the reason, where the host has
 * no userfaultfd for us; huge pages are tried where there are any.
 */
#include "hypervisor/ram_lazy.h"

#include "tests/unit/suite.h"
#include "util/bytes.h"
#include "util/error.h"
#include "util/fd.h"
#include "util/lock.h"
#include "util/userfault.h"

#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SKIP       77
#define HUGE_BYTES (2 * MIB)
#define RAM_BYTES  (16 * MIB)
#define RAM_PAGES  (RAM_BYTES / PAGE_BYTES)
#define OFFSET     (2 * MIB) /* of the image in its file */
#define THREADS    4

/* --- the image: runs of data and holes, of many lengths --- */

static uint8_t first_byte(uint64_t page)
{
    return (uint8_t)(page * 7 + 1) | 1;
}

static bool is_data(uint64_t page)
{
    uint64_t in_group = page % 97;

    return page / 97 % 3 != 2 && in_group >= page / 97 % 40;
}

static void make_page(uint8_t *data, uint64_t page)
{
    memset(data, first_byte(page), PAGE_BYTES);
    memcpy(data + 8, &page, sizeof(page));
}

static bool page_is_right(const uint8_t *hva, uint64_t page)
{
    uint8_t expected[PAGE_BYTES] = {0};

    if (is_data(page)) {
        make_page(expected, page);
    }
    return memcmp(hva + page * PAGE_BYTES, expected, PAGE_BYTES) == 0;
}

static int make_image(void)
{
    int fd = memfd_create("image", MFD_CLOEXEC);
    uint8_t data[PAGE_BYTES];

    ck_assert(fd >= 0 && ftruncate(fd, OFFSET + RAM_BYTES) == 0);
    for (uint64_t page = 0; page < RAM_PAGES; page++) {
        if (is_data(page)) {
            make_page(data, page);
            ck_assert(
                fd_pwrite_all(fd, "image", data, PAGE_BYTES, OFFSET + page * PAGE_BYTES, NULL));
        }
    }
    return fd;
}

/* --- the bench --- */

typedef struct Way {
    RamBackendConfig ram;
    bool on_demand;
} Way;

#define HUGE_WAYS 2
static const Way ways[] = {
    {{.kind = RAM_ANONYMOUS}, false},
    {{.kind = RAM_ANONYMOUS}, true},
    {{.kind = RAM_ANONYMOUS, .shared = true}, false},
    {{.kind = RAM_MEMFD, .shared = true}, false},
    {{.kind = RAM_MEMFD, .shared = true}, true},
    {{.kind = RAM_MEMFD}, false},
    {{.kind = RAM_FILE, .shared = true, .path = "/dev/shm"}, false},
    {{.kind = RAM_MEMFD, .shared = true, .huge_page_size = HUGE_BYTES}, false},
    {{.kind = RAM_MEMFD, .huge_page_size = HUGE_BYTES}, true},
};

typedef struct Bench {
    int fd;
    RamImage image;
    GuestMemory *memory;
    RamBackend *ram;

    Mutex lock;
    /* guarded by lock */
    Cond told;
    unsigned reports;
    char *why;
} Bench;

static void take_report(void *opaque, const char *why)
{
    Bench *bench = opaque;

    mutex_lock(&bench->lock);
    bench->reports++;
    g_free(bench->why);
    bench->why = g_strdup(why);
    cond_broadcast(&bench->told);
    mutex_unlock(&bench->lock);
}

static void bench_prepare(Bench *bench, const Way *way)
{
    *bench = (Bench){.fd = make_image()};
    mutex_init(&bench->lock);
    cond_init(&bench->told);
    bench->image = (RamImage){
        .fd = bench->fd,
        .name = "image",
        .offset = OFFSET,
        .size = RAM_BYTES,
        .mode = RAM_IMAGE_LAZY,
        .on_demand = way->on_demand,
        .trouble = {.report = take_report, .opaque = bench},
    };
    bench->memory = guest_mem_new(NULL);
}

static RamBackendConfig bench_config(const Bench *bench, const Way *way)
{
    RamBackendConfig config = way->ram;

    config.id = "ram";
    config.size = RAM_BYTES;
    config.image = &bench->image;
    return config;
}

static void bench_init(Bench *bench, const Way *way)
{
    g_autoptr(GError) error = NULL;
    RamBackendConfig config;

    bench_prepare(bench, way);
    config = bench_config(bench, way);
    bench->ram = guest_mem_add_backend(bench->memory, &config, &error);
    ck_assert_msg(bench->ram != NULL, "%s", error ? error->message : "");
    ck_assert_ptr_nonnull(bench->ram->lazy);
    ck_assert(guest_mem_add_block(bench->memory, bench->ram, 0, GPA(0), RAM_BYTES, NULL));
}

static void bench_fini(Bench *bench)
{
    guest_mem_free(bench->memory);
    fd_close(&bench->fd);
    cond_fini(&bench->told);
    mutex_fini(&bench->lock);
    g_free(bench->why);
}

static void check_all(const Bench *bench)
{
    for (uint64_t page = 0; page < RAM_PAGES; page++) {
        ck_assert_msg(page_is_right(bench->ram->hva, page), "page %" G_GUINT64_FORMAT, page);
    }
    ck_assert(guest_mem_check(bench->memory, NULL));
}

/* --- content --- */

START_TEST(each_page_is_the_images_when_it_is_touched)
{
    Bench bench;

    bench_init(&bench, &ways[_i]);
    check_all(&bench);
    ram_lazy_wait(bench.ram->lazy);
    check_all(&bench);
    ck_assert_uint_eq(bench.reports, 0);
    bench_fini(&bench);
}
END_TEST

START_TEST(nobody_needs_to_touch_it)
{
    Bench bench;
    g_autoptr(PageMap) map = page_map_new(PAGE_MAP_BEST);
    uint64_t bits[PAGE_BITS_WORDS(RAM_PAGES)] = {0};

    bench_init(&bench, &ways[0]);
    ram_lazy_wait(bench.ram->lazy);
    page_map_find_present(map, bench.ram->hva, RAM_BYTES, bits);
    for (uint64_t page = 0; page < RAM_PAGES; page++) {
        ck_assert(!is_data(page) || (bits[page / 64] >> page % 64 & 1) != 0);
    }
    /* Nobody watches any more, and the image may go. */
    ck_assert_int_eq(ftruncate(bench.fd, 0), 0);
    check_all(&bench);
    bench_fini(&bench);
}
END_TEST

START_TEST(nothing_comes_that_nobody_asked_for)
{
    Bench bench;
    g_autoptr(PageMap) map = page_map_new(PAGE_MAP_BEST);
    uint64_t bits[PAGE_BITS_WORDS(RAM_PAGES)] = {0};
    uint64_t first = 0;
    uint64_t count = 0;

    bench_init(&bench, &ways[1]);
    if (page_map_method(map) != PAGE_MAP_BLIND) {
        ck_assert(page_is_right(bench.ram->hva, 60));
        page_map_find_present(map, bench.ram->hva, RAM_BYTES, bits);
        ck_assert(page_bits_next_run(bits, 0, RAM_PAGES, &first, &count));
        ck_assert_uint_le(count, 16);
        ck_assert(!page_bits_next_run(bits, first + count, RAM_PAGES, &first, &count));
    }
    bench_fini(&bench);
}
END_TEST

/* --- several at once --- */

typedef struct Toucher {
    Bench *bench;
    unsigned number;
    GThread *thread;
    uint64_t wrong;
} Toucher;

/* Each goes through all pages in an order of its own, and writes to those that are its own. */
static void *touch(void *opaque)
{
    Toucher *self = opaque;
    uint8_t *hva = self->bench->ram->hva;

    for (uint64_t i = 0; i < RAM_PAGES; i++) {
        uint64_t page = (i * (2 * self->number + 1) + self->number * 1000) % RAM_PAGES;

        if (page % 8 == self->number) {
            self->wrong += !page_is_right(hva, page);
            memset(hva + page * PAGE_BYTES, (int)self->number, PAGE_BYTES);
        } else if (page % 8 >= THREADS) {
            self->wrong += !page_is_right(hva, page);
        }
    }
    return NULL;
}

static bool page_was_written(const uint8_t *hva, uint64_t page)
{
    uint8_t expected[PAGE_BYTES];

    memset(expected, (int)(page % 8), PAGE_BYTES);
    return memcmp(hva + page * PAGE_BYTES, expected, PAGE_BYTES) == 0;
}

START_TEST(threads_find_the_same_and_keep_what_they_write)
{
    Bench bench;
    Toucher touchers[THREADS] = {0};

    bench_init(&bench, &ways[_i]);
    for (unsigned i = 0; i < THREADS; i++) {
        touchers[i] = (Toucher){.bench = &bench, .number = i};
        touchers[i].thread = g_thread_new("touch", touch, &touchers[i]);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        g_thread_join(touchers[i].thread);
        ck_assert_uint_eq(touchers[i].wrong, 0);
    }
    ram_lazy_wait(bench.ram->lazy);
    for (uint64_t page = 0; page < RAM_PAGES; page++) {
        ck_assert(page % 8 < THREADS ? page_was_written(bench.ram->hva, page)
                                     : page_is_right(bench.ram->hva, page));
    }
    bench_fini(&bench);
}
END_TEST

START_TEST(system_calls_find_it_too)
{
    Bench bench;
    uint8_t expected[PAGE_BYTES];
    uint8_t data[PAGE_BYTES];
    int ends[2];

    bench_init(&bench, &ways[_i]);
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    for (uint64_t page = 50; page + 100 < RAM_PAGES; page += 500) {
        memset(expected, 0, PAGE_BYTES);
        if (is_data(page)) {
            make_page(expected, page);
        }
        ck_assert(
            fd_write_all(ends[1], "pipe", bench.ram->hva + page * PAGE_BYTES, PAGE_BYTES, NULL));
        ck_assert(fd_read_all(ends[0], "pipe", data, PAGE_BYTES, NULL));
        ck_assert_mem_eq(data, expected, PAGE_BYTES);
        /* Half a page into one that is missing: the other half is the image's. */
        ck_assert(fd_write_all(ends[1], "pipe", data, PAGE_BYTES / 2, NULL));
        ck_assert(fd_read_all(ends[0], "pipe", bench.ram->hva + (page + 100) * PAGE_BYTES,
                              PAGE_BYTES / 2, NULL));
        make_page(expected, page + 100);
        ck_assert_int_eq(bench.ram->hva[(page + 101) * PAGE_BYTES - 1],
                         is_data(page + 100) ? expected[PAGE_BYTES - 1] : 0);
    }
    close(ends[0]);
    close(ends[1]);
    bench_fini(&bench);
}
END_TEST

/* --- what is thrown away --- */

START_TEST(discarded_pages_never_get_the_images_content)
{
    Bench bench;

    bench_init(&bench, &ways[_i]);
    for (uint64_t page = 0; page < RAM_PAGES; page += 7) {
        ck_assert(guest_mem_discard(bench.memory, GPA(page * PAGE_BYTES), PAGE_BYTES, NULL));
    }
    ck_assert(guest_mem_discard(bench.memory, GPA(4 * MIB), 3 * MIB, NULL));
    ram_lazy_wait(bench.ram->lazy);
    for (uint64_t page = 0; page < RAM_PAGES; page++) {
        const uint8_t *hva = bench.ram->hva + page * PAGE_BYTES;
        bool gone = page % 7 == 0 || (page * PAGE_BYTES >= 4 * MIB && page * PAGE_BYTES < 7 * MIB);

        ck_assert(gone ? page_is_zero(hva, PAGE_BYTES) : page_is_right(bench.ram->hva, page));
    }
    bench_fini(&bench);
}
END_TEST

START_TEST(cleared_ram_is_zeroes_from_then_on)
{
    Bench bench;

    bench_init(&bench, &ways[_i]);
    ck_assert(page_is_right(bench.ram->hva, 60));
    ck_assert(guest_mem_clear(bench.memory, NULL));
    ck_assert(page_is_zero(bench.ram->hva, RAM_BYTES));
    memset(bench.ram->hva, 1, RAM_BYTES);
    bench_fini(&bench);
}
END_TEST

/* At any moment of the fill, and before anybody has touched anything. */
START_TEST(it_may_end_before_it_is_filled)
{
    Bench bench;

    bench_init(&bench, &ways[_i]);
    bench_fini(&bench);
}
END_TEST

/* --- others who look at it --- */

START_TEST(pages_that_are_still_to_come_may_hold_something)
{
    Bench bench;
    g_autoptr(PageMap) map = page_map_new(PAGE_MAP_BEST);
    uint64_t bits[PAGE_BITS_WORDS(RAM_PAGES)];

    bench_init(&bench, &ways[_i]);
    for (unsigned round = 0; round < 2; round++) {
        memset(bits, 0, sizeof(bits));
        ram_backend_find_data(bench.ram, map, 0, RAM_BYTES, bits);
        for (uint64_t page = 0; page < RAM_PAGES; page++) {
            ck_assert(!is_data(page) || (bits[page / 64] >> page % 64 & 1) != 0);
        }
        ram_lazy_wait(bench.ram->lazy);
    }
    bench_fini(&bench);
}
END_TEST

START_TEST(ram_that_was_used_begins_anew_with_an_image)
{
    Bench bench;
    RamBackendConfig config = ways[_i].ram;
    g_autoptr(GError) error = NULL;

    bench_prepare(&bench, &ways[_i]);
    config.id = "ram";
    config.size = RAM_BYTES;
    bench.ram = guest_mem_add_backend(bench.memory, &config, NULL);
    ck_assert_ptr_nonnull(bench.ram);
    memset(bench.ram->hva, 0xee, RAM_BYTES);
    for (unsigned round = 0; round < 2; round++) {
        ck_assert_msg(guest_mem_load_image(bench.ram, &bench.image, &error), "%s",
                      error ? error->message : "");
        check_all(&bench);
        memset(bench.ram->hva + MIB, 0xee, MIB);
    }
    bench_fini(&bench);
}
END_TEST

/* --- when it cannot be --- */

static void wait_for_report(Bench *bench)
{
    mutex_lock(&bench->lock);
    while (bench->reports == 0) {
        cond_wait(&bench->told, &bench->lock);
    }
    mutex_unlock(&bench->lock);
}

START_TEST(an_image_that_is_cut_short_is_told_and_nobody_hangs)
{
    Bench bench;
    g_autoptr(GError) error = NULL;

    bench_init(&bench, &ways[1]);
    ck_assert(page_is_right(bench.ram->hva, 60));
    ck_assert_int_eq(ftruncate(bench.fd, OFFSET + 8 * MIB), 0);
    ck_assert(page_is_zero(bench.ram->hva + 12 * MIB, PAGE_BYTES));
    wait_for_report(&bench);
    ck_assert_str_eq(bench.why, "memory ram: it cannot be filled: image: ends at 10485760, 8388608 "
                                "bytes early");
    ck_assert(!guest_mem_check(bench.memory, &error));
    ck_assert_str_eq(error->message, bench.why);
    for (uint64_t page = 0; page < RAM_PAGES; page++) {
        bench.ram->hva[page * PAGE_BYTES] = 1;
    }
    ck_assert_uint_eq(bench.reports, 1);
    ck_assert(guest_mem_clear(bench.memory, NULL));
    ck_assert(guest_mem_check(bench.memory, NULL));
    bench_fini(&bench);
}
END_TEST

START_TEST(an_image_that_is_too_short_is_refused_at_once)
{
    Bench bench;
    g_autoptr(GError) error = NULL;

    bench_init(&bench, &ways[1]);
    ck_assert_int_eq(ftruncate(bench.fd, OFFSET + 100), 0);
    ck_assert(!guest_mem_load_image(bench.ram, &bench.image, &error));
    ck_assert_str_eq(error->message, "memory ram: image: ends at 2097252, 16777116 bytes early");
    ck_assert(page_is_zero(bench.ram->hva, RAM_BYTES));
    bench_fini(&bench);
}
END_TEST

START_TEST(a_view_of_a_users_file_is_refused)
{
    Bench bench;
    g_autofree char *path = NULL;
    int file = g_file_open_tmp("stencil-ram-XXXXXX", &path, NULL);
    RamBackendConfig config;
    g_autoptr(GError) error = NULL;

    bench_prepare(&bench, &ways[0]);
    config = bench_config(&bench, &ways[0]);
    config.kind = RAM_FILE;
    config.path = path;
    ck_assert_int_eq(ftruncate(file, RAM_BYTES), 0);
    ck_assert_ptr_null(ram_backend_new(&config, &error));
    ck_assert_str_eq(error->message, "memory ram: it cannot be filled while it is in use: it shows "
                                     "a file: expected share=on");
    fd_close(&file);
    unlink(path);
    bench_fini(&bench);
}
END_TEST

START_TEST(ram_is_copied_where_userfaultfd_is_refused)
{
    Bench bench;
    RamBackendConfig config;
    g_autoptr(GError) error = NULL;

    if (geteuid() != 0) {
        return; /* who is not allowed to anyway never comes here; see main */
    }
    bench_prepare(&bench, &ways[3]);
    ck_assert_int_eq(setgroups(0, NULL), 0);
    ck_assert_int_eq(setresgid(65534, 65534, 65534), 0);
    ck_assert_int_eq(setresuid(65534, 65534, 65534), 0);
    config = bench_config(&bench, &ways[3]);
    if (userfault_open(NULL) < 0) {
        ck_assert_ptr_null(ram_backend_new(&config, &error));
        ck_assert_msg(g_str_has_prefix(error->message,
                                       "memory ram: the host refuses userfaultfd: expected sysctl "
                                       "vm.unprivileged_userfaultfd=1, CAP_SYS_PTRACE or access"),
                      "%s", error->message);
        bench.image.mode = RAM_IMAGE_AUTO;
        bench.ram = guest_mem_add_backend(bench.memory, &config, NULL);
        ck_assert(bench.ram && !bench.ram->lazy);
        check_all(&bench);
    }
    bench_fini(&bench);
}
END_TEST

/* --- which of these there are --- */

static bool has_huge_pages(void)
{
    static const char *const pool = "/sys/kernel/mm/hugepages/hugepages-2048kB/";
    uint64_t count[2] = {0};
    static const char *const names[] = {"free_hugepages", "resv_hugepages"};

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = g_build_filename(pool, names[i], NULL);
        g_autofree char *text = NULL;

        if (g_file_get_contents(path, &text, NULL, NULL)) {
            count[i] = g_ascii_strtoull(text, NULL, 10);
        }
    }
    return count[0] - count[1] >= RAM_BYTES / HUGE_BYTES;
}

int main(void)
{
    TCase *tc = tcase_create("ram_lazy");
    int num_ways = (int)G_N_ELEMENTS(ways);
    g_autoptr(GError) error = NULL;
    auto_fd int fd = userfault_open(&error);

    if (fd < 0) {
        printf("skipped: %s\n", error->message);
        return SKIP;
    }
    if (!has_huge_pages()) {
        puts("without huge pages: too few are free");
        num_ways -= HUGE_WAYS;
    }
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, each_page_is_the_images_when_it_is_touched, 0, num_ways);
    tcase_add_test(tc, nobody_needs_to_touch_it);
    tcase_add_test(tc, nothing_comes_that_nobody_asked_for);
    tcase_add_loop_test(tc, threads_find_the_same_and_keep_what_they_write, 0, num_ways);
    tcase_add_loop_test(tc, system_calls_find_it_too, 0, num_ways);
    tcase_add_loop_test(tc, discarded_pages_never_get_the_images_content, 0, num_ways);
    tcase_add_loop_test(tc, cleared_ram_is_zeroes_from_then_on, 0, num_ways);
    tcase_add_loop_test(tc, it_may_end_before_it_is_filled, 0, num_ways);
    tcase_add_loop_test(tc, pages_that_are_still_to_come_may_hold_something, 0, num_ways);
    tcase_add_loop_test(tc, ram_that_was_used_begins_anew_with_an_image, 0, num_ways);
    tcase_add_test(tc, an_image_that_is_cut_short_is_told_and_nobody_hangs);
    tcase_add_test(tc, an_image_that_is_too_short_is_refused_at_once);
    tcase_add_test(tc, a_view_of_a_users_file_is_refused);
    tcase_add_test(tc, ram_is_copied_where_userfaultfd_is_refused);
    return suite_run("ram_lazy", tc);
}

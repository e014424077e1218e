/* SPDX-License-Identifier: Apache-2.0 */
/* RAM that begins as an image of a file, and what gives its zeroes back. */
#include "hypervisor/ram_image.h"

#include "hypervisor/memory.h"
#include "tests/unit/suite.h"
#include "util/bytes.h"
#include "util/error.h"
#include "util/fd.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define RAM_BYTES (16 * MIB)
#define OFFSET    (2 * MIB)

/* The image holds data in [1 MiB, 1 MiB + 40 KiB) and at the end of its last page; else holes. */
static int make_image(void)
{
    g_autofree uint8_t *data = g_malloc(40 * KIB);
    int fd = memfd_create("image", MFD_CLOEXEC);
    uint8_t last = 9;

    memset(data, 0x5a, 40 * KIB);
    ck_assert(fd_pwrite_all(fd, "image", data, 40 * KIB, OFFSET + MIB, NULL));
    ck_assert(fd_pwrite_all(fd, "image", &last, 1, OFFSET + RAM_BYTES - 1, NULL));
    return fd;
}

static void check_content(const uint8_t *hva)
{
    ck_assert(page_is_zero(hva, MIB));
    ck_assert_uint_eq(hva[MIB], 0x5a);
    ck_assert_uint_eq(hva[MIB + 40 * KIB - 1], 0x5a);
    ck_assert(page_is_zero(hva + MIB + 40 * KIB, 14 * MIB));
    ck_assert_uint_eq(hva[RAM_BYTES - 1], 9);
}

typedef struct Way {
    RamBackendKind kind;
    bool shared;
    RamImageMode mode;
} Way;

static const Way ways[] = {
    {RAM_ANONYMOUS, false, RAM_IMAGE_MAP}, {RAM_ANONYMOUS, false, RAM_IMAGE_COPY},
    {RAM_ANONYMOUS, true, RAM_IMAGE_COPY}, {RAM_MEMFD, true, RAM_IMAGE_COPY},
    {RAM_MEMFD, false, RAM_IMAGE_COPY},    {RAM_FILE, true, RAM_IMAGE_COPY},
    {RAM_FILE, false, RAM_IMAGE_COPY},     {RAM_ANONYMOUS, false, RAM_IMAGE_AUTO},
    {RAM_MEMFD, true, RAM_IMAGE_AUTO},     {RAM_MEMFD, false, RAM_IMAGE_AUTO},
    {RAM_FILE, true, RAM_IMAGE_AUTO},
};

typedef struct Bench {
    int fd;
    char *path; /* of a file full of ones, for RAM_FILE */
    RamImage image;
    GuestMemory *memory;
    RamBackend *ram;
} Bench;

static void bench_init(Bench *bench, const Way *way)
{
    g_autofree uint8_t *ones = g_malloc(RAM_BYTES);
    g_autoptr(GError) error = NULL;
    int file = g_file_open_tmp("stencil-ram-XXXXXX", &bench->path, NULL);

    memset(ones, 0xff, RAM_BYTES);
    ck_assert(file >= 0 && fd_write_all(file, bench->path, ones, RAM_BYTES, NULL));
    fd_close(&file);
    bench->fd = make_image();
    bench->image = (RamImage){
        .fd = bench->fd,
        .name = "image",
        .offset = OFFSET,
        .size = RAM_BYTES,
        .mode = way->mode,
    };

    const RamBackendConfig config = {
        .id = "ram",
        .kind = way->kind,
        .size = RAM_BYTES,
        .path = way->kind == RAM_FILE ? bench->path : NULL,
        .shared = way->shared,
        .image = &bench->image,
    };

    bench->memory = guest_mem_new(NULL);
    bench->ram = guest_mem_add_backend(bench->memory, &config, &error);
    ck_assert_msg(bench->ram != NULL, "%s", error ? error->message : "");
    ck_assert(guest_mem_add_block(bench->memory, bench->ram, 0, GPA(0), RAM_BYTES, &error));
}

static void bench_fini(Bench *bench)
{
    guest_mem_free(bench->memory);
    fd_close(&bench->fd);
    unlink(bench->path);
    g_free(bench->path);
}

START_TEST(ram_of_each_kind_begins_as_its_image)
{
    Bench bench;

    bench_init(&bench, &ways[_i]);
    check_content(bench.ram->hva);
    memset(bench.ram->hva, 1, RAM_BYTES);
    bench_fini(&bench);
}
END_TEST

START_TEST(the_image_is_never_written_to)
{
    Bench first;
    uint8_t byte;

    bench_init(&first, &ways[_i]);
    memset(first.ram->hva, 1, RAM_BYTES);
    ck_assert(fd_pread_all(first.fd, "image", &byte, 1, OFFSET + MIB, NULL));
    ck_assert_uint_eq(byte, 0x5a);
    bench_fini(&first);
}
END_TEST

START_TEST(discarded_pages_read_as_zeroes_whatever_they_were)
{
    static const uint64_t ranges[][2] = {
        {MIB, PAGE_BYTES}, {MIB + 8 * KIB, 12 * KIB}, {0, 4 * MIB}, {14 * MIB, 2 * MIB}};
    Bench bench;
    g_autoptr(GError) error = NULL;

    bench_init(&bench, &ways[_i]);
    for (size_t i = 0; i < G_N_ELEMENTS(ranges); i++) {
        uint8_t *at = bench.ram->hva + ranges[i][0];

        at[5] = 1;
        ck_assert(guest_mem_discard(bench.memory, GPA(ranges[i][0]), ranges[i][1], &error));
        ck_assert(page_is_zero(at, ranges[i][1]));
        memset(at, 7, ranges[i][1]);
        ck_assert_uint_eq(at[ranges[i][1] - 1], 7);
    }
    bench_fini(&bench);
}
END_TEST

START_TEST(a_discard_keeps_to_pages_of_ram)
{
    Bench bench;
    g_autoptr(GError) error = NULL;

    bench_init(&bench, &ways[0]);
    ck_assert(!guest_mem_discard(bench.memory, GPA(RAM_BYTES), PAGE_BYTES, &error));
    ck_assert(g_error_matches(error, VMM_ERROR, VMM_ERROR_GUEST));
    g_clear_error(&error);
    ck_assert(!guest_mem_discard(bench.memory, GPA(0), RAM_BYTES + PAGE_BYTES, &error));
    ck_assert(g_error_matches(error, VMM_ERROR, VMM_ERROR_GUEST));
    g_clear_error(&error);
    ck_assert(!guest_mem_discard(bench.memory, GPA(100), PAGE_BYTES, &error));
    ck_assert_ptr_nonnull(strstr(error->message, "is not a whole number of pages"));
    check_content(bench.ram->hva);
    bench_fini(&bench);
}
END_TEST

START_TEST(cleared_ram_does_not_show_its_image_again)
{
    Bench bench;
    g_autoptr(GError) error = NULL;

    bench_init(&bench, &ways[_i]);
    ck_assert(guest_mem_clear(bench.memory, &error));
    ck_assert(page_is_zero(bench.ram->hva, RAM_BYTES));
    bench_fini(&bench);
}
END_TEST

START_TEST(an_image_that_does_not_fit_is_refused)
{
    static const struct {
        RamBackendKind kind;
        uint64_t size;
        uint64_t offset;
        const char *message;
    } cases[] = {
        {RAM_ANONYMOUS, RAM_BYTES / 2, OFFSET, "memory ram: image holds 8388608 bytes for it"},
        {RAM_ANONYMOUS, RAM_BYTES, OFFSET + PAGE_BYTES, "memory ram: image: ends at"},
        {RAM_MEMFD, RAM_BYTES, OFFSET, "memory ram: an image can be mapped over private"},
    };
    auto_fd int fd = make_image();

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        const RamImage image = {
            .fd = fd, .name = "image", .offset = cases[i].offset, .size = cases[i].size};
        const RamBackendConfig config = {
            .id = "ram", .kind = cases[i].kind, .size = RAM_BYTES, .image = &image};
        g_autoptr(GError) error = NULL;

        ck_assert_ptr_null(ram_backend_new(&config, &error));
        ck_assert_msg(g_str_has_prefix(error->message, cases[i].message), "%s", error->message);
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("ram_image");
    int num_ways = (int)G_N_ELEMENTS(ways);

    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, ram_of_each_kind_begins_as_its_image, 0, num_ways);
    tcase_add_loop_test(tc, the_image_is_never_written_to, 0, num_ways);
    tcase_add_loop_test(tc, discarded_pages_read_as_zeroes_whatever_they_were, 0, num_ways);
    tcase_add_test(tc, a_discard_keeps_to_pages_of_ram);
    tcase_add_loop_test(tc, cleared_ram_does_not_show_its_image_again, 0, num_ways);
    tcase_add_test(tc, an_image_that_does_not_fit_is_refused);
    return suite_run("ram_image", tc);
}

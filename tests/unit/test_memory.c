/* SPDX-License-Identifier: Apache-2.0 */
#include "hypervisor/memory.h"

#include "hypervisor/ram_backend.h"
#include "tests/unit/suite.h"
#include "util/bytes.h"
#include "util/error.h"
#include "util/fd.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define KIND_BYTES (4 * MIB)

static RamBackendConfig anonymous(uint64_t size)
{
    return (RamBackendConfig){.id = "ram", .kind = RAM_ANONYMOUS, .size = size};
}

static void check_refused(const RamBackendConfig *config, const char *message)
{
    g_autoptr(GError) error = NULL;
    RamBackend *backend = ram_backend_new(config, &error);

    ck_assert_ptr_null(backend);
    ck_assert_str_eq(error->message, message);
}

/* True if every page of [hva, hva + len) is in memory without having been touched by the test. */
static bool is_populated(uint8_t *hva, uint64_t len)
{
    g_autofree unsigned char *pages = g_malloc0(len / PAGE_BYTES);

    ck_assert_int_eq(mincore(hva, len, pages), 0);
    for (uint64_t i = 0; i < len / PAGE_BYTES; i++) {
        if (!(pages[i] & 1)) {
            return false;
        }
    }
    return true;
}

typedef struct TempFile {
    char *path;
    int fd;
} TempFile;

static TempFile temp_file(void)
{
    TempFile file = {0};

    file.fd = g_file_open_tmp("stencil-memory-XXXXXX", &file.path, NULL);
    ck_assert_int_ge(file.fd, 0);
    return file;
}

static void temp_file_fini(TempFile *file)
{
    fd_close(&file->fd);
    unlink(file->path);
    g_free(file->path);
}
#define auto_file __attribute__((cleanup(temp_file_fini))) TempFile

/* --- backends --- */

START_TEST(anonymous_memory_is_zero_and_starts_on_a_huge_page_border)
{
    RamBackendConfig config = anonymous(KIND_BYTES);
    g_autoptr(GError) error = NULL;
    g_autoptr(RamBackend) backend = ram_backend_new(&config, &error);

    ck_assert_ptr_nonnull(backend);
    ck_assert_int_eq(backend->fd, -1);
    ck_assert(is_aligned((uintptr_t)backend->hva, 2 * MIB));
    ck_assert_uint_eq(backend->hva[0], 0);
    ck_assert_uint_eq(backend->hva[KIND_BYTES - 1], 0);
    backend->hva[KIND_BYTES - 1] = 1;
}
END_TEST

START_TEST(shared_memory_can_be_mapped_by_another)
{
    const RamBackendConfig configs[] = {
        {.id = "m", .kind = RAM_MEMFD, .size = KIND_BYTES, .shared = true},
        {.id = "m", .kind = RAM_ANONYMOUS, .size = KIND_BYTES, .shared = true},
    };
    g_autoptr(GError) error = NULL;
    g_autoptr(RamBackend) backend = ram_backend_new(&configs[_i], &error);

    ck_assert_ptr_nonnull(backend);
    ck_assert_int_ge(backend->fd, 0);

    uint8_t *other = mmap(NULL, KIND_BYTES, PROT_READ, MAP_SHARED, backend->fd, 0);

    ck_assert_ptr_ne(other, MAP_FAILED);
    backend->hva[12345] = 0x5a;
    ck_assert_uint_eq(other[12345], 0x5a);
    munmap(other, KIND_BYTES);
}
END_TEST

START_TEST(private_memory_leaves_its_file_alone)
{
    auto_file file = temp_file();
    g_autoptr(GError) error = NULL;
    uint8_t byte = 7;

    ck_assert_int_eq(ftruncate(file.fd, (off_t)KIND_BYTES), 0);
    ck_assert(fd_pwrite_all(file.fd, "t", &byte, 1, PAGE_BYTES, &error));

    const RamBackendConfig config = {
        .id = "f", .kind = RAM_FILE, .size = MIB, .path = file.path, .offset = PAGE_BYTES};
    g_autoptr(RamBackend) backend = ram_backend_new(&config, &error);

    ck_assert_ptr_nonnull(backend);
    ck_assert_uint_eq(backend->hva[0], 7);
    backend->hva[0] = 9;
    ck_assert(fd_pread_all(file.fd, "t", &byte, 1, PAGE_BYTES, &error));
    ck_assert_uint_eq(byte, 7);
}
END_TEST

START_TEST(shared_memory_writes_to_its_file)
{
    auto_file file = temp_file();
    g_autoptr(GError) error = NULL;
    uint8_t byte = 0;
    struct stat st;
    const RamBackendConfig config = {
        .id = "f", .kind = RAM_FILE, .size = MIB, .path = file.path, .shared = true};
    g_autoptr(RamBackend) backend = ram_backend_new(&config, &error);

    ck_assert_ptr_nonnull(backend);
    backend->hva[100] = 9;
    ck_assert(fd_pread_all(file.fd, "t", &byte, 1, 100, &error));
    ck_assert_uint_eq(byte, 9);
    ck_assert_int_eq(fstat(file.fd, &st), 0);
    ck_assert_int_eq(st.st_size, MIB); /* an empty file grows to what is needed */
}
END_TEST

START_TEST(a_folder_gets_a_file_that_nobody_sees)
{
    g_autofree char *dir = g_dir_make_tmp("stencil-memory-XXXXXX", NULL);
    g_autoptr(GError) error = NULL;
    const RamBackendConfig config = {.id = "f", .kind = RAM_FILE, .size = MIB, .path = dir};
    g_autoptr(RamBackend) backend = ram_backend_new(&config, &error);

    ck_assert_ptr_nonnull(backend);
    ck_assert_int_ge(backend->fd, 0);
    ck_assert_int_eq(rmdir(dir), 0); /* it is empty */
}
END_TEST

START_TEST(a_read_only_file_serves_private_memory)
{
    auto_file file = temp_file();
    g_autoptr(GError) error = NULL;

    ck_assert_int_eq(ftruncate(file.fd, (off_t)MIB), 0);

    const RamBackendConfig config = {
        .id = "f", .kind = RAM_FILE, .size = MIB, .path = file.path, .readonly = true};
    g_autoptr(RamBackend) backend = ram_backend_new(&config, &error);

    ck_assert_ptr_nonnull(backend);
    backend->hva[0] = 1;
}
END_TEST

START_TEST(preallocated_memory_is_there)
{
    RamBackendConfig config = anonymous(3 * 2 * MIB + PAGE_BYTES);
    g_autoptr(GError) error = NULL;

    config.prealloc = true;
    config.prealloc_threads = (unsigned)_i;

    g_autoptr(RamBackend) backend = ram_backend_new(&config, &error);

    ck_assert_ptr_nonnull(backend);
    ck_assert(is_populated(backend->hva, config.size));

    RamBackendConfig lazy = anonymous(config.size);
    g_autoptr(RamBackend) untouched = ram_backend_new(&lazy, &error);

    ck_assert(!is_populated(untouched->hva, config.size));
}
END_TEST

START_TEST(what_cannot_be_is_refused_in_words)
{
    auto_file file = temp_file();
    const RamBackendConfig cases[] = {
        anonymous(0),
        anonymous(4097),
        {.id = "m", .kind = RAM_MEMFD, .size = MIB, .huge_page_size = 3},
        {.id = "f", .kind = RAM_FILE, .size = MIB, .path = "/no/such/dir/file"},
        {.id = "f", .kind = RAM_FILE, .size = MIB, .path = file.path, .offset = 100},
        {.id = "n", .kind = RAM_ANONYMOUS, .size = MIB, .host_nodes = 1},
        {.id = "n", .kind = RAM_ANONYMOUS, .size = MIB, .policy = RAM_POLICY_BIND},
    };
    const char *const why[] = {
        "memory ram: size 0 is not a whole number of 4 KiB pages",
        "memory ram: size 4097 is not a whole number of 4 KiB pages",
        "memory m: hugetlbsize 3 is not a power of two",
        "memory f: cannot open '/no/such/dir/file' for writing: No such file or "
        "directory",
        NULL,
        "memory n: host-nodes needs a policy other than 'default'",
        "memory n: policy needs host-nodes",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        if (why[i]) {
            check_refused(&cases[i], why[i]);
        }
    }

    g_autofree char *misplaced = g_strdup_printf(
        "memory f: '%s': offset 100 is not a multiple of the page size 4096", file.path);

    check_refused(&cases[4], misplaced);
}
END_TEST

START_TEST(a_file_that_is_too_short_is_refused)
{
    auto_file file = temp_file();
    const RamBackendConfig config = {
        .id = "f", .kind = RAM_FILE, .size = MIB, .path = file.path, .readonly = _i};
    g_autofree char *why =
        g_strdup_printf("memory f: '%s' has 4096 bytes, guest RAM needs 1048576 of it", file.path);

    ck_assert_int_eq(ftruncate(file.fd, 4096), 0);
    check_refused(&config, why);
}
END_TEST

/* --- the map --- */

START_TEST(blocks_are_sorted_and_counted)
{
    g_autoptr(GuestMemory) mem = guest_mem_new(NULL);
    g_autoptr(GError) error = NULL;
    RamBackendConfig config = anonymous(4 * MIB);
    RamBackend *backend = guest_mem_add_backend(mem, &config, &error);
    size_t count;

    ck_assert(guest_mem_add_block(mem, backend, 2 * MIB, GPA(4 * GIB), 2 * MIB, &error));
    ck_assert(guest_mem_add_block(mem, backend, 0, GPA(0), 2 * MIB, &error));

    const RamBlock *blocks = guest_mem_blocks(mem, &count);

    ck_assert_uint_eq(count, 2);
    ck_assert(blocks[0].base.v == 0);
    ck_assert(blocks[1].base.v == 4 * GIB);
    ck_assert_uint_ne(blocks[0].slot, blocks[1].slot);
    ck_assert(guest_mem_total(mem) == 4 * MIB);

    uint8_t *high = guest_mem_ptr(mem, GPA(4 * GIB + 5), 1, GUEST_WRITE, &error);

    ck_assert_ptr_eq(high, backend->hva + 2 * MIB + 5);
}
END_TEST

START_TEST(blocks_that_cannot_be_are_refused)
{
    g_autoptr(GuestMemory) mem = guest_mem_new(NULL);
    g_autoptr(GError) first = NULL;
    RamBackendConfig config = anonymous(4 * MIB);
    RamBackend *backend = guest_mem_add_backend(mem, &config, &first);
    const struct {
        uint64_t offset;
        uint64_t base;
        uint64_t size;
        const char *why;
    } cases[] = {
        {0, 0, 0,
         "memory ram: guest range 0x0 +0x0 is empty, wraps or is not a whole number of 4 KiB "
         "pages"},
        {0, 1, MIB,
         "memory ram: guest range 0x1 +0x100000 is empty, wraps or is not a whole number of 4 KiB "
         "pages"},
        {0, UINT64_MAX - MIB + 1, 2 * MIB,
         "memory ram: guest range 0xfffffffffff00000 +0x200000 is empty, wraps or is not a whole "
         "number of 4 KiB pages"},
        {3 * MIB, 16 * MIB, 2 * MIB,
         "memory ram: range 0x300000 +0x200000 exceeds its size 0x400000"},
        {0, 8 * MIB - PAGE_BYTES, 2 * PAGE_BYTES,
         "memory ram: guest range 0x7ff000..0x800fff overlaps memory ram at 0x800000"},
        {0, 9 * MIB - PAGE_BYTES, PAGE_BYTES,
         "memory ram: guest range 0x8ff000..0x8fffff overlaps memory ram at 0x800000"},
    };

    ck_assert(guest_mem_add_block(mem, backend, 0, GPA(8 * MIB), MIB, &first));
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;

        ck_assert(!guest_mem_add_block(mem, backend, cases[i].offset, GPA(cases[i].base),
                                       cases[i].size, &error));
        ck_assert_str_eq(error->message, cases[i].why);
    }
    ck_assert(guest_mem_add_block(mem, backend, 0, GPA(9 * MIB), MIB, &first)); /* a neighbour */
    ck_assert(guest_mem_total(mem) == 2 * MIB);
}
END_TEST

/* --- the door --- */

START_TEST(the_door_opens_only_to_what_lies_in_one_block)
{
    g_autoptr(GuestMemory) mem = guest_mem_new(NULL);
    g_autoptr(GError) error = NULL;
    const struct {
        uint64_t gpa;
        uint64_t len;
        bool open;
    } cases[] = {
        {0, 1, true},           {0, MIB, true},
        {MIB - 1, 1, true},     {MIB - 1, 2, false},
        {0, MIB + 1, false},    {MIB, 1, false},
        {5, UINT64_MAX, false}, {5, UINT64_MAX - 4, false},
        {UINT64_MAX, 1, false}, {UINT64_MAX, UINT64_MAX, false},
    };

    ck_assert(guest_mem_add_plain(mem, MIB, &error));
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        bool open = guest_mem_ptr(mem, GPA(cases[i].gpa), cases[i].len, GUEST_READ, NULL) != NULL;

        ck_assert_int_eq(open, cases[i].open);
    }
    ck_assert_ptr_null(guest_mem_ptr(mem, GPA(MIB - 8), 16, GUEST_READ, &error));
    ck_assert_int_eq(error->code, VMM_ERROR_GUEST);
    ck_assert_str_eq(error->message, "guest range 0xffff8 +0x10 is not in one block of RAM");
}
END_TEST

START_TEST(read_only_memory_is_not_written)
{
    g_autoptr(GuestMemory) mem = guest_mem_new(NULL);
    g_autoptr(GError) error = NULL;
    RamBackendConfig config = anonymous(MIB);

    config.id = "bios";
    config.rom = true;

    RamBackend *backend = guest_mem_add_backend(mem, &config, &error);

    ck_assert(guest_mem_add_block(mem, backend, 0, GPA(0), MIB, &error));
    ck_assert_ptr_nonnull(guest_mem_ptr(mem, GPA(0), 8, GUEST_READ, &error));
    ck_assert(!guest_mem_write(mem, GPA(0), "x", 1, &error));
    ck_assert_str_eq(error->message, "guest range 0x0 +0x1 is read-only memory bios");
}
END_TEST

START_TEST(copies_cross_from_block_to_block_but_not_over_a_hole)
{
    g_autoptr(GuestMemory) mem = guest_mem_new(NULL);
    g_autoptr(GError) error = NULL;
    RamBackendConfig config = anonymous(3 * MIB);
    RamBackend *backend = guest_mem_add_backend(mem, &config, &error);
    char back[16] = {0};

    ck_assert(guest_mem_add_block(mem, backend, MIB, GPA(0), MIB, &error));
    ck_assert(guest_mem_add_block(mem, backend, 0, GPA(MIB), MIB, &error));
    ck_assert(guest_mem_add_block(mem, backend, 2 * MIB, GPA(3 * MIB), MIB, &error));
    ck_assert(guest_mem_write(mem, GPA(MIB - 7), "across the edge", 16, &error));
    ck_assert(guest_mem_read(mem, GPA(MIB - 7), back, 16, &error));
    ck_assert_str_eq(back, "across the edge");
    ck_assert_mem_eq(backend->hva + 2 * MIB - 7, "across ", 7);
    ck_assert_mem_eq(backend->hva, "the edge", 8);
    ck_assert(!guest_mem_read(mem, GPA(2 * MIB - 4), back, 8, &error));
    ck_assert_str_eq(error->message, "guest range 0x200000 +0x4 is not in one block of RAM");
}
END_TEST

/* --- loading files --- */

static bool is_mapped_from(const uint8_t *hva, const char *path)
{
    g_autofree char *maps = NULL;
    g_autofree char *line = g_strdup_printf("%" G_GINT64_MODIFIER "x-", (guint64)(uintptr_t)hva);

    ck_assert(g_file_get_contents("/proc/self/maps", &maps, NULL, NULL));

    const char *at = strstr(maps, line);

    if (!at) {
        return false;
    }

    g_autofree char *entry = g_strndup(at, strcspn(at, "\n"));

    return strstr(entry, path) != NULL;
}

#define IMAGE_BYTES (3 * PAGE_BYTES + 100)

static TempFile image_file(void)
{
    TempFile file = temp_file();
    uint8_t image[IMAGE_BYTES];
    g_autoptr(GError) error = NULL;

    for (size_t i = 0; i < sizeof(image); i++) {
        image[i] = (uint8_t)(i * 7 + i / 256);
    }
    ck_assert(fd_pwrite_all(file.fd, "t", image, sizeof(image), 0, &error));
    return file;
}

static bool load(GuestMemory *mem, Gpa gpa, const TempFile *file, uint64_t offset, uint64_t len,
                 GError **error)
{
    const FilePart part = {.fd = file->fd, .name = "kernel", .offset = offset, .len = len};

    return guest_mem_load_file(mem, gpa, &part, error);
}

static void check_image(const GuestMemory *mem, uint64_t gpa, uint64_t offset)
{
    const uint8_t *at = guest_mem_ptr(mem, GPA(gpa), IMAGE_BYTES - offset, GUEST_READ, NULL);

    for (size_t i = 0; i < IMAGE_BYTES - offset; i++) {
        ck_assert_uint_eq(at[i], (uint8_t)((i + offset) * 7 + (i + offset) / 256));
    }
}

START_TEST(whole_pages_of_a_file_are_mapped_not_read)
{
    auto_file file = image_file();
    g_autoptr(GuestMemory) mem = guest_mem_new(NULL);
    g_autoptr(GError) error = NULL;

    ck_assert(guest_mem_add_plain(mem, MIB, &error));
    ck_assert(load(mem, GPA(0x10000), &file, 0, IMAGE_BYTES, &error));
    check_image(mem, 0x10000, 0);

    uint8_t *at = guest_mem_ptr(mem, GPA(0x10000), 1, GUEST_WRITE, NULL);
    uint8_t byte;

    ck_assert(is_mapped_from(at, file.path));
    ck_assert_uint_eq(
        *(uint8_t *)guest_mem_ptr(mem, GPA(0x10000 + IMAGE_BYTES), 1, GUEST_READ, NULL), 0);
    at[0] = 0xee; /* and the file does not change */
    ck_assert(fd_pread_all(file.fd, "t", &byte, 1, 0, &error));
    ck_assert_uint_eq(byte, 0);
}
END_TEST

START_TEST(what_does_not_line_up_is_read)
{
    auto_file file = image_file();
    g_autoptr(GuestMemory) mem = guest_mem_new(NULL);
    g_autoptr(GError) error = NULL;
    const struct {
        uint64_t gpa;
        uint64_t offset;
    } cases[] = {{0x10010, 0}, {0x20000, 16}, {0x30010, 16}, {0x40ff0, PAGE_BYTES - 16}};

    ck_assert(guest_mem_add_plain(mem, MIB, &error));
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        ck_assert(load(mem, GPA(cases[i].gpa), &file, cases[i].offset,
                       IMAGE_BYTES - cases[i].offset, &error));
        check_image(mem, cases[i].gpa, cases[i].offset);
    }
}
END_TEST

START_TEST(shared_memory_is_read_into_not_mapped_over)
{
    auto_file file = image_file();
    g_autoptr(GuestMemory) mem = guest_mem_new(NULL);
    g_autoptr(GError) error = NULL;
    const RamBackendConfig config = {.id = "m", .kind = RAM_MEMFD, .size = MIB, .shared = true};
    RamBackend *backend = guest_mem_add_backend(mem, &config, &error);
    uint8_t byte;

    ck_assert(guest_mem_add_block(mem, backend, 0, GPA(0), MIB, &error));
    ck_assert(load(mem, GPA(0x10000), &file, 0, IMAGE_BYTES, &error));
    check_image(mem, 0x10000, 0);
    ck_assert(fd_pread_all(backend->fd, "m", &byte, 1, 0x10001, &error)); /* others see it */
    ck_assert_uint_eq(byte, 7);
}
END_TEST

START_TEST(a_file_that_does_not_fit_is_named)
{
    auto_file file = image_file();
    g_autoptr(GuestMemory) mem = guest_mem_new(NULL);
    g_autoptr(GError) error = NULL;

    ck_assert(guest_mem_add_plain(mem, MIB, &error));
    ck_assert(!load(mem, GPA(MIB - PAGE_BYTES), &file, 0, IMAGE_BYTES, &error));
    ck_assert_str_eq(error->message,
                     "kernel: guest range 0xff000 +0x3064 is not in one block of RAM");
}
END_TEST

/* Mapped, the missing pages would be a SIGBUS at the guest's first touch. */
START_TEST(a_file_that_ends_early_is_refused)
{
    auto_file file = image_file();
    g_autoptr(GuestMemory) mem = guest_mem_new(NULL);
    const uint64_t lengths[] = {4 * PAGE_BYTES, 64 * PAGE_BYTES, IMAGE_BYTES + 1};

    ck_assert(guest_mem_add_plain(mem, MIB, NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *why =
            g_strdup_printf("kernel: ends at %d, %" G_GUINT64_FORMAT " bytes early",
                            (int)IMAGE_BYTES, lengths[i] - IMAGE_BYTES);

        ck_assert(!load(mem, GPA(0x10000), &file, 0, lengths[i], &error));
        ck_assert_int_eq(error->code, VMM_ERROR_WIRE);
        ck_assert_str_eq(error->message, why);
    }
}
END_TEST

START_TEST(cleared_memory_reads_as_zeroes)
{
    auto_file file = image_file();
    const RamBackendConfig configs[] = {
        anonymous(MIB),
        {.id = "m", .kind = RAM_MEMFD, .size = MIB, .shared = true},
        {.id = "m", .kind = RAM_MEMFD, .size = MIB},
    };
    g_autoptr(GuestMemory) mem = guest_mem_new(NULL);
    g_autoptr(GError) error = NULL;
    RamBackend *backend = guest_mem_add_backend(mem, &configs[_i], &error);

    ck_assert(guest_mem_add_block(mem, backend, 0, GPA(0), MIB, &error));
    ck_assert(load(mem, GPA(0x10000), &file, 0, IMAGE_BYTES, &error));
    ck_assert(guest_mem_write(mem, GPA(MIB - 1), "x", 1, &error));
    ck_assert(guest_mem_clear(mem, &error));
    for (size_t i = 0; i < MIB; i++) {
        if (backend->hva[i] != 0) {
            ck_abort_msg("byte %zu is %u", i, backend->hva[i]);
        }
    }
    ck_assert(guest_mem_write(mem, GPA(0x10000), "y", 1, &error));
    ck_assert_uint_eq(backend->hva[0x10000], 'y');
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("memory");

    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, anonymous_memory_is_zero_and_starts_on_a_huge_page_border);
    tcase_add_loop_test(tc, shared_memory_can_be_mapped_by_another, 0, 2);
    tcase_add_test(tc, private_memory_leaves_its_file_alone);
    tcase_add_test(tc, shared_memory_writes_to_its_file);
    tcase_add_test(tc, a_folder_gets_a_file_that_nobody_sees);
    tcase_add_test(tc, a_read_only_file_serves_private_memory);
    tcase_add_loop_test(tc, preallocated_memory_is_there, 0, 4);
    tcase_add_test(tc, what_cannot_be_is_refused_in_words);
    tcase_add_loop_test(tc, a_file_that_is_too_short_is_refused, 0, 2);
    tcase_add_test(tc, blocks_are_sorted_and_counted);
    tcase_add_test(tc, blocks_that_cannot_be_are_refused);
    tcase_add_test(tc, the_door_opens_only_to_what_lies_in_one_block);
    tcase_add_test(tc, read_only_memory_is_not_written);
    tcase_add_test(tc, copies_cross_from_block_to_block_but_not_over_a_hole);
    tcase_add_test(tc, whole_pages_of_a_file_are_mapped_not_read);
    tcase_add_test(tc, what_does_not_line_up_is_read);
    tcase_add_test(tc, shared_memory_is_read_into_not_mapped_over);
    tcase_add_test(tc, a_file_that_does_not_fit_is_named);
    tcase_add_test(tc, a_file_that_ends_early_is_refused);
    tcase_add_loop_test(tc, cleared_memory_reads_as_zeroes, 0, 3);
    return suite_run("memory", tc);
}

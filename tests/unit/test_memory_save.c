/* SPDX-License-Identifier: Apache-2.0 */
#include "migration/memory_save.h"

#include "hypervisor/ram_backend.h"
#include "tests/support/template_sample.h"
#include "tests/unit/suite.h"
#include "util/bytes.h"
#include "util/error.h"
#include "util/fd.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define RAM_BYTES (16 * MIB)
#define RAM_PAGES (RAM_BYTES / PAGE_BYTES)

/* One backend and the file it goes to. */
typedef struct Rig {
    GuestMemory *memory;
    RamBackend *ram[1];
    TemplateMap *map;
    int fd;
    PageMap *pages;
    atomic_bool cancelled;
    TemplateProgress progress;
    MemorySave save;
} Rig;

static bool write_to_file(void *opaque, const MemoryRun *run, GError **error)
{
    const Rig *rig = opaque;

    return fd_pwrite_all(rig->fd, "memory", run->data, run->len, run->offset, error);
}

static void rig_init(Rig *rig, const RamBackendConfig *config, PageMapMethod method)
{
    g_autoptr(GError) error = NULL;

    memset(rig, 0, sizeof(*rig));
    rig->memory = guest_mem_new(NULL);
    rig->ram[0] = guest_mem_add_backend(rig->memory, config, &error);
    ck_assert_msg(rig->ram[0] != NULL, "%s", error ? error->message : "");
    ck_assert(guest_mem_add_block(rig->memory, rig->ram[0], 0, GPA(0), config->size, &error));
    rig->map = template_map_new();
    template_map_add(rig->map, config->id, config->size, true);
    template_map_lay_out(rig->map);
    rig->fd = memfd_create("memory", MFD_CLOEXEC);
    ck_assert_int_eq(ftruncate(rig->fd, (off_t)rig->map->length), 0);
    rig->pages = page_map_new(method);
    rig->save = (MemorySave){
        .write = write_to_file,
        .opaque = rig,
        .map = rig->map,
        .ram = rig->ram,
        .pages = rig->pages,
        .threads = 2,
        .cancelled = &rig->cancelled,
        .progress = &rig->progress,
    };
}

static void rig_fini(Rig *rig)
{
    page_map_free(rig->pages);
    fd_close(&rig->fd);
    template_map_free(rig->map);
    guest_mem_free(rig->memory);
}

static void run(Rig *rig)
{
    g_autoptr(GError) error = NULL;

    ck_assert_msg(memory_save_run(&rig->save, &error), "%s", error ? error->message : "");
}

static uint8_t *ram_page(const Rig *rig, uint64_t page)
{
    return rig->ram[0]->hva + page * PAGE_BYTES;
}

/* The file holds what RAM holds, and as many pages as were counted; checksums fit. */
static void check_equal(const Rig *rig)
{
    g_autofree uint8_t *content = g_malloc(RAM_BYTES);
    g_autoptr(GError) error = NULL;
    struct stat st;

    ck_assert(fd_pread_all(rig->fd, "memory", content, RAM_BYTES, 0, &error));
    ck_assert_int_eq(memcmp(content, rig->ram[0]->hva, RAM_BYTES), 0);
    ck_assert_int_eq(fstat(rig->fd, &st), 0);
    ck_assert_uint_eq((uint64_t)st.st_blocks * 512,
                      atomic_load(&rig->progress.normal) * PAGE_BYTES);
    ck_assert_uint_eq(atomic_load(&rig->progress.transferred), RAM_BYTES);
    ck_assert_uint_eq(atomic_load(&rig->progress.normal) + atomic_load(&rig->progress.duplicate),
                      RAM_PAGES);
    ck_assert(memory_verify_run(rig->fd, "memory", rig->map, &error));
}

static const RamBackendConfig anonymous = {.id = "ram", .kind = RAM_ANONYMOUS, .size = RAM_BYTES};
static const RamBackendConfig memfd = {
    .id = "ram", .kind = RAM_MEMFD, .size = RAM_BYTES, .shared = true};
static const RamBackendConfig private_memfd = {.id = "ram", .kind = RAM_MEMFD, .size = RAM_BYTES};
static const RamBackendConfig *const kinds[] = {&anonymous, &memfd, &private_memfd};
static const PageMapMethod methods[] = {PAGE_MAP_BEST, PAGE_MAP_READ, PAGE_MAP_BLIND};

#define NUM_WAYS ((int)(G_N_ELEMENTS(kinds) * G_N_ELEMENTS(methods)))

START_TEST(only_pages_with_content_are_written_whatever_the_ram_is)
{
    Rig rig;

    rig_init(&rig, kinds[_i / 3], methods[_i % 3]);
    sample_fill(rig.memory, 0, 3, 1);
    sample_fill(rig.memory, 255, 3, 1);
    sample_fill(rig.memory, 1000, 700, 1);
    sample_fill(rig.memory, RAM_PAGES - 1, 1, 1);
    memset(ram_page(&rig, 1300), 0, PAGE_BYTES); /* written, and zero again */
    ram_page(&rig, 2000)[PAGE_BYTES - 1] = 1;
    run(&rig);
    check_equal(&rig);
    ck_assert_uint_eq(atomic_load(&rig.progress.normal), 3 + 3 + 699 + 1 + 1);
    rig_fini(&rig);
}
END_TEST

static size_t resident_pages(const uint8_t *hva)
{
    g_autofree unsigned char *pages = g_malloc0(RAM_PAGES);
    size_t count = 0;

    ck_assert_int_eq(mincore((void *)(uintptr_t)hva, RAM_BYTES, pages), 0);
    for (size_t i = 0; i < RAM_PAGES; i++) {
        count += pages[i] & 1;
    }
    return count;
}

START_TEST(memory_that_nobody_touched_is_not_touched_by_the_save)
{
    Rig rig;
    size_t before;

    rig_init(&rig, kinds[_i], PAGE_MAP_BEST);
    madvise(rig.ram[0]->hva, RAM_BYTES, MADV_NOHUGEPAGE);
    sample_fill(rig.memory, 100, 5, 1);
    before = resident_pages(rig.ram[0]->hva);
    run(&rig);
    ck_assert_uint_eq(resident_pages(rig.ram[0]->hva), before);
    check_equal(&rig);
    rig_fini(&rig);
}
END_TEST

START_TEST(a_mapped_image_is_saved_with_its_holes_and_changes)
{
    Rig first;
    Rig second;

    rig_init(&first, &anonymous, PAGE_MAP_BEST);
    sample_fill(first.memory, 50, 10, 1);
    run(&first);

    const RamImage image = {
        .fd = first.fd, .name = "memory", .size = RAM_BYTES, .mode = RAM_IMAGE_MAP};
    RamBackendConfig mapped = anonymous;

    mapped.image = &image;
    rig_init(&second, &mapped, methods[_i]);
    sample_fill(second.memory, 55, 1, 2);
    sample_fill(second.memory, 2000, 2, 2);
    memset(ram_page(&second, 50), 0, PAGE_BYTES);
    ck_assert(page_is_zero(ram_page(&second, 3000), PAGE_BYTES)); /* a hole that was read */
    run(&second);
    ck_assert(sample_has(second.memory, 51, 4, 1));
    ck_assert(sample_has(second.memory, 56, 4, 1));
    ck_assert_uint_eq(atomic_load(&second.progress.normal), 9 + 2);
    check_equal(&second);
    rig_fini(&second);
    rig_fini(&first);
}
END_TEST

START_TEST(a_kernel_that_is_mapped_and_was_never_read_is_saved)
{
    g_autofree uint8_t *kernel = g_malloc(64 * PAGE_BYTES);
    auto_fd int fd = memfd_create("kernel", MFD_CLOEXEC);
    g_autoptr(GError) error = NULL;
    Rig rig;

    memset(kernel, 0x90, 64 * PAGE_BYTES);
    ck_assert(fd_write_all(fd, "kernel", kernel, 64 * PAGE_BYTES, &error));
    rig_init(&rig, &anonymous, PAGE_MAP_BEST);

    const FilePart part = {.fd = fd, .name = "kernel", .len = 63 * PAGE_BYTES + 5};

    ck_assert(guest_mem_load_file(rig.memory, GPA(MIB), &part, &error));
    run(&rig);
    ck_assert_uint_eq(atomic_load(&rig.progress.normal), 64);
    check_equal(&rig);
    rig_fini(&rig);
}
END_TEST

START_TEST(many_threads_write_the_same_file_as_one)
{
    static const unsigned threads[] = {1, 3, 16, 200};
    Rig rig;
    uint32_t sums[RAM_BYTES / MIB];

    rig_init(&rig, &anonymous, PAGE_MAP_BEST);
    sample_fill(rig.memory, 7, RAM_PAGES - 100, 3);
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++) {
        memset(rig.map->checksums, 0, sizeof(sums));
        memset(&rig.progress, 0, sizeof(rig.progress));
        rig.save.threads = threads[i];
        run(&rig);
        check_equal(&rig);
        if (i > 0) {
            ck_assert_mem_eq(sums, rig.map->checksums, sizeof(sums));
        }
        memcpy(sums, rig.map->checksums, sizeof(sums));
    }
    rig_fini(&rig);
}
END_TEST

START_TEST(a_bandwidth_is_kept)
{
    Rig rig;
    gint64 start = g_get_monotonic_time();

    rig_init(&rig, &anonymous, PAGE_MAP_BEST);
    sample_fill(rig.memory, 0, 1024, 1);
    rig.save.bandwidth = 20 * MIB;
    run(&rig);
    /* 4 MiB at 20 MiB/s; the last piece of each thread is not waited for. */
    ck_assert_int_ge(g_get_monotonic_time() - start, 150000);
    check_equal(&rig);
    rig_fini(&rig);
}
END_TEST

static void *cancel_when_it_writes(void *opaque)
{
    Rig *rig = opaque;

    while (atomic_load(&rig->progress.bytes_written) == 0) {
        g_thread_yield();
    }
    atomic_store(&rig->cancelled, true);
    return GSIZE_TO_POINTER((gsize)g_get_monotonic_time());
}

START_TEST(a_cancel_ends_a_slow_save_at_once)
{
    g_autoptr(GError) error = NULL;
    Rig rig;
    GThread *thread;
    gint64 cancelled_us;

    rig_init(&rig, &anonymous, PAGE_MAP_BEST);
    sample_fill(rig.memory, 0, RAM_PAGES, 1);
    rig.save.bandwidth = 64 * KIB; /* minutes */
    thread = g_thread_new("cancel", cancel_when_it_writes, &rig);
    ck_assert(!memory_save_run(&rig.save, &error));
    cancelled_us = (gint64)GPOINTER_TO_SIZE(g_thread_join(thread));
    ck_assert(g_error_matches(error, VMM_ERROR, VMM_ERROR_STATE));
    ck_assert_str_eq(error->message, "the save was cancelled");
    ck_assert_int_lt(g_get_monotonic_time() - cancelled_us, 500000);
    rig_fini(&rig);
}
END_TEST

START_TEST(a_file_that_cannot_be_written_ends_the_save_with_its_name)
{
    g_autoptr(GError) error = NULL;
    Rig rig;

    rig_init(&rig, &anonymous, PAGE_MAP_BEST);
    sample_fill(rig.memory, 0, 1000, 1);
    fd_close(&rig.fd);
    rig.fd = open("/dev/full", O_RDONLY | O_CLOEXEC);
    ck_assert(!memory_save_run(&rig.save, &error));
    ck_assert_ptr_nonnull(strstr(error->message, "memory: write "));
    rig_fini(&rig);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("memory_save");

    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, only_pages_with_content_are_written_whatever_the_ram_is, 0, NUM_WAYS);
    tcase_add_loop_test(tc, memory_that_nobody_touched_is_not_touched_by_the_save, 0,
                        G_N_ELEMENTS(kinds));
    tcase_add_loop_test(tc, a_mapped_image_is_saved_with_its_holes_and_changes, 0,
                        G_N_ELEMENTS(methods));
    tcase_add_test(tc, a_kernel_that_is_mapped_and_was_never_read_is_saved);
    tcase_add_test(tc, many_threads_write_the_same_file_as_one);
    tcase_add_test(tc, a_bandwidth_is_kept);
    tcase_add_test(tc, a_cancel_ends_a_slow_save_at_once);
    tcase_add_test(tc, a_file_that_cannot_be_written_ends_the_save_with_its_name);
    return suite_run("memory_save", tc);
}

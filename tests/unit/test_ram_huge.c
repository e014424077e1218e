/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest RAM in huge pages that the host has set aside.  Skipped, with status 77 and the reason, where
 * there are too few of them.
 */
#include "hypervisor/ram_backend.h"
#include "tests/unit/suite.h"
#include "util/bytes.h"

#include <mntent.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#define SKIP       77
#define HUGE_BYTES (2 * MIB)
#define POOL       "/sys/kernel/mm/hugepages/hugepages-2048kB/"
#define NEEDED     4u /* pages */
#define RAM_BYTES  (2 * HUGE_BYTES)

static uint64_t pool_count(const char *name)
{
    g_autofree char *path = g_build_filename(POOL, name, NULL);
    g_autofree char *text = NULL;

    return g_file_get_contents(path, &text, NULL, NULL) ? g_ascii_strtoull(text, NULL, 10) : 0;
}

/* Set aside, and promised to nobody. */
static uint64_t unclaimed_pages(void)
{
    return pool_count("free_hugepages") - pool_count("resv_hugepages");
}

static RamBackendConfig huge(uint64_t size)
{
    return (RamBackendConfig){
        .id = "ram", .kind = RAM_MEMFD, .size = size, .huge_page_size = HUGE_BYTES};
}

static RamBackend *make(const RamBackendConfig *config)
{
    g_autoptr(GError) error = NULL;
    RamBackend *backend = ram_backend_new(config, &error);

    ck_assert_msg(backend != NULL, "%s", error ? error->message : "");
    return backend;
}

/* A folder where a hugetlbfs of 2 MiB pages is mounted and can be written to, or NULL. */
static char *find_mount(void)
{
    FILE *mounts = setmntent("/proc/self/mounts", "r");
    char *found = NULL;

    for (struct mntent *m; mounts && !found && (m = getmntent(mounts));) {
        struct statfs fs;

        if (strcmp(m->mnt_type, "hugetlbfs") == 0 && access(m->mnt_dir, W_OK) == 0 &&
            statfs(m->mnt_dir, &fs) == 0 && (uint64_t)fs.f_bsize == HUGE_BYTES) {
            found = g_strdup(m->mnt_dir);
        }
    }
    if (mounts) {
        endmntent(mounts);
    }
    return found;
}

static void assert_is_huge(const RamBackend *backend, uint64_t free_before, uint64_t pages)
{
    ck_assert_uint_eq(backend->page_size, HUGE_BYTES);
    ck_assert_uint_eq((uintptr_t)backend->hva % HUGE_BYTES, 0);
    memset(backend->hva, 0x5a, backend->size);
    ck_assert_uint_eq(free_before - pool_count("free_hugepages"), pages);
}

START_TEST(a_memfd_takes_its_pages_from_the_pool_and_gives_them_back)
{
    uint64_t before = pool_count("free_hugepages");
    RamBackendConfig config = huge(RAM_BYTES);

    config.shared = _i == 0;
    {
        g_autoptr(RamBackend) backend = make(&config);

        assert_is_huge(backend, before, RAM_BYTES / HUGE_BYTES);
    }
    ck_assert_uint_eq(pool_count("free_hugepages"), before);
    ck_assert_uint_eq(pool_count("resv_hugepages"), 0);
}
END_TEST

START_TEST(a_size_of_no_whole_huge_pages_has_one_more)
{
    uint64_t before = pool_count("free_hugepages");
    const RamBackendConfig config = huge(HUGE_BYTES + PAGE_BYTES);
    g_autoptr(RamBackend) backend = make(&config);

    ck_assert_uint_eq(backend->size, HUGE_BYTES + PAGE_BYTES);
    assert_is_huge(backend, before, 2);
}
END_TEST

START_TEST(pages_are_promised_before_they_are_touched)
{
    uint64_t before = unclaimed_pages();
    const RamBackendConfig config = huge(RAM_BYTES);
    g_autoptr(RamBackend) backend = make(&config);

    ck_assert_ptr_nonnull(backend);
    ck_assert_uint_eq(unclaimed_pages(), before - RAM_BYTES / HUGE_BYTES);
}
END_TEST

/* A guest that ran into the end of the pool would be killed in the middle of its work. */
START_TEST(more_than_the_pool_has_is_refused_at_once)
{
    const RamBackendConfig config = huge((unclaimed_pages() + 1) * HUGE_BYTES);
    g_autoptr(GError) error = NULL;

    if (pool_count("nr_overcommit_hugepages") > 0) {
        return; /* this host finds more pages when it needs them */
    }
    ck_assert_ptr_null(ram_backend_new(&config, &error));
    ck_assert_ptr_nonnull(strstr(error->message, "memory ram: map "));
    ck_assert_ptr_nonnull(strstr(error->message, "Cannot allocate memory"));
}
END_TEST

START_TEST(preallocation_takes_the_pages_at_once)
{
    uint64_t before = pool_count("free_hugepages");
    RamBackendConfig config = huge(RAM_BYTES);

    config.prealloc = true;

    g_autoptr(RamBackend) backend = make(&config);

    ck_assert_ptr_nonnull(backend);
    ck_assert_uint_eq(pool_count("free_hugepages"), before - RAM_BYTES / HUGE_BYTES);
}
END_TEST

START_TEST(cleared_pages_read_as_zeroes)
{
    RamBackendConfig config = huge(RAM_BYTES);

    config.shared = _i == 0;

    g_autoptr(RamBackend) backend = make(&config);

    memset(backend->hva, 0xff, RAM_BYTES);
    ck_assert(ram_backend_clear(backend, NULL));
    ck_assert_uint_eq(backend->hva[0], 0);
    ck_assert_uint_eq(backend->hva[RAM_BYTES - 1], 0);
}
END_TEST

START_TEST(a_folder_of_huge_pages_gives_huge_pages)
{
    uint64_t before = pool_count("free_hugepages");
    g_autofree char *folder = find_mount();
    const RamBackendConfig config = {
        .id = "ram", .kind = RAM_FILE, .size = RAM_BYTES, .path = folder, .shared = true};

    if (!folder) {
        return; /* main has said so */
    }

    g_autoptr(RamBackend) backend = make(&config);

    assert_is_huge(backend, before, RAM_BYTES / HUGE_BYTES);
}
END_TEST

START_TEST(an_offset_within_a_huge_page_is_refused)
{
    g_autofree char *folder = find_mount();
    g_autoptr(GError) error = NULL;
    const RamBackendConfig config = {
        .id = "ram", .kind = RAM_FILE, .size = RAM_BYTES, .path = folder, .offset = PAGE_BYTES};

    if (!folder) {
        return;
    }
    ck_assert_ptr_null(ram_backend_new(&config, &error));
    ck_assert_ptr_nonnull(strstr(error->message, "is not a multiple of the page size 2097152"));
}
END_TEST

int main(void)
{
    g_autofree char *folder = find_mount();
    TCase *tc;

    if (unclaimed_pages() < NEEDED) {
        printf("skipped: %" G_GUINT64_FORMAT " free huge pages of 2 MiB, %u are needed "
               "(/proc/sys/vm/nr_hugepages)\n",
               unclaimed_pages(), NEEDED);
        return SKIP;
    }
    tc = tcase_create("ram_huge");
    tcase_add_loop_test(tc, a_memfd_takes_its_pages_from_the_pool_and_gives_them_back, 0, 2);
    tcase_add_test(tc, a_size_of_no_whole_huge_pages_has_one_more);
    tcase_add_test(tc, pages_are_promised_before_they_are_touched);
    tcase_add_test(tc, more_than_the_pool_has_is_refused_at_once);
    tcase_add_test(tc, preallocation_takes_the_pages_at_once);
    tcase_add_loop_test(tc, cleared_pages_read_as_zeroes, 0, 2);
    tcase_add_test(tc, a_folder_of_huge_pages_gives_huge_pages);
    tcase_add_test(tc, an_offset_within_a_huge_page_is_refused);

    int status = suite_run("ram_huge", tc);

    if (status == EXIT_SUCCESS && !folder) {
        puts("skipped: no hugetlbfs of 2 MiB pages is mounted; memfds passed");
        return SKIP;
    }
    return status;
}

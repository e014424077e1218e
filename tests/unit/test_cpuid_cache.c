/* SPDX-License-Identifier: Apache-2.0 */
#include "hypervisor/x86/cpuid_cache.h"

#include "tests/unit/suite.h"
#include "util/fd.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define ENTRIES 3u

/* A folder of its own, and a file that stands for /dev/kvm: only its identity counts. */
typedef struct Place {
    char *folder;
    char *file;
    int kvm_fd;
    struct kvm_cpuid2 *table;
} Place;

static struct kvm_cpuid2 *table_new(void)
{
    return g_malloc0(sizeof(struct kvm_cpuid2) + ENTRIES * sizeof(struct kvm_cpuid_entry2));
}

static void place_init(Place *place)
{
    place->folder = g_dir_make_tmp("cpuid-XXXXXX", NULL);
    ck_assert_ptr_nonnull(place->folder);
    place->file = g_build_filename(place->folder, "stencil-cpuid", NULL);
    place->kvm_fd = memfd_create("kvm", MFD_CLOEXEC);
    place->table = table_new();
    place->table->nent = ENTRIES;
    for (uint32_t i = 0; i < ENTRIES; i++) {
        place->table->entries[i] = (struct kvm_cpuid_entry2){.function = i, .eax = i * 7 + 1};
    }
    cpuid_cache_save(place->folder, place->kvm_fd, place->table);
}

static void place_fini(Place *place)
{
    unlink(place->file);
    ck_assert_int_eq(rmdir(place->folder), 0); /* and nothing else was left in it */
    g_free(place->folder);
    g_free(place->file);
    fd_close(&place->kvm_fd);
    g_free(place->table);
}

static bool loads(const Place *place, int kvm_fd)
{
    g_autofree struct kvm_cpuid2 *table = table_new();

    return cpuid_cache_load(place->folder, kvm_fd, table, ENTRIES);
}

START_TEST(what_was_saved_is_loaded)
{
    g_autofree struct kvm_cpuid2 *table = table_new();
    Place place;

    place_init(&place);
    ck_assert(cpuid_cache_load(place.folder, place.kvm_fd, table, ENTRIES));
    ck_assert_uint_eq(table->nent, ENTRIES);
    ck_assert_mem_eq(table->entries, place.table->entries, ENTRIES * sizeof(table->entries[0]));
    ck_assert(!cpuid_cache_load(place.folder, place.kvm_fd, table, ENTRIES - 1));
    place_fini(&place);
}
END_TEST

START_TEST(another_kvm_node_is_asked_again)
{
    auto_fd int other = memfd_create("kvm", MFD_CLOEXEC);
    Place place;

    place_init(&place);
    ck_assert(loads(&place, place.kvm_fd));
    ck_assert(!loads(&place, other));
    place_fini(&place);
}
END_TEST

START_TEST(file_that_others_can_write_does_not_count)
{
    Place place;

    place_init(&place);
    ck_assert_int_eq(chmod(place.file, 0620), 0);
    ck_assert(!loads(&place, place.kvm_fd));
    ck_assert_int_eq(chmod(place.file, 0644), 0);
    ck_assert(loads(&place, place.kvm_fd));
    place_fini(&place);
}
END_TEST

START_TEST(every_flipped_byte_and_every_truncation_is_refused)
{
    g_autofree char *good = NULL;
    gsize len;
    Place place;

    place_init(&place);
    ck_assert(g_file_get_contents(place.file, &good, &len, NULL));
    for (gsize i = 0; i < len; i++) {
        auto_fd int fd = open(place.file, O_RDWR | O_CLOEXEC);
        char bad = (char)(good[i] ^ 0x10);

        ck_assert_int_eq(pwrite(fd, &bad, 1, (off_t)i), 1);
        ck_assert_msg(!loads(&place, place.kvm_fd), "byte %zu", (size_t)i);
        ck_assert_int_eq(pwrite(fd, &good[i], 1, (off_t)i), 1);
    }
    ck_assert(loads(&place, place.kvm_fd));
    for (gsize i = len; i-- > 0;) {
        ck_assert_int_eq(truncate(place.file, (off_t)i), 0);
        ck_assert(!loads(&place, place.kvm_fd));
    }
    place_fini(&place);
}
END_TEST

START_TEST(folder_that_cannot_be_used_is_no_error)
{
    g_autofree struct kvm_cpuid2 *table = table_new();

    table->nent = 1;
    cpuid_cache_save("/nonexistent", STDIN_FILENO, table);
    cpuid_cache_save("relative", STDIN_FILENO, table);
    ck_assert(!cpuid_cache_load("/nonexistent", STDIN_FILENO, table, ENTRIES));
    ck_assert(!cpuid_cache_load("relative", STDIN_FILENO, table, ENTRIES));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("cpuid_cache");

    tcase_add_test(tc, what_was_saved_is_loaded);
    tcase_add_test(tc, another_kvm_node_is_asked_again);
    tcase_add_test(tc, file_that_others_can_write_does_not_count);
    tcase_add_test(tc, every_flipped_byte_and_every_truncation_is_refused);
    tcase_add_test(tc, folder_that_cannot_be_used_is_no_error);
    return suite_run("cpuid_cache", tc);
}

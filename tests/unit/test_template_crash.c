/* SPDX-License-Identifier: Apache-2.0 */
/* Saves over a template that go wrong at every point: the old one or the new one is there, whole. */
#include "migration/template.h"

#include "migration/template_dir.h"
#include "tests/support/template_sample.h"
#include "tests/unit/suite.h"
#include "util/bytes.h"
#include "util/error.h"
#include "util/fault.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RAM_BYTES  (2 * MIB)
#define FIRST_PAGE 10
#define NUM_PAGES  40

static const RamBackendConfig plain_ram = {.id = "ram", .kind = RAM_ANONYMOUS, .size = RAM_BYTES};

static bool save_seed(const char *dir, uint32_t seed, GError **error)
{
    g_autoptr(GuestMemory) memory = sample_memory(RAM_BYTES);
    g_autofree char *text = g_strdup_printf("%u", seed);

    sample_fill(memory, FIRST_PAGE, NUM_PAGES, seed);
    return sample_save_all(dir, memory, text, error);
}

/* The seed of the template in dir, all of which must be of that seed. */
static uint32_t restored_seed(const char *dir)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = sample_config(dir, &error);
    g_autoptr(GuestMemory) memory = sample_restore(dir, &plain_ram, &error);
    uint32_t seed;

    ck_assert_msg(text && memory, "%s", error ? error->message : "");
    seed = (uint32_t)strtoul(text, NULL, 10);
    ck_assert_msg(sample_has(memory, FIRST_PAGE, NUM_PAGES, seed), "state %u has another's memory",
                  seed);

    g_autoptr(TemplateReader) reader = template_reader_open(dir, &error);

    ck_assert(template_verify_memory(reader, &error));
    return seed;
}

static void must_save(const char *dir, uint32_t seed)
{
    g_autoptr(GError) error = NULL;

    ck_assert_msg(save_seed(dir, seed, &error), "%s", error ? error->message : "");
    ck_assert_uint_eq(restored_seed(dir), seed);
}

static void check_listing(const char *dir, const char *expected)
{
    g_autofree char *names = temp_dir_list(dir);

    ck_assert_str_eq(names, expected);
}

/* A save of new_seed over old_seed must fail, say so, and leave nothing behind. */
static void check_old_survives(const char *dir, uint32_t old_seed, const char *fragment)
{
    g_autoptr(GError) error = NULL;

    ck_assert(!save_seed(dir, old_seed + 1, &error));
    ck_assert_msg(strstr(error->message, fragment) && strstr(error->message, dir),
                  "'%s' does not say '%s' and '%s'", error->message, fragment, dir);
    ck_assert_uint_eq(restored_seed(dir), old_seed);
    check_listing(dir, "memory state");
}

/* --- killed --- */

#define NUM_KILLS 500

static void save_for_ever(const char *dir)
{
    for (uint32_t seed = 1;; seed++) {
        if (!save_seed(dir, seed, NULL)) {
            _exit(EXIT_FAILURE);
        }
    }
}

START_TEST(a_kill_at_any_instant_leaves_one_whole_template)
{
    auto_dir dir = temp_dir_new();
    g_autoptr(GRand) rand = g_rand_new_with_seed(4);
    unsigned unfinished = 0;

    must_save(dir.path, 1);
    for (unsigned i = 0; i < NUM_KILLS; i++) {
        pid_t child = fork();
        int status;

        if (child == 0) {
            save_for_ever(dir.path);
        }
        /* No event to wait for: it is the instant that is to be anyone. */
        nanosleep(&(struct timespec){.tv_nsec = g_rand_int_range(rand, 0, 4000000)}, NULL);
        ck_assert_int_eq(kill(child, SIGKILL), 0);
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert(WIFSIGNALED(status));
        ck_assert_uint_ge(restored_seed(dir.path), 1);

        g_autofree char *names = temp_dir_list(dir.path);

        unfinished += strcmp(names, "memory state") != 0;
    }
    ck_assert_uint_gt(unfinished, 0); /* else nobody was killed while he wrote */
    must_save(dir.path, 77);
    check_listing(dir.path, "memory state");
}
END_TEST

/* What a death between the two renames leaves: state is new, its memory has the hidden name. */
static void make_half_published(const TempDir *dir, const TempDir *other)
{
    g_autofree char *state = temp_dir_file(dir, "state");
    g_autofree char *new_state = temp_dir_file(other, "state");
    g_autofree char *new_memory = temp_dir_file(other, "memory");
    g_autoptr(TemplateReader) reader = template_reader_open(other->path, NULL);
    g_autofree char *hidden = template_dir_hidden_memory(template_reader_identity(reader));
    g_autofree char *target = temp_dir_file(dir, hidden);

    ck_assert_int_eq(g_rename(new_memory, target), 0);
    ck_assert_int_eq(g_rename(new_state, state), 0);
}

START_TEST(a_state_finds_its_memory_under_the_hidden_name)
{
    auto_dir dir = temp_dir_new();
    auto_dir other = temp_dir_new();

    must_save(dir.path, 1);
    must_save(other.path, 2);
    make_half_published(&dir, &other);
    ck_assert_uint_eq(restored_seed(dir.path), 2);
}
END_TEST

START_TEST(the_next_save_finishes_what_was_half_published)
{
    auto_dir dir = temp_dir_new();
    auto_dir other = temp_dir_new();
    TemplateSaveParams params = sample_params(dir.path);
    g_autoptr(GuestMemory) memory = sample_memory(RAM_BYTES);

    must_save(dir.path, 1);
    must_save(other.path, 2);
    make_half_published(&dir, &other);

    TemplateSave *save = sample_save(&params, memory, "3");

    ck_assert_uint_eq(restored_seed(dir.path), 2);
    template_save_free(save); /* never run */
    ck_assert_uint_eq(restored_seed(dir.path), 2);
    check_listing(dir.path, "memory state");
}
END_TEST

START_TEST(left_over_files_go_and_all_others_stay)
{
    static const char *const ours[] = {
        ".stencil-01234567-89ab-4cde-8f01-23456789abcd.memory",
        ".stencil-01234567-89ab-4cde-8f01-23456789abcd.state",
    };
    static const char *const others[] = {
        ".stencil-01234567-89ab-4cde-8f01-23456789abcd.memory.bak",
        ".stencil-notes.memory",
        "disk.img",
    };
    auto_dir dir = temp_dir_new();

    for (size_t i = 0; i < G_N_ELEMENTS(ours); i++) {
        g_autofree char *path = temp_dir_file(&dir, ours[i]);

        ck_assert(g_file_set_contents(path, "x", 1, NULL));
    }
    for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
        g_autofree char *path = temp_dir_file(&dir, others[i]);

        ck_assert(g_file_set_contents(path, "x", 1, NULL));
    }
    must_save(dir.path, 1);
    check_listing(dir.path,
                  ".stencil-01234567-89ab-4cde-8f01-23456789abcd.memory.bak .stencil-notes.memory "
                  "disk.img memory state");
}
END_TEST

/* --- cancelled, or given up --- */

START_TEST(a_cancelled_save_leaves_nothing)
{
    auto_dir dir = temp_dir_new();
    g_autofree char *fresh = temp_dir_file(&dir, "fresh");
    const char *const targets[] = {dir.path, fresh};
    g_autoptr(GuestMemory) memory = sample_memory(RAM_BYTES);

    must_save(dir.path, 1);
    for (size_t i = 0; i < G_N_ELEMENTS(targets); i++) {
        TemplateSaveParams params = sample_params(targets[i]);
        TemplateSave *save = sample_save(&params, memory, "2");
        g_autoptr(GError) error = NULL;

        template_save_cancel(save);
        ck_assert(!template_save_run(save, &error));
        ck_assert(g_error_matches(error, VMM_ERROR, VMM_ERROR_STATE));
        template_save_free(save);
    }
    ck_assert_uint_eq(restored_seed(dir.path), 1);
    check_listing(dir.path, "memory state");
}
END_TEST

START_TEST(one_save_at_a_time_goes_into_a_folder)
{
    auto_dir dir = temp_dir_new();
    TemplateSaveParams params = sample_params(dir.path);
    g_autoptr(GuestMemory) memory = sample_memory(RAM_BYTES);
    TemplateSave *save = sample_save(&params, memory, "1");
    g_autoptr(GError) error = NULL;

    ck_assert(!save_seed(dir.path, 2, &error));
    ck_assert_ptr_nonnull(strstr(error->message, "another save into it is going on"));
    g_clear_error(&error);
    ck_assert(template_save_run(save, &error));
    template_save_free(save);
    must_save(dir.path, 2);
}
END_TEST

START_TEST(what_is_in_the_way_is_told_before_anything_is_written)
{
    static const char *const names[] = {"state", "memory"};
    auto_dir dir = temp_dir_new();
    g_autoptr(GuestMemory) memory = sample_memory(RAM_BYTES);

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = temp_dir_file(&dir, names[i]);
        TemplateSaveParams params = sample_params(dir.path);
        g_autoptr(GError) error = NULL;

        ck_assert_int_eq(g_mkdir(path, 0700), 0);
        ck_assert_ptr_null(template_save_new(&params, memory, &error));
        ck_assert_ptr_nonnull(strstr(error->message, "is not a regular file"));
        ck_assert_int_eq(g_rmdir(path), 0);
        check_listing(dir.path, "");
    }
}
END_TEST

START_TEST(a_folder_that_vanishes_ends_the_save)
{
    auto_dir dir = temp_dir_new();
    g_autofree char *path = temp_dir_file(&dir, "gone");
    TempDir gone = {.path = g_strdup(path)};
    TemplateSaveParams params = sample_params(path);
    g_autoptr(GuestMemory) memory = sample_memory(RAM_BYTES);
    TemplateSave *save = sample_save(&params, memory, "1");
    g_autoptr(GError) error = NULL;

    temp_dir_remove(&gone);
    ck_assert(!template_save_run(save, &error));
    ck_assert_ptr_nonnull(strstr(error->message, path));
    template_save_free(save);
    check_listing(dir.path, "");
}
END_TEST

/* --- a host that fails --- */

/* A file system of our own; false where we may not make one. */
static bool mount_small(const char *path, const char *options)
{
    return unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("none", path, "tmpfs", 0, options) == 0;
}

START_TEST(a_full_disk_keeps_the_old_template)
{
    auto_dir dir = temp_dir_new();

    if (!mount_small(dir.path, "size=300k")) {
        fprintf(stderr, "not checked: no right to mount\n");
        return;
    }
    must_save(dir.path, 1);
    check_old_survives(dir.path, 1, "No space left on device");
    ck_assert_int_eq(umount(dir.path), 0);
}
END_TEST

START_TEST(a_folder_that_cannot_be_written_keeps_the_old_template)
{
    auto_dir dir = temp_dir_new();

    if (!mount_small(dir.path, NULL)) {
        fprintf(stderr, "not checked: no right to mount\n");
        return;
    }
    must_save(dir.path, 1);
    ck_assert_int_eq(mount("none", dir.path, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
    check_old_survives(dir.path, 1, "Read-only file system");
    ck_assert_int_eq(umount(dir.path), 0);
}
END_TEST

#if defined(STENCIL_FAULT_INJECTION)

static const struct {
    const char *point;
    unsigned nth;
    int err;
} faults[] = {
    {"template-memory-write", 1, ENOSPC},
    {"template-memory-write", 2, EIO},
    {"template-state-write", 1, ENOSPC},
    {"template-sync", 1, EIO},
    {"template-sync", 2, EIO},
    {"template-sync-folder", 1, EIO},
    {"template-rename-state", 1, EIO},
};

static bool synced_save(const char *dir, uint32_t seed, GError **error)
{
    g_autoptr(GuestMemory) memory = sample_memory(RAM_BYTES);
    g_autofree char *text = g_strdup_printf("%u", seed);
    TemplateSaveParams params = sample_params(dir);

    params.sync = true;
    sample_fill(memory, FIRST_PAGE, NUM_PAGES, seed);
    sample_fill(memory, 300, 1, seed);

    g_autoptr(TemplateSave) save = sample_save(&params, memory, text);

    return template_save_run(save, error);
}

START_TEST(a_host_that_fails_before_the_point_of_return_keeps_the_old_template)
{
    auto_dir dir = temp_dir_new();
    g_autoptr(GError) error = NULL;

    must_save(dir.path, 1);
    fault_arm(faults[_i].point, faults[_i].nth, faults[_i].err);
    ck_assert(!synced_save(dir.path, 2, &error));
    fault_arm(NULL, 0, 0);
    ck_assert_ptr_nonnull(strstr(error->message, dir.path));
    ck_assert_ptr_nonnull(strstr(error->message, g_strerror(faults[_i].err)));
    ck_assert_uint_eq(restored_seed(dir.path), 1);
    check_listing(dir.path, "memory state");
    g_clear_error(&error);
    ck_assert(synced_save(dir.path, 2, &error));
    ck_assert_uint_eq(restored_seed(dir.path), 2);
}
END_TEST

static const struct {
    const char *point;
    unsigned nth;
} late_faults[] = {
    {"template-sync-folder", 2}, {"template-rename-memory", 1}, {"template-sync-folder", 3}};

START_TEST(a_host_that_fails_after_it_has_the_new_one_and_says_so)
{
    auto_dir dir = temp_dir_new();
    g_autoptr(GError) error = NULL;

    must_save(dir.path, 1);
    fault_arm(late_faults[_i].point, late_faults[_i].nth, EIO);
    ck_assert(!synced_save(dir.path, 2, &error));
    fault_arm(NULL, 0, 0);
    ck_assert_ptr_nonnull(strstr(error->message, "the new template is in place"));
    ck_assert_uint_eq(restored_seed(dir.path), 2);
    must_save(dir.path, 3);
    check_listing(dir.path, "memory state");
}
END_TEST

#endif

int main(void)
{
    TCase *tc = tcase_create("template_crash");

    tcase_set_timeout(tc, 180);
    tcase_add_test(tc, a_kill_at_any_instant_leaves_one_whole_template);
    tcase_add_test(tc, a_state_finds_its_memory_under_the_hidden_name);
    tcase_add_test(tc, the_next_save_finishes_what_was_half_published);
    tcase_add_test(tc, left_over_files_go_and_all_others_stay);
    tcase_add_test(tc, a_cancelled_save_leaves_nothing);
    tcase_add_test(tc, one_save_at_a_time_goes_into_a_folder);
    tcase_add_test(tc, what_is_in_the_way_is_told_before_anything_is_written);
    tcase_add_test(tc, a_folder_that_vanishes_ends_the_save);
    tcase_add_test(tc, a_full_disk_keeps_the_old_template);
    tcase_add_test(tc, a_folder_that_cannot_be_written_keeps_the_old_template);
#if defined(STENCIL_FAULT_INJECTION)
    tcase_add_loop_test(tc, a_host_that_fails_before_the_point_of_return_keeps_the_old_template, 0,
                        G_N_ELEMENTS(faults));
    tcase_add_loop_test(tc, a_host_that_fails_after_it_has_the_new_one_and_says_so, 0,
                        G_N_ELEMENTS(late_faults));
#endif
    return suite_run("template_crash", tc);
}

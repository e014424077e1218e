/* SPDX-License-Identifier: Apache-2.0 */
/* The places that a stream goes to and comes from: descriptors, files, commands. */
#include "migration/channel.h"

#include "tests/support/template_sample.h"
#include "tests/unit/suite.h"
#include "util/error.h"
#include "util/fd.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static Channel *open_at(const char *text, ChannelDirection direction, GError **error)
{
    const ChannelHost host = {.may_spawn = true};
    g_autoptr(MigrationUri) uri = migration_uri_parse(text, error);

    return uri ? channel_open(uri, direction, &host, error) : NULL;
}

static bool put(const char *text, const char *words, GError **error)
{
    g_autoptr(Channel) channel = open_at(text, CHANNEL_WRITE, error);

    return channel && channel_write(channel, words, strlen(words), error) &&
           channel_finish(channel, /* sync= */ true, error);
}

static bool get(const char *text, char *ret_words, size_t len, GError **error)
{
    g_autoptr(Channel) channel = open_at(text, CHANNEL_READ, error);
    bool ok = channel && channel_read(channel, "it", ret_words, len, error);

    if (channel && !ok) {
        channel_explain(channel, error);
    }
    return ok && channel_finish(channel, /* sync= */ false, error);
}

static void check_message(const GError *error, const char *fragment)
{
    ck_assert_ptr_nonnull(error);
    ck_assert_msg(strstr(error->message, fragment) != NULL, "'%s' does not say '%s'",
                  error->message, fragment);
}

static void check_file(const char *path, const char *expected)
{
    g_autofree char *text = NULL;

    ck_assert(g_file_get_contents(path, &text, NULL, NULL));
    ck_assert_str_eq(text, expected);
}

/* ---- what a URI means ---- */

static const struct {
    const char *text;
    MigrationUriKind kind;
    const char *rest;
    uint64_t offset;
} good[] = {
    {"file:/a/b", MIGRATION_URI_FILE, "/a/b", 0},
    {"file:/a,offset=4096", MIGRATION_URI_FILE, "/a", 4096},
    {"file:/a,offset=0x1000", MIGRATION_URI_FILE, "/a", 4096},
    {"file:/a,offset=1M", MIGRATION_URI_FILE, "/a", 1 << 20},
    {"file:/a,offset=x,offset=3", MIGRATION_URI_FILE, "/a,offset=x", 3},
    {"fd:7", MIGRATION_URI_FD, "7", 0},
    {"fd:migrate", MIGRATION_URI_FD, "migrate", 0},
    {"exec:cat > a,offset=1", MIGRATION_URI_EXEC, "cat > a,offset=1", 0},
};

START_TEST(uris_are_taken_apart)
{
    g_autoptr(MigrationUri) uri = migration_uri_parse(good[_i].text, NULL);

    ck_assert_ptr_nonnull(uri);
    ck_assert_int_eq(uri->kind, good[_i].kind);
    ck_assert_str_eq(uri->text, good[_i].rest);
    ck_assert_uint_eq(uri->offset, good[_i].offset);
}
END_TEST

static const struct {
    const char *text;
    const char *message;
} bad[] = {
    {"bogus:x", "unknown migration protocol: bogus:x"},
    {"", "unknown migration protocol: "},
    {"tcp:0:4444", "'tcp:0:4444': nothing is saved or loaded through tcp: here"},
    {"unix:/s", "nothing is saved or loaded through unix: here"},
    {"rdma:h:1", "nothing is saved or loaded through rdma: here"},
    {"file:/a,offset=zz", "file URI has bad offset zz: Invalid argument"},
    {"file:/a,offset=", "file URI has bad offset : Invalid argument"},
    {"file:/a,offset=9E", "file URI has bad offset 9E: Invalid argument"},
    {"file:", "'file:': expected file:PATH"},
    {"file:,offset=1", "expected file:PATH"},
    {"fd:", "'fd:': expected fd:NUMBER or fd:NAME"},
    {"exec:", "'exec:': expected exec:COMMAND"},
};

START_TEST(uris_that_lead_nowhere_are_refused)
{
    g_autoptr(GError) error = NULL;

    ck_assert_ptr_null(migration_uri_parse(bad[_i].text, &error));
    check_message(error, bad[_i].message);
}
END_TEST

static bool is_folder(const char *path, const char *rest, bool single_file)
{
    g_autofree char *text = g_strconcat("file:", path, rest, NULL);
    g_autoptr(MigrationUri) uri = migration_uri_parse(text, NULL);

    return migration_uri_is_folder(uri, single_file);
}

START_TEST(a_path_is_a_folder_or_a_file)
{
    auto_dir dir = temp_dir_new();
    g_autofree char *file = temp_dir_file(&dir, "file");
    g_autofree char *none = temp_dir_file(&dir, "none");

    ck_assert(g_file_set_contents(file, "", 0, NULL));
    for (int single_file = 0; single_file < 2; single_file++) {
        ck_assert(is_folder(dir.path, "", single_file));
        ck_assert(is_folder(none, "/", single_file));
        ck_assert(!is_folder(file, "", single_file));
        ck_assert(!is_folder(none, ",offset=0", single_file));
        ck_assert(!is_folder("/dev/fdset/1", "", single_file));
        ck_assert(is_folder(none, "", single_file) == !single_file);
    }
}
END_TEST

/* ---- files ---- */

START_TEST(a_file_gets_its_name_when_it_is_whole)
{
    auto_dir dir = temp_dir_new();
    g_autofree char *path = temp_dir_file(&dir, "out");
    g_autofree char *uri = g_strconcat("file:", path, NULL);
    struct stat st;

    ck_assert(g_file_set_contents(path, "old", -1, NULL));

    g_autoptr(Channel) channel = open_at(uri, CHANNEL_WRITE, NULL);

    ck_assert(channel_write(channel, "new", 3, NULL));
    check_file(path, "old");
    ck_assert(channel_finish(channel, /* sync= */ true, NULL));
    check_file(path, "new");
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
}
END_TEST

START_TEST(a_file_that_was_not_finished_is_as_it_was)
{
    auto_dir dir = temp_dir_new();
    g_autofree char *path = temp_dir_file(&dir, "out");
    g_autofree char *uri = g_strconcat("file:", path, NULL);
    g_autofree char *names = NULL;

    ck_assert(g_file_set_contents(path, "old", -1, NULL));

    Channel *channel = open_at(uri, CHANNEL_WRITE, NULL);

    ck_assert(channel_write(channel, "new", 3, NULL));
    channel_free(channel);
    check_file(path, "old");
    names = temp_dir_list(dir.path);
    ck_assert_str_eq(names, "out");
}
END_TEST

START_TEST(what_is_in_front_of_an_offset_stays)
{
    auto_dir dir = temp_dir_new();
    g_autofree char *path = temp_dir_file(&dir, "out");
    g_autofree char *uri = g_strdup_printf("file:%s,offset=6", path);
    char words[4] = "";

    ck_assert(g_file_set_contents(path, "headerand something old", -1, NULL));
    ck_assert(put(uri, "new", NULL));
    check_file(path, "headernew");
    ck_assert(get(uri, words, 3, NULL));
    ck_assert_str_eq(words, "new");

    Channel *channel = open_at(uri, CHANNEL_WRITE, NULL);

    ck_assert(channel_write(channel, "half", 4, NULL));
    channel_free(channel);
    check_file(path, "header");
}
END_TEST

START_TEST(what_was_made_at_an_offset_goes_with_a_failure)
{
    auto_dir dir = temp_dir_new();
    g_autofree char *path = temp_dir_file(&dir, "out");
    g_autofree char *uri = g_strdup_printf("file:%s,offset=6", path);

    channel_free(open_at(uri, CHANNEL_WRITE, NULL));
    ck_assert(!g_file_test(path, G_FILE_TEST_EXISTS));
}
END_TEST

START_TEST(a_link_is_followed)
{
    auto_dir dir = temp_dir_new();
    g_autofree char *path = temp_dir_file(&dir, "out");
    g_autofree char *link = temp_dir_file(&dir, "link");
    g_autofree char *uri = g_strconcat("file:", link, NULL);

    ck_assert(g_file_set_contents(path, "something longer", -1, NULL));
    ck_assert_int_eq(symlink(path, link), 0);
    ck_assert(put(uri, "new", NULL));
    check_file(path, "new");
    ck_assert(g_file_test(link, G_FILE_TEST_IS_SYMLINK));
}
END_TEST

START_TEST(files_that_cannot_be_say_why)
{
    static const struct {
        const char *uri;
        ChannelDirection direction;
        const char *message;
    } cases[] = {
        {"file:/nonexistent/x", CHANNEL_WRITE,
         "Could not create '/nonexistent/x': No such file or directory"},
        {"file:/nonexistent/x", CHANNEL_READ, "/nonexistent/x"},
        {"file:/proc/self/stat,offset=0x7fffffffffffffff", CHANNEL_READ, "is beyond its "},
        {"fd:99999", CHANNEL_READ, "'fd:99999': Bad file descriptor"},
        {"fd:99999999999", CHANNEL_READ, "expected a descriptor's number or name"},
        {"fd:3x", CHANNEL_READ, "expected a descriptor's number or name"},
        {"fd:nobody", CHANNEL_READ, "File descriptor named 'nobody' has not been found"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;

        ck_assert_ptr_null(open_at(cases[i].uri, cases[i].direction, &error));
        check_message(error, cases[i].message);
    }
}
END_TEST

/* ---- descriptors ---- */

START_TEST(only_inherited_descriptors_have_numbers)
{
    g_autoptr(GError) error = NULL;
    auto_fd int ours = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int inherited = dup(ours); /* as if the process had been started with it */
    g_autofree char *first = g_strdup_printf("fd:%d", ours);
    g_autofree char *second = g_strdup_printf("fd:%d", inherited);

    ck_assert_ptr_null(open_at(first, CHANNEL_READ, &error));
    check_message(error, "the process was not started with it");
    g_clear_error(&error);
    ck_assert_ptr_null(open_at(second, CHANNEL_WRITE, &error));
    check_message(error, "the descriptor cannot be written to");
    /* It was taken all the same. */
    ck_assert_int_eq(fcntl(inherited, F_GETFD), -1);
}
END_TEST

START_TEST(a_descriptor_for_the_other_direction_is_refused)
{
    g_autoptr(GError) error = NULL;
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

    ck_assert_ptr_null(channel_new_take(fd, "fd:x", CHANNEL_READ, &error));
    ck_assert_str_eq(error->message, "'fd:x': the descriptor cannot be read from");
    ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
}
END_TEST

/* ---- commands ---- */

START_TEST(a_command_takes_and_gives)
{
    auto_dir dir = temp_dir_new();
    g_autofree char *path = temp_dir_file(&dir, "out");
    g_autofree char *to = g_strdup_printf("exec:tr a-z A-Z > '%s'", path);
    g_autofree char *from = g_strdup_printf("exec:cat '%s'", path);
    char words[6] = "";

    ck_assert(put(to, "words", NULL));
    check_file(path, "WORDS"); /* its end was waited for */
    ck_assert(get(from, words, 5, NULL));
    ck_assert_str_eq(words, "WORDS");
}
END_TEST

START_TEST(a_command_that_fails_fails_the_stream)
{
    static const struct {
        const char *uri;
        const char *message;
    } cases[] = {
        {"exec:cat > /dev/null; exit 3", "'exec:cat > /dev/null; exit 3' ended with status 3"},
        {"exec:cat > /dev/null; kill -9 $$", "was ended by signal 9"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;

        ck_assert(!put(cases[i].uri, "x", &error));
        check_message(error, cases[i].message);
    }
}
END_TEST

START_TEST(a_command_that_gives_too_little_or_too_much_is_told)
{
    g_autoptr(GError) error = NULL;
    char words[6] = "";

    ck_assert(!get("exec:printf abc; exit 4", words, 5, &error));
    check_message(error, "ended with status 4: 'exec:printf abc; exit 4' is cut short: it ends "
                         "after 3 bytes, within it");
    g_clear_error(&error);
    ck_assert(!get("exec:printf abcdefg", words, 5, &error));
    check_message(error, "goes on after its end");
    g_clear_error(&error);
    ck_assert(!get("exec:printf abcde; exit 5", words, 5, &error));
    check_message(error, "ended with status 5");
}
END_TEST

START_TEST(where_programs_may_not_be_started_it_says_what_to_do)
{
    const ChannelHost host = {.may_spawn = false};
    g_autoptr(MigrationUri) uri = migration_uri_parse("exec:true", NULL);
    g_autoptr(GError) error = NULL;

    ck_assert_ptr_null(channel_open(uri, CHANNEL_WRITE, &host, &error));
    check_message(error, "pass a descriptor with getfd");
    check_message(error, "-sandbox off");
}
END_TEST

static void *cancel(void *opaque)
{
    channel_cancel(opaque);
    return NULL;
}

START_TEST(a_command_that_does_not_end_can_be_cancelled)
{
    g_autoptr(GError) error = NULL;
    /* Its end is that of the channel's pipe, which it does not wait for: it waits for itself. */
    g_autoptr(Channel) channel =
        open_at("exec:cat > /dev/null; kill -STOP $$", CHANNEL_WRITE, &error);
    GThread *thread = g_thread_new("cancel", cancel, channel);

    ck_assert(!channel_finish(channel, /* sync= */ false, &error));
    g_thread_join(thread);
    check_message(error, "it was cancelled");
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("channel");

    signal(SIGPIPE, SIG_IGN); /* as the program does */
    tcase_set_timeout(tc, 30);
    tcase_add_loop_test(tc, uris_are_taken_apart, 0, G_N_ELEMENTS(good));
    tcase_add_loop_test(tc, uris_that_lead_nowhere_are_refused, 0, G_N_ELEMENTS(bad));
    tcase_add_test(tc, a_path_is_a_folder_or_a_file);
    tcase_add_test(tc, a_file_gets_its_name_when_it_is_whole);
    tcase_add_test(tc, a_file_that_was_not_finished_is_as_it_was);
    tcase_add_test(tc, what_is_in_front_of_an_offset_stays);
    tcase_add_test(tc, what_was_made_at_an_offset_goes_with_a_failure);
    tcase_add_test(tc, a_link_is_followed);
    tcase_add_test(tc, files_that_cannot_be_say_why);
    tcase_add_test(tc, only_inherited_descriptors_have_numbers);
    tcase_add_test(tc, a_descriptor_for_the_other_direction_is_refused);
    tcase_add_test(tc, a_command_takes_and_gives);
    tcase_add_test(tc, a_command_that_fails_fails_the_stream);
    tcase_add_test(tc, a_command_that_gives_too_little_or_too_much_is_told);
    tcase_add_test(tc, where_programs_may_not_be_started_it_says_what_to_do);
    tcase_add_test(tc, a_command_that_does_not_end_can_be_cancelled);
    return suite_run("channel", tc);
}

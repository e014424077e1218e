/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that take long, what is answered meanwhile, and how they end. */
#include "qmp/work.h"

#include "tests/support/qmp_bench.h"
#include "tests/unit/suite.h"
#include "util/fd.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RETURN      "{\"return\": {}}\r\n"
#define RETURN1     "{\"return\": {}, \"id\": 1}\r\n"
#define YANK        "{\"exec-oob\":\"yank\",\"arguments\":{\"instances\":[{\"type\":\"command\"}]}}"
#define ERROR(desc) "{\"error\": {\"class\": \"GenericError\", \"desc\": \"" desc "\"}}\r\n"

static QmpBench bench;
static QmpSession *session;
static char *folder;
static char *path;

static void woken(void *opaque)
{
    loop_quit(opaque);
}

static void begin(bool oob)
{
    session = qmp_session_new(bench.server, /* pretty= */ false, woken, bench.loop);
    g_free(qmp_bench_read(session));
    g_free(qmp_bench_ask(session, oob ? "{\"execute\":\"qmp_capabilities\",\"arguments\":"
                                        "{\"enable\":[\"oob\"]}}"
                                      : "{\"execute\":\"qmp_capabilities\"}"));
}

static void set_up(void)
{
    signal(SIGPIPE, SIG_IGN); /* as main does */
    qmp_bench_begin(&bench, NULL);
    folder = g_dir_make_tmp("stencil-work-XXXXXX", NULL);
    path = g_build_filename(folder, "out", NULL);
}

static void tear_down(void)
{
    qmp_session_free(session);
    session = NULL;
    qmp_bench_end(&bench);
    unlink(path);
    rmdir(folder);
    g_free(path);
    g_free(folder);
}

static void expect(const char *command, const char *answer)
{
    g_autofree char *got = qmp_bench_ask(session, command);

    ck_assert_str_eq(got, answer);
}

/* What comes once the work has ended. */
static void expect_later(const char *answer)
{
    GString *got = g_string_new(NULL);

    while (!strchr(got->str, '\n')) {
        g_autofree char *text = NULL;

        loop_run(bench.loop);
        qmp_session_run(session);
        text = qmp_bench_read(session);
        g_string_append(got, text);
    }
    ck_assert_str_eq(got->str, answer);
    g_string_free(got, TRUE);
}

static void save(unsigned size, const char *answer)
{
    g_autofree char *request =
        g_strdup_printf("{\"execute\":\"pmemsave\",\"id\":1,\"arguments\":{\"val\":0,\"size\":%u,"
                        "\"filename\":\"%s\"}}",
                        size, path);

    expect(request, answer);
}

/* A pipe that is full after 64 KiB, so that a save of more lasts until somebody reads. */
static int save_to_a_pipe(void)
{
    int fd;

    ck_assert_int_eq(mkfifo(path, 0600), 0);
    fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    save(1 << 20, "");
    return fd;
}

static void read_all(int fd, size_t size)
{
    g_autofree char *data = g_malloc(size);

    ck_assert(fd_set_nonblocking(fd, false, NULL));
    ck_assert(fd_read_all(fd, "pipe", data, size, NULL));
}

START_TEST(memory_is_in_the_file_when_the_answer_comes)
{
    g_autofree char *content = NULL;
    gsize len;

    begin(false);
    ck_assert(guest_mem_write(bench.vm->memory, GPA(5000), "sesame", 6, NULL));
    save(8192, "");
    expect_later(RETURN1);
    ck_assert(g_file_get_contents(path, &content, &len, NULL));
    ck_assert_uint_eq(len, 8192);
    ck_assert_int_eq(memcmp(content + 5000, "sesame", 6), 0);
}
END_TEST

START_TEST(commands_behind_one_under_way_wait_and_keep_their_order)
{
    auto_fd int fd = -1;

    begin(false);
    fd = save_to_a_pipe();
    expect("{\"execute\":\"query-name\"}{\"execute\":\"nosuch\"}", "");
    ck_assert_uint_gt(qmp_session_room(session), 0);
    qmp_session_end_input(session);
    ck_assert(!qmp_session_is_over(session));
    read_all(fd, 1 << 20);
    expect_later(RETURN1 RETURN "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": "
                                "\"The command nosuch has not been found\"}}\r\n");
    ck_assert(qmp_session_is_over(session));
}
END_TEST

START_TEST(other_sessions_are_served_meanwhile)
{
    g_autoptr(QmpSession) other = NULL;
    g_autofree char *answer = NULL;
    auto_fd int fd = -1;

    begin(false);
    fd = save_to_a_pipe();
    other = qmp_bench_session(&bench, /* negotiated= */ true, /* oob= */ false);
    answer = qmp_bench_ask(other, "{\"execute\":\"query-name\"}");
    ck_assert_str_eq(answer, RETURN);
    read_all(fd, 1 << 20);
    expect_later(RETURN1);
}
END_TEST

START_TEST(what_is_out_of_band_overtakes_and_mistakes_do_not)
{
    auto_fd int fd = -1;

    begin(true);
    fd = save_to_a_pipe();
    expect("{\"execute\":\"query-name\"} ]", "");
    expect("{\"exec-oob\":\"query-yank\",\"id\":2}",
           "{\"return\": [{\"type\": \"command\"}], \"id\": 2}\r\n");
    expect("{\"exec-oob\":\"query-name\",\"id\":3}",
           "{\"id\": 3, \"error\": {\"class\": \"GenericError\", \"desc\": "
           "\"The command query-name does not support OOB\"}}\r\n");
    read_all(fd, 1 << 20);
    expect_later(RETURN1 RETURN ERROR("JSON parse error, expecting value"));
    expect("{\"exec-oob\":\"query-yank\"}", "{\"return\": []}\r\n");
}
END_TEST

START_TEST(a_command_under_way_can_be_cancelled)
{
    auto_fd int fd = -1;

    begin(true);
    fd = save_to_a_pipe();
    expect(YANK, RETURN);
    expect_later("{\"id\": 1, \"error\": {\"class\": \"GenericError\", \"desc\": "
                 "\"The command was cancelled\"}}\r\n");
    expect(YANK, "{\"error\": {\"class\": \"DeviceNotFound\", \"desc\": "
                 "\"No command is under way\"}}\r\n");
}
END_TEST

START_TEST(only_so_many_commands_are_read_ahead)
{
    auto_fd int fd = -1;

    begin(true);
    fd = save_to_a_pipe();
    for (unsigned i = 0; i < SESSION_MAX_QUEUED; i++) {
        expect("{\"execute\":\"query-name\"}", "");
    }
    /* Even what is out of band waits now, in the buffer. */
    expect("{\"exec-oob\":\"query-yank\"}", "");
    ck_assert(!qmp_session_is_ready(session));
    read_all(fd, 1 << 20);
    expect_later(RETURN1 RETURN RETURN RETURN RETURN RETURN RETURN RETURN RETURN
                 "{\"return\": []}\r\n");
}
END_TEST

START_TEST(a_session_or_a_vm_that_ends_takes_its_work_along)
{
    auto_fd int fd = -1;

    begin(true);
    fd = save_to_a_pipe();
    /* Twice: the session first, then the server, which waits for the thread. */
    qmp_session_free(session);
    session = NULL;
}
END_TEST

START_TEST(what_cannot_be_saved_is_refused_before_there_is_a_file)
{
    begin(false);
    save((1 << 20) + 1, "{\"id\": 1, \"error\": {\"class\": \"GenericError\", \"desc\": \"0x100001 "
                        "bytes at guest address 0x0: there is no RAM at 0x100000\"}}\r\n");
    ck_assert_int_ne(access(path, F_OK), 0);
    expect("{\"execute\":\"pmemsave\",\"arguments\":{\"val\":0,\"size\":1,\"filename\":\"/no/x\"}}",
           ERROR("cannot open '/no/x' for writing: No such file or directory"));
    expect("{\"execute\":\"pmemsave\",\"arguments\":{\"val\":-1,\"size\":1,\"filename\":\"x\"}}",
           ERROR("Parameter 'val' expects uint64 (got: -1)"));
    expect("{\"execute\":\"pmemsave\",\"arguments\":{\"val\":18446744073709551615,\"size\":2,"
           "\"filename\":\"x\"}}",
           ERROR("0x2 bytes at guest address 0xffffffffffffffff: there is no RAM at "
                 "0xffffffffffffffff"));
}
END_TEST

START_TEST(only_connections_that_there_are_can_be_ended)
{
    begin(false);
    expect("{\"execute\":\"yank\",\"arguments\":{\"instances\":[{\"type\":\"chardev\",\"id\":\"x\"}"
           "]}}",
           "{\"error\": {\"class\": \"DeviceNotFound\", \"desc\": "
           "\"Instance 'chardev x' not found\"}}\r\n");
    expect("{\"execute\":\"yank\",\"arguments\":{\"instances\":[{\"type\":\"chardev\"}]}}",
           ERROR("Parameter 'instances[0].id' is missing"));
    expect("{\"execute\":\"yank\",\"arguments\":{\"instances\":[]}}", RETURN);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("qmp_work");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, memory_is_in_the_file_when_the_answer_comes);
    tcase_add_test(tc, commands_behind_one_under_way_wait_and_keep_their_order);
    tcase_add_test(tc, other_sessions_are_served_meanwhile);
    tcase_add_test(tc, what_is_out_of_band_overtakes_and_mistakes_do_not);
    tcase_add_test(tc, a_command_under_way_can_be_cancelled);
    tcase_add_test(tc, only_so_many_commands_are_read_ahead);
    tcase_add_test(tc, a_session_or_a_vm_that_ends_takes_its_work_along);
    tcase_add_test(tc, what_cannot_be_saved_is_refused_before_there_is_a_file);
    tcase_add_test(tc, only_connections_that_there_are_can_be_ended);
    return suite_run("qmp_work", tc);
}

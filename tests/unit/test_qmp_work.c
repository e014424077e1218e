/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that take long, what is answered meanwhile, and how they end. */
#include "machine/vm_reset.h"
#include "qmp/work.h"

#include "tests/support/qmp_work_bench.h"
#include "tests/unit/suite.h"
#include "util/fd.h"

#include <string.h>
#include <unistd.h>

#define RETURN1 "{\"return\": {}, \"id\": 1}\r\n"

static QmpWorkBench work;

static void set_up(void)
{
    qmp_work_bench_begin(&work, /* prepare= */ NULL);
}

static void tear_down(void)
{
    qmp_work_bench_end(&work);
}

static void begin(bool oob)
{
    qmp_work_bench_connect(&work, oob);
}

static void expect(const char *command, const char *answer)
{
    qmp_work_bench_expect(&work, command, answer);
}

static void expect_later(const char *answer)
{
    qmp_work_bench_expect_later(&work, answer);
}

static void save(unsigned size, const char *answer)
{
    g_autofree char *request =
        g_strdup_printf("{\"execute\":\"pmemsave\",\"id\":1,\"arguments\":{\"val\":0,\"size\":%u,"
                        "\"filename\":\"%s\"}}",
                        size, work.path);

    expect(request, answer);
}

static int save_to_a_pipe(void)
{
    int fd = qmp_work_bench_open_pipe(&work);

    save(1 << 20, "");
    return fd;
}

static void read_all(int fd)
{
    g_free(qmp_work_bench_read_pipe(fd, 1 << 20));
}

START_TEST(memory_is_in_the_file_when_the_answer_comes)
{
    g_autofree char *content = NULL;
    gsize len;

    begin(false);
    ck_assert(guest_mem_write(work.bench.vm->memory, GPA(5000), "sesame", 6, NULL));
    save(8192, "");
    expect_later(RETURN1);
    ck_assert(g_file_get_contents(work.path, &content, &len, NULL));
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
    ck_assert_uint_gt(qmp_session_room(work.session), 0);
    qmp_session_end_input(work.session);
    ck_assert(!qmp_session_is_over(work.session));
    read_all(fd);
    expect_later(RETURN1 ANSWER_RETURN "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": "
                                       "\"The command nosuch has not been found\"}}\r\n");
    ck_assert(qmp_session_is_over(work.session));
}
END_TEST

START_TEST(other_sessions_are_served_meanwhile)
{
    g_autoptr(QmpSession) other = NULL;
    g_autofree char *answer = NULL;
    auto_fd int fd = -1;

    begin(false);
    fd = save_to_a_pipe();
    other = qmp_bench_session(&work.bench, /* negotiated= */ true, /* oob= */ false);
    answer = qmp_bench_ask(other, "{\"execute\":\"query-name\"}");
    ck_assert_str_eq(answer, ANSWER_RETURN);
    read_all(fd);
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
    read_all(fd);
    expect_later(RETURN1 ANSWER_RETURN ANSWER_ERROR("JSON parse error, expecting value"));
    expect("{\"exec-oob\":\"query-yank\"}", "{\"return\": []}\r\n");
}
END_TEST

START_TEST(a_command_under_way_can_be_cancelled)
{
    auto_fd int fd = -1;

    begin(true);
    fd = save_to_a_pipe();
    expect(ASK_YANK, ANSWER_RETURN);
    expect_later("{\"id\": 1, \"error\": {\"class\": \"GenericError\", \"desc\": "
                 "\"The command was cancelled\"}}\r\n");
    expect(ASK_YANK, "{\"error\": {\"class\": \"DeviceNotFound\", \"desc\": "
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
    ck_assert(!qmp_session_is_ready(work.session));
    read_all(fd);
    expect_later(RETURN1 ANSWER_RETURN ANSWER_RETURN ANSWER_RETURN ANSWER_RETURN ANSWER_RETURN
                     ANSWER_RETURN ANSWER_RETURN ANSWER_RETURN "{\"return\": []}\r\n");
}
END_TEST

START_TEST(a_session_or_a_vm_that_ends_takes_its_work_along)
{
    auto_fd int fd = -1;

    begin(true);
    fd = save_to_a_pipe();
    /* Twice: the session first, then the server, which waits for the thread. */
    qmp_session_free(work.session);
    work.session = NULL;
}
END_TEST

START_TEST(what_cannot_be_saved_is_refused_before_there_is_a_file)
{
    begin(false);
    save((1 << 20) + 1, "{\"id\": 1, \"error\": {\"class\": \"GenericError\", \"desc\": \"0x100001 "
                        "bytes at guest address 0x0: there is no RAM at 0x100000\"}}\r\n");
    ck_assert_int_ne(access(work.path, F_OK), 0);
    expect("{\"execute\":\"pmemsave\",\"arguments\":{\"val\":0,\"size\":1,\"filename\":\"/no/x\"}}",
           ANSWER_ERROR("cannot open '/no/x' for writing: No such file or directory"));
    expect("{\"execute\":\"pmemsave\",\"arguments\":{\"val\":-1,\"size\":1,\"filename\":\"x\"}}",
           ANSWER_ERROR("Parameter 'val' expects uint64 (got: -1)"));
    expect("{\"execute\":\"pmemsave\",\"arguments\":{\"val\":18446744073709551615,\"size\":2,"
           "\"filename\":\"x\"}}",
           ANSWER_ERROR("0x2 bytes at guest address 0xffffffffffffffff: there is no RAM at "
                        "0xffffffffffffffff"));
}
END_TEST

/* ---- system_reset ---- */

#define RESET "{\"execute\":\"system_reset\"}"
#define RESET_EVENT \
    "\"event\": \"RESET\", \"data\": {\"guest\": false, \"reason\": \"host-qmp-system-reset\"}"

static void boot(void)
{
    ck_assert(vm_boot(work.bench.vm, NULL));
    ck_assert(guest_mem_write(work.bench.vm->memory, GPA(5000), "sesame", 6, NULL));
}

static void expect_zeroes(void)
{
    uint64_t bytes = 1;

    ck_assert(guest_mem_read(work.bench.vm->memory, GPA(5000), &bytes, 6, NULL));
    ck_assert_uint_eq(bytes, 0);
}

static void hear_until(GString *said, const char *text)
{
    while (!strstr(said->str, text)) {
        qmp_work_bench_hear(&work, said);
    }
}

START_TEST(a_reset_is_answered_when_it_is_done)
{
    g_autoptr(GString) said = g_string_new(NULL);

    begin(false);
    boot();
    ck_assert(vm_cont(work.bench.vm, NULL));
    g_free(qmp_bench_read(work.session));
    expect(RESET, "");
    hear_until(said, ANSWER_RETURN);
    ck_assert_ptr_nonnull(strstr(said->str, RESET_EVENT));
    ck_assert_int_eq(work.bench.vm->state, RUN_STATE_RUNNING);
    expect_zeroes();
}
END_TEST

/* Cancelled or not. */
START_TEST(a_reset_that_has_begun_is_done)
{
    g_autoptr(GString) said = g_string_new(NULL);

    begin(true);
    boot();
    expect(RESET, "");
    expect(ASK_YANK, ANSWER_RETURN);
    hear_until(said, "\"RESET\"");
    expect_zeroes();
    boot();
    expect(RESET, "");
    qmp_session_free(work.session);
    begin(false);
    g_string_truncate(said, 0);
    hear_until(said, "\"RESET\"");
    expect_zeroes();
}
END_TEST

START_TEST(a_monitor_command_for_people_does_not_wait_for_its_reset)
{
    g_autoptr(GString) said = g_string_new(NULL);

    begin(false);
    boot();
    expect("{\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":"
           "\"system_reset\"}}",
           "{\"return\": \"\"}\r\n");
    hear_until(said, "\"RESET\"");
    expect_zeroes();
}
END_TEST

START_TEST(nothing_lets_the_vm_run_while_it_is_reset)
{
    Vm *vm = work.bench.vm;

    begin(false);
    boot();
    ck_assert(vm_cont(vm, NULL));
    g_free(qmp_bench_read(work.session));
    ck_assert(vm_reset_begin(vm, NULL));
    expect(RESET, ANSWER_ERROR("the VM is being reset: try again"));
    expect("{\"execute\":\"dump-guest-memory\",\"arguments\":{\"paging\":false,\"protocol\":"
           "\"file:/no/x\"}}",
           ANSWER_ERROR("the VM is being reset: try again"));
    expect("{\"execute\":\"migrate\",\"arguments\":{\"uri\":\"file:/no/x\"}}",
           ANSWER_ERROR("the VM is being reset: try again"));
    g_free(qmp_bench_ask(work.session, "{\"execute\":\"human-monitor-command\",\"arguments\":{"
                                       "\"command-line\":\"info registers\"}}"));
    ck_assert(vm->drained);
    vm_request(vm, &(VmRequest){.kind = VM_REQUEST_SHUTDOWN, .reason = "guest-shutdown"});
    qmp_bench_settle(&work.bench);
    ck_assert_int_eq(vm->state, RUN_STATE_RUNNING);
    vm_reset_empty(vm);
    ck_assert(vm_reset_end(vm, /* from_guest= */ false, "host-qmp-system-reset", NULL));
    ck_assert(!vm->drained);
    expect_zeroes();
    qmp_bench_settle(&work.bench);
    ck_assert_int_eq(vm->state, RUN_STATE_SHUTDOWN);
}
END_TEST

START_TEST(a_vm_that_is_stopped_or_continued_meanwhile_is_so_afterwards)
{
    Vm *vm = work.bench.vm;

    begin(false);
    boot();
    for (unsigned i = 0; i < 2; i++) {
        bool runs = i == 1;

        ck_assert(runs ? vm_stop(vm, RUN_STATE_PAUSED, NULL) : vm_cont(vm, NULL));
        ck_assert(vm_reset_begin(vm, NULL));
        ck_assert(runs ? vm_cont(vm, NULL) : vm_stop(vm, RUN_STATE_PAUSED, NULL));
        ck_assert(vm->drained);
        vm_reset_empty(vm);
        ck_assert(vm_reset_end(vm, /* from_guest= */ false, "host-qmp-system-reset", NULL));
        ck_assert_int_eq(vm->state, runs ? RUN_STATE_RUNNING : RUN_STATE_PAUSED);
        ck_assert_int_eq(vm->drained, !runs);
    }
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
           ANSWER_ERROR("Parameter 'instances[0].id' is missing"));
    expect("{\"execute\":\"yank\",\"arguments\":{\"instances\":[]}}", ANSWER_RETURN);
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
    tcase_add_test(tc, a_reset_is_answered_when_it_is_done);
    tcase_add_test(tc, a_reset_that_has_begun_is_done);
    tcase_add_test(tc, a_monitor_command_for_people_does_not_wait_for_its_reset);
    tcase_add_test(tc, nothing_lets_the_vm_run_while_it_is_reset);
    tcase_add_test(tc, a_vm_that_is_stopped_or_continued_meanwhile_is_so_afterwards);
    tcase_add_test(tc, only_connections_that_there_are_can_be_ended);
    return suite_run("qmp_work", tc);
}

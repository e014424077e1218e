/* SPDX-License-Identifier: Apache-2.0 */
/* As test_migration.c, through streams: a VM is saved over QMP, and another made from it. */
#include "migration/migration.h"

#include "machine/vm_migration.h"
#include "tests/support/qmp_bench.h"
#include "tests/support/template_sample.h"
#include "tests/unit/suite.h"
#include "util/bytes.h"
#include "util/fd.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define EVENTS_ON                                               \
    "{\"execute\":\"migrate-set-capabilities\",\"arguments\":{" \
    "\"capabilities\":[{\"capability\":\"events\",\"state\":true}]}}"
#define QUERY  "{\"execute\":\"query-migrate\"}"
#define CANCEL "{\"execute\":\"migrate_cancel\"}"
#define CONT   "{\"execute\":\"cont\"}"

static QmpBench bench;
static QmpSession *session;
static TempDir dir;

static void quit_loop(void *opaque)
{
    loop_quit(opaque);
}

static void begin(void (*prepare)(VmConfig *config))
{
    qmp_bench_begin(&bench, prepare);
    session = qmp_session_new(bench.server, /* pretty= */ false, quit_loop, bench.loop);
    g_free(qmp_bench_read(session));
    g_free(qmp_bench_ask(session, "{\"execute\":\"qmp_capabilities\"}"));
    g_free(qmp_bench_ask(session, EVENTS_ON));
}

static void end(void)
{
    qmp_session_free(session);
    qmp_bench_end(&bench);
}

static void set_up(void)
{
    signal(SIGPIPE, SIG_IGN); /* as the program does */
    dir = temp_dir_new();
    begin(NULL);
}

static void tear_down(void)
{
    end();
    temp_dir_remove(&dir);
}

static void wait_for_template(VmConfig *config)
{
    config->incoming.uri = g_strdup("defer");
    config->incoming.options = prop_bag_new(NULL);
}

static void have_more_memory(VmConfig *config)
{
    wait_for_template(config);
    config->memory.size = config->memory.max_size = 2 << 20;
}

static void begin_waiting(void)
{
    end();
    begin(wait_for_template);
}

static void expect_in(const char *text, const char *part)
{
    ck_assert_msg(strstr(text, part) != NULL, "'%s' is not in: %s", part, text);
}

/* arguments are the inside of an object. */
static void expect(const char *command, const char *arguments, const char *part)
{
    g_autofree char *text =
        g_strdup_printf("{\"execute\":\"%s\",\"arguments\":{%s}}", command, arguments);
    g_autofree char *answer = qmp_bench_ask(session, text);

    expect_in(answer, part);
}

#define OK "{\"return\": {}}"

static void expect_uri(const char *command, const char *uri, const char *part)
{
    g_autofree char *arguments = g_strdup_printf("\"uri\":\"%s\"", uri);

    expect(command, arguments, part);
}

static void expect_addr(const char *command, const char *addr, const char *part)
{
    g_autofree char *arguments =
        g_strdup_printf("\"channels\":[{\"channel-type\":\"main\",\"addr\":{%s}}]", addr);

    expect(command, arguments, part);
}

static void expect_status(const char *part)
{
    g_autofree char *answer = qmp_bench_ask(session, QUERY);

    expect_in(answer, part);
}

static void pass_fd(const char *name, int fd)
{
    g_autofree char *arguments = g_strdup_printf("\"fdname\":\"%s\"", name);
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

    qmp_session_receive_fds(session, &copy, 1);
    expect("getfd", arguments, OK);
}

/* Runs the loop until what is under way has ended. */
static void wait_for_end(const char *status)
{
    g_autofree char *events = NULL;

    do {
        loop_run(bench.loop);
    } while (migration_is_under_way(bench.vm->migration));
    events = qmp_bench_read(session);
    expect_in(events, status);
}

static char *in_dir(const char *name)
{
    return temp_dir_file(&dir, name);
}

static const char words[] = "kept";

static void put_words(void)
{
    ck_assert(guest_mem_write(bench.vm->memory, GPA(0x5000), words, sizeof(words), NULL));
}

static void check_words(void)
{
    char seen[sizeof(words)] = "";

    ck_assert(guest_mem_read(bench.vm->memory, GPA(0x5000), seen, sizeof(seen), NULL));
    ck_assert_str_eq(seen, words);
}

/* A stream in the folder, of a VM that ran. */
static char *save_sample(const char *name)
{
    g_autofree char *path = in_dir(name);
    g_autofree char *uri = g_strdup_printf("file:%s,offset=0", path);

    g_free(qmp_bench_ask(session, CONT));
    put_words();
    expect_uri("migrate", uri, OK);
    wait_for_end("completed");
    return g_steal_pointer(&path);
}

/* ---- saving ---- */

START_TEST(a_named_descriptor_takes_it_and_gives_it_back)
{
    auto_fd int fd = memfd_create("stream", MFD_CLOEXEC);

    put_words();
    pass_fd("out", fd);
    expect_uri("migrate", "fd:out", OK);
    wait_for_end("completed");
    g_free(qmp_bench_ask(session, CONT));
    expect_uri("migrate", "fd:out", "File descriptor named 'out' has not been found");

    begin_waiting();
    ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
    pass_fd("in", fd);
    expect_addr("migrate-incoming", "\"transport\":\"socket\",\"type\":\"fd\",\"str\":\"in\"", OK);
    ck_assert_int_eq(bench.vm->state, RUN_STATE_INMIGRATE);
    wait_for_end("completed");
    check_words();
    ck_assert_int_eq(bench.vm->state, RUN_STATE_PAUSED);
}
END_TEST

START_TEST(a_save_and_a_load_go_through_their_states_in_order)
{
    static const char *const save[] = {"setup", "active", "\"pass\": 1",
                                       "STOP",  "device", "completed"};
    static const char *const load[] = {"setup", "active", "RESUME", "completed"};
    const char *const *order = _i == 0 ? save : load;
    size_t count = _i == 0 ? G_N_ELEMENTS(save) : G_N_ELEMENTS(load);
    g_autofree char *uri = NULL;
    g_autofree char *command = NULL;
    g_autofree char *events = NULL;
    g_autofree char *answer = NULL;
    g_autofree char *all = NULL;
    const char *at;

    if (_i == 0) {
        g_autofree char *path = in_dir("s");

        uri = g_strdup_printf("file:%s,offset=0", path);
        g_free(qmp_bench_ask(session, CONT));
    } else {
        g_autofree char *path = save_sample("s");

        uri = g_strconcat("file:", path, NULL);
        begin_waiting();
    }
    command = g_strdup_printf("{\"execute\":\"%s\",\"arguments\":{\"uri\":\"%s\"}}",
                              _i == 0 ? "migrate" : "migrate-incoming", uri);
    answer = qmp_bench_ask(session, command);
    do {
        loop_run(bench.loop);
    } while (migration_is_under_way(bench.vm->migration));
    events = qmp_bench_read(session);
    all = g_strconcat(answer, events, NULL);
    at = all;
    for (size_t i = 0; i < count; i++) {
        at = strstr(at, order[i]);
        ck_assert_msg(at != NULL, "%s is missing, or late: %s", order[i], all);
    }
}
END_TEST

START_TEST(clients_that_expect_one_file_get_one)
{
    g_autofree char *path = in_dir("one");
    g_autofree char *uri = g_strconcat("file:", path, NULL);
    static const char *const caps[] = {"mapped-ram", "multifd"};
    g_autofree char *arguments =
        g_strdup_printf("\"capabilities\":[{\"capability\":\"%s\",\"state\":true}]", caps[_i]);

    put_words();
    expect("migrate-set-capabilities", arguments, OK);
    expect_uri("migrate", uri, OK);
    wait_for_end("completed");
    ck_assert(g_file_test(path, G_FILE_TEST_IS_REGULAR));
    begin_waiting();
    expect_uri("migrate-incoming", uri, OK);
    wait_for_end("completed");
    check_words();
}
END_TEST

START_TEST(a_file_channel_has_an_offset)
{
    g_autofree char *path = in_dir("headed");
    g_autofree char *addr =
        g_strdup_printf("\"transport\":\"file\",\"filename\":\"%s\",\"offset\":7", path);
    g_autofree char *text = NULL;

    put_words();
    ck_assert(g_file_set_contents(path, "header.", -1, NULL));
    expect_addr("migrate", addr, OK);
    wait_for_end("completed");
    ck_assert(g_file_get_contents(path, &text, NULL, NULL));
    ck_assert_int_eq(strncmp(text, "header.STENSTR", 14), 0);
    begin_waiting();
    expect_addr("migrate-incoming", addr, OK);
    wait_for_end("completed");
    check_words();
}
END_TEST

START_TEST(a_command_takes_it_and_gives_it_back)
{
    g_autofree char *path = in_dir("out of a command");
    g_autofree char *out = g_strdup_printf("exec:cat > '%s'", path);
    g_autofree char *in = g_strdup_printf("\"transport\":\"exec\",\"args\":[\"cat\",\"%s\"]", path);

    put_words();
    expect_uri("migrate", out, OK);
    wait_for_end("completed");
    begin_waiting();
    expect_addr("migrate-incoming", in, OK);
    wait_for_end("completed");
    check_words();
}
END_TEST

START_TEST(a_command_that_fails_leaves_the_vm_running)
{
    g_free(qmp_bench_ask(session, CONT));
    expect_uri("migrate", "exec:cat > /dev/null; exit 7", OK);
    wait_for_end("failed");
    expect_status("ended with status 7");
    ck_assert_int_eq(bench.vm->state, RUN_STATE_RUNNING);
}
END_TEST

static bool be_there(Vcpu *vcpu, void *opaque, GError **error)
{
    (void)vcpu;
    (void)opaque;
    (void)error;
    return true;
}

START_TEST(in_the_sandbox_no_command_is_started)
{
    /* Said when every vCPU has begun: a build with sanitizers could not bear one in the sandbox. */
    ck_assert(vcpus_each(bench.vm->vcpus, be_there, NULL, NULL));
    bench.config->sandbox = ON_OFF_AUTO_ON;
    expect_uri("migrate", "exec:cat", "-sandbox off");
    expect_status("\"status\": \"failed\"");
}
END_TEST

START_TEST(a_full_disk_leaves_the_vm_running)
{
    auto_fd int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

    g_free(qmp_bench_ask(session, CONT));
    pass_fd("full", fd);
    expect_uri("migrate", "fd:full", OK);
    wait_for_end("failed");
    expect_status("No space left on device");
    ck_assert_int_eq(bench.vm->state, RUN_STATE_RUNNING);
}
END_TEST

START_TEST(a_save_that_nobody_reads_can_be_cancelled_while_qmp_answers)
{
    int ends[2];

    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    fcntl(ends[0], F_SETPIPE_SZ, 4096);
    sample_fill(bench.vm->memory, 0, MIB / PAGE_BYTES, 1);
    g_free(qmp_bench_ask(session, CONT));
    pass_fd("stuck", ends[1]);
    fd_close(&ends[1]);
    expect_uri("migrate", "fd:stuck", OK);
    while (migration_info(bench.vm->migration).status != MIGRATION_ACTIVE) {
        loop_run(bench.loop);
    }
    expect_status("\"status\": \"active\"");
    g_free(qmp_bench_ask(session, CANCEL));
    wait_for_end("cancelled");
    ck_assert_int_eq(bench.vm->state, RUN_STATE_RUNNING);
    fd_close(&ends[0]);
}
END_TEST

START_TEST(a_vm_that_ends_does_not_wait_for_a_reader)
{
    int ends[2];

    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    fcntl(ends[0], F_SETPIPE_SZ, 4096);
    sample_fill(bench.vm->memory, 0, MIB / PAGE_BYTES, 1);
    pass_fd("stuck", ends[1]);
    expect_uri("migrate", "fd:stuck", OK);
    while (migration_info(bench.vm->migration).status != MIGRATION_ACTIVE) {
        loop_run(bench.loop);
    }
    end();
    fd_close(&ends[0]);
    fd_close(&ends[1]);
    begin(NULL);
}
END_TEST

/* ---- loading ---- */

START_TEST(a_load_that_fails_can_be_tried_again)
{
    g_autofree char *path = save_sample("s");
    g_autofree char *half = in_dir("half");
    g_autofree char *text = NULL;
    g_autofree char *bad = g_strconcat("file:", half, NULL);
    g_autofree char *good = g_strconcat("file:", path, NULL);
    gsize len;

    ck_assert(g_file_get_contents(path, &text, &len, NULL));
    ck_assert(g_file_set_contents(half, text, (gssize)len / 2, NULL));
    begin_waiting();
    expect_uri("migrate-incoming", bad, OK);
    wait_for_end("failed");
    expect_status("is cut short: it ends after");
    ck_assert_int_eq(bench.vm->state, RUN_STATE_INMIGRATE);
    expect_uri("migrate-incoming", "fd:nobody", "has not been found");
    expect_status("has not been found");
    expect_uri("migrate-incoming", good, OK);
    wait_for_end("completed");
    check_words();
    ck_assert_int_eq(bench.vm->state, RUN_STATE_RUNNING);
    expect_uri("migrate-incoming", good, "The incoming migration has already been started");
}
END_TEST

START_TEST(a_load_that_nobody_feeds_can_be_cancelled_and_tried_again)
{
    g_autofree char *path = save_sample("s");
    g_autofree char *good = g_strconcat("file:", path, NULL);
    int ends[2];

    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    begin_waiting();
    pass_fd("starved", ends[0]);
    expect_uri("migrate-incoming", "fd:starved", OK);
    expect_uri("migrate-incoming", good, "There's a migration process in progress");
    expect_status("\"status\": \"");
    g_free(qmp_bench_ask(session, CANCEL));
    wait_for_end("cancelled");
    ck_assert_int_eq(bench.vm->state, RUN_STATE_INMIGRATE);
    expect_uri("migrate-incoming", good, OK);
    wait_for_end("completed");
    check_words();
    fd_close(&ends[0]);
    fd_close(&ends[1]);
}
END_TEST

START_TEST(another_vm_is_refused_before_its_ram_is_taken)
{
    g_autofree char *path = save_sample("s");
    g_autofree char *half = in_dir("half");
    g_autofree char *uri = g_strconcat("file:", half, NULL);
    g_autofree char *text = NULL;
    gsize len;

    /* There is no RAM in it. */
    ck_assert(g_file_get_contents(path, &text, &len, NULL));
    ck_assert(g_file_set_contents(half, text, (gssize)(64 + load_le64(text + 24)), NULL));
    end();
    begin(have_more_memory);
    expect_uri("migrate-incoming", uri, OK);
    wait_for_end("failed");
    expect_status("memory size: \\\"2M\\\" here, \\\"1M\\\" in the template");
}
END_TEST

START_TEST(who_wants_to_end_with_the_load_does)
{
    g_autofree char *path = in_dir("empty");
    g_autofree char *arguments =
        g_strdup_printf("\"uri\":\"file:%s\",\"exit-on-error\":true", path);

    ck_assert(g_file_set_contents(path, "", 0, NULL));
    begin_waiting();
    expect("migrate-incoming", arguments, OK);
    wait_for_end("SHUTDOWN");
    expect_status("it ends after 0 bytes, within its label");
    ck_assert_int_eq(bench.vm->exit_status, 1);
}
END_TEST

static const struct {
    const char *addr;
    const char *message;
} incomplete[] = {
    {"\"transport\":\"file\",\"offset\":0", "'channels[0].addr.filename' is missing"},
    {"\"transport\":\"exec\"", "'channels[0].addr.args' is missing"},
    {"\"transport\":\"exec\",\"args\":[]", "'channels[0].addr.args' is missing"},
    {"\"transport\":\"socket\"", "'channels[0].addr.type' is missing"},
    {"\"transport\":\"socket\",\"type\":\"fd\"", "'channels[0].addr.str' is missing"},
    {"\"transport\":\"socket\",\"type\":\"inet\"", "does not accept value 'inet'"},
    {"\"transport\":\"rdma\"", "does not accept value 'rdma'"},
};

START_TEST(channels_that_say_too_little_are_refused)
{
    expect_addr("migrate", incomplete[_i].addr, incomplete[_i].message);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("migration_stream");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, a_named_descriptor_takes_it_and_gives_it_back);
    tcase_add_loop_test(tc, a_save_and_a_load_go_through_their_states_in_order, 0, 2);
    tcase_add_loop_test(tc, clients_that_expect_one_file_get_one, 0, 2);
    tcase_add_test(tc, a_file_channel_has_an_offset);
    tcase_add_test(tc, a_command_takes_it_and_gives_it_back);
    tcase_add_test(tc, a_command_that_fails_leaves_the_vm_running);
    tcase_add_test(tc, in_the_sandbox_no_command_is_started);
    tcase_add_test(tc, a_full_disk_leaves_the_vm_running);
    tcase_add_test(tc, a_save_that_nobody_reads_can_be_cancelled_while_qmp_answers);
    tcase_add_test(tc, a_vm_that_ends_does_not_wait_for_a_reader);
    tcase_add_test(tc, a_load_that_fails_can_be_tried_again);
    tcase_add_test(tc, a_load_that_nobody_feeds_can_be_cancelled_and_tried_again);
    tcase_add_test(tc, another_vm_is_refused_before_its_ram_is_taken);
    tcase_add_test(tc, who_wants_to_end_with_the_load_does);
    tcase_add_loop_test(tc, channels_that_say_too_little_are_refused, 0, G_N_ELEMENTS(incomplete));
    return suite_run("migration_stream", tc);
}

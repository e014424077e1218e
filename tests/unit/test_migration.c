/* SPDX-License-Identifier: Apache-2.0 */
/* A VM without processors is saved over QMP, and another made from it. */
#include "migration/migration.h"

#include "machine/vm_migration.h"
#include "tests/support/qmp_bench.h"
#include "tests/unit/suite.h"
#include "util/error.h"

#include <glib/gstdio.h>
#include <json-c/json.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static QmpBench bench;
static QmpSession *session;
static char *folder;
static char *template;

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
}

static void end(void)
{
    qmp_session_free(session);
    qmp_bench_end(&bench);
}

static void set_up(void)
{
    folder = g_dir_make_tmp("stencil-migration-XXXXXX", NULL);
    template = g_build_filename(folder, "template", NULL);
    begin(NULL);
}

static void tear_down(void)
{
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", folder);

    end();
    ck_assert_int_eq(system(command), 0); /* NOLINT(cert-env33-c): a name that mkdtemp made */
    g_free(template);
    g_free(folder);
}

/* A command whose argument is file:DIR. */
static char *ask(const char *command, const char *dir)
{
    g_autofree char *text =
        g_strdup_printf("{\"execute\":\"%s\",\"arguments\":{\"uri\":\"file:%s\"}}", command, dir);

    return qmp_bench_ask(session, text);
}

static void expect(const char *command, const char *answer)
{
    g_autofree char *got = qmp_bench_ask(session, command);

    ck_assert_str_eq(got, answer);
}

static void expect_in(const char *text, const char *part)
{
    ck_assert_msg(strstr(text, part) != NULL, "'%s' is not in: %s", part, text);
}

/* Runs the loop until the save has ended; what the session was sent meanwhile. */
static char *wait_for_end(void)
{
    do {
        loop_run(bench.loop);
    } while (migration_is_under_way(bench.vm->migration));
    return qmp_bench_read(session);
}

#define EVENTS_ON                                               \
    "{\"execute\":\"migrate-set-capabilities\",\"arguments\":{" \
    "\"capabilities\":[{\"capability\":\"events\",\"state\":true}]}}"
#define QUERY "{\"execute\":\"query-migrate\"}"

static void save(void)
{
    g_autofree char *answer = NULL;
    g_autofree char *events = NULL;

    g_free(qmp_bench_ask(session, EVENTS_ON));
    answer = ask("migrate", template);
    expect_in(answer, "{\"return\": {}}");
    events = wait_for_end();
    expect_in(events, "\"status\": \"completed\"");
}

/* ---- saving ---- */

START_TEST(a_vm_that_was_never_saved_says_nothing_of_it)
{
    expect(QUERY, "{\"return\": {}}\r\n");
}
END_TEST

START_TEST(a_save_goes_through_its_states_in_order)
{
    static const char *const order[] = {"setup",       "{\"return\": {}}", "active",
                                        "\"pass\": 1", "device",           "completed"};
    g_autoptr(GString) all = g_string_new(NULL);
    g_autofree char *answer = NULL;
    g_autofree char *events = NULL;
    const char *at;

    g_free(qmp_bench_ask(session, EVENTS_ON));
    answer = ask("migrate", template);
    events = wait_for_end();
    g_string_append(all, answer);
    g_string_append(all, events);
    at = all->str;
    for (size_t i = 0; i < G_N_ELEMENTS(order); i++) {
        at = strstr(at, order[i]);
        ck_assert_msg(at != NULL, "%s is missing, or late: %s", order[i], all->str);
    }
    ck_assert_ptr_null(strstr(all->str, "\"STOP\"")); /* it did not run */
}
END_TEST

START_TEST(a_running_vm_stops_for_it_and_can_go_on)
{
    g_autofree char *events = NULL;
    g_autofree char *status = NULL;
    g_autofree char *again = NULL;

    g_free(qmp_bench_ask(session, "{\"execute\":\"cont\"}"));
    g_free(qmp_bench_ask(session, EVENTS_ON));
    g_free(ask("migrate", template));
    events = wait_for_end();
    expect_in(events, "\"event\": \"STOP\"");
    status = qmp_bench_ask(session, "{\"execute\":\"query-status\"}");
    expect_in(status, "\"postmigrate\"");
    again = ask("migrate", template);
    expect_in(again, "Can't migrate the vm that was paused due to previous migration");
    g_free(qmp_bench_ask(session, "{\"execute\":\"cont\"}"));
    ck_assert_int_eq(bench.vm->state, RUN_STATE_RUNNING);
    save();
}
END_TEST

START_TEST(figures_are_told_afterwards)
{
    g_autofree char *answer = NULL;

    save();
    answer = qmp_bench_ask(session, QUERY);
    expect_in(answer, "\"status\": \"completed\"");
    expect_in(answer, "\"total\": 1048576");
    expect_in(answer, "\"remaining\": 0");
    expect_in(answer, "\"downtime\": ");
}
END_TEST

static const struct {
    const char *command;
    const char *message;
} wrong[] = {
    {"{\"execute\":\"migrate\"}", "need either 'uri' or 'channels' argument"},
    {"{\"execute\":\"migrate\",\"arguments\":{\"uri\":\"bogus:x\"}}",
     "unknown migration protocol: bogus:x"},
    {"{\"execute\":\"migrate\",\"arguments\":{\"uri\":\"\"}}", "unknown migration protocol: "},
    {"{\"execute\":\"migrate\",\"arguments\":{\"uri\":\"file:\"}}",
     "'file:': expected file:PATH, a template's folder or a file"},
    {"{\"execute\":\"migrate\",\"arguments\":{\"uri\":\"file:/proc/self/x\"}}", "/proc/self/x"},
    {"{\"execute\":\"migrate\",\"arguments\":{\"uri\":\"file:/t\",\"resume\":true}}",
     "there is no interrupted migration to resume"},
    {"{\"execute\":\"migrate-incoming\",\"arguments\":{\"uri\":\"file:/t\"}}",
     "'-incoming' was not specified on the command line"},
    {"{\"execute\":\"migrate-set-capabilities\",\"arguments\":{\"capabilities\":[{\"capability\":"
     "\"colo\",\"state\":true}]}}",
     "does not accept value 'colo'"},
};

START_TEST(what_cannot_be_is_refused_at_once)
{
    g_autofree char *answer = qmp_bench_ask(session, wrong[_i].command);

    expect_in(answer, "\"error\"");
    expect_in(answer, wrong[_i].message);
}
END_TEST

START_TEST(a_failed_save_says_why_and_leaves_the_vm_as_it_was)
{
    g_autofree char *answer = NULL;

    g_free(qmp_bench_ask(session, "{\"execute\":\"cont\"}"));
    g_free(ask("migrate", "/proc/self/nowhere"));
    answer = qmp_bench_ask(session, QUERY);
    expect_in(answer, "\"status\": \"failed\"");
    expect_in(answer, "\"error-desc\": ");
    ck_assert_int_eq(bench.vm->state, RUN_STATE_RUNNING);
}
END_TEST

START_TEST(a_cancelled_save_leaves_nothing_behind)
{
    g_autofree char *answer = NULL;
    g_autofree char *path = g_build_filename(template, "state", NULL);

    g_free(qmp_bench_ask(session, "{\"execute\":\"cont\"}"));
    g_free(qmp_bench_ask(session, EVENTS_ON));
    g_free(ask("migrate", template));
    g_free(qmp_bench_ask(session, "{\"execute\":\"migrate_cancel\"}"));
    g_free(wait_for_end());
    answer = qmp_bench_ask(session, QUERY);
    expect_in(answer, "\"status\": \"cancelled\"");
    ck_assert_int_eq(bench.vm->state, RUN_STATE_RUNNING);
    ck_assert_int_ne(g_access(path, F_OK), 0);
}
END_TEST

START_TEST(parameters_are_kept_and_told)
{
    g_autofree char *answer = NULL;

    g_free(qmp_bench_ask(session, "{\"execute\":\"migrate-set-parameters\",\"arguments\":{"
                                  "\"max-bandwidth\":9223372036853727232,\"sync\":false}}"));
    answer = qmp_bench_ask(session, "{\"execute\":\"query-migrate-parameters\"}");
    expect_in(answer, "\"max-bandwidth\": 9223372036853727232");
    expect_in(answer, "\"sync\": false");
    expect_in(answer, "\"direct-io\": false");
}
END_TEST

/* ---- loading ---- */

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

START_TEST(a_vm_that_waits_takes_the_template_with_its_ram)
{
    static const char words[] = "kept";
    char seen[sizeof(words)] = "";
    g_autofree char *answer = NULL;

    ck_assert(guest_mem_write(bench.vm->memory, GPA(0x5000), words, sizeof(words), NULL));
    save();
    end();
    begin(wait_for_template);
    answer = ask("migrate-incoming", template);
    expect_in(answer, "{\"return\": {}}");
    ck_assert(guest_mem_read(bench.vm->memory, GPA(0x5000), seen, sizeof(seen), NULL));
    ck_assert_str_eq(seen, words);
    ck_assert_int_eq(bench.vm->state, RUN_STATE_PAUSED); /* as it was saved */
}
END_TEST

START_TEST(what_was_saved_running_runs_afterwards)
{
    g_free(qmp_bench_ask(session, "{\"execute\":\"cont\"}"));
    save();
    end();
    begin(wait_for_template);
    g_free(ask("migrate-incoming", template));
    ck_assert_int_eq(bench.vm->state, RUN_STATE_RUNNING);
}
END_TEST

START_TEST(a_load_that_fails_can_be_tried_again)
{
    g_autofree char *answer = NULL;
    g_autofree char *second = NULL;

    save();
    end();
    begin(wait_for_template);
    answer = ask("migrate-incoming", folder);
    expect_in(answer, "\"error\"");
    ck_assert_int_eq(bench.vm->state, RUN_STATE_INMIGRATE);
    second = ask("migrate-incoming", template);
    expect_in(second, "{\"return\": {}}");
}
END_TEST

/* ---- how long what took ---- */

#define STATS(name)                                                                  \
    "{\"execute\":\"query-stats\",\"arguments\":{\"target\":\"vm\",\"providers\":[{" \
    "\"provider\":\"stencil\",\"names\":[\"migration_" name "\"]}]}}"
#define STAT(name, value)                                                                       \
    "{\"return\": [{\"provider\": \"stencil\", \"stats\": [{\"name\": \"migration_" name "\", " \
    "\"value\": " value "}]}]}\r\n"

static uint64_t file_bytes(const char *name)
{
    g_autofree char *path = g_build_filename(template, name, NULL);
    struct stat st;

    ck_assert_int_eq(stat(path, &st), 0);
    return (uint64_t)st.st_size;
}

START_TEST(each_part_of_a_save_has_its_time_and_bytes)
{
    int64_t began = loop_now_ns();
    MigrationPhases phases;
    uint64_t sum;

    expect(STATS("memory_time"), STAT("memory_time", "0"));
    ck_assert(guest_mem_write(bench.vm->memory, GPA(0x5000), "kept", 4, NULL));
    ck_assert(guest_mem_write(bench.vm->memory, GPA(0x8fff), "both", 4, NULL));
    save();
    phases = migration_info(bench.vm->migration).phases;
    sum = phases.setup_ns + phases.freeze_ns + phases.collect_ns + phases.memory_ns +
          phases.state_ns + phases.publish_ns;
    ck_assert_uint_gt(phases.setup_ns, 0);
    ck_assert_uint_gt(phases.freeze_ns, 0);
    ck_assert_uint_gt(phases.collect_ns, 0);
    ck_assert_uint_gt(phases.memory_ns, 0);
    ck_assert_uint_gt(phases.state_ns, 0);
    ck_assert_uint_gt(phases.publish_ns, 0);
    ck_assert_uint_eq(phases.load_ns, 0);
    ck_assert_uint_le(sum, (uint64_t)(loop_now_ns() - began));
    ck_assert_uint_eq(phases.state_bytes, file_bytes("state"));
    expect(STATS("memory_bytes"), STAT("memory_bytes", "12288"));
}
END_TEST

START_TEST(a_part_that_did_not_end_has_no_time)
{
    MigrationPhases phases;

    g_free(qmp_bench_ask(session, EVENTS_ON));
    g_free(ask("migrate", template));
    migration_cancel(bench.vm->migration);
    g_free(wait_for_end());
    phases = migration_info(bench.vm->migration).phases;
    ck_assert_uint_eq(phases.publish_ns, 0);
    save();
    ck_assert_uint_gt(migration_info(bench.vm->migration).phases.publish_ns, 0);
}
END_TEST

START_TEST(a_load_has_parts_too)
{
    MigrationPhases phases;

    save();
    end();
    begin(wait_for_template);
    g_free(ask("migrate-incoming", template));
    phases = migration_info(bench.vm->migration).phases;
    ck_assert_uint_gt(phases.setup_ns, 0);
    ck_assert_uint_gt(phases.load_ns, 0);
    ck_assert_uint_gt(phases.state_bytes, 0);
    ck_assert_uint_eq(phases.freeze_ns + phases.collect_ns + phases.memory_ns + phases.publish_ns +
                          phases.memory_bytes,
                      0);
}
END_TEST

START_TEST(another_vm_is_refused_with_the_difference)
{
    g_autofree char *answer = NULL;

    save();
    end();
    begin(have_more_memory);
    answer = ask("migrate-incoming", template);
    expect_in(answer, "memory size: \\\"2M\\\" here, \\\"1M\\\" in the template");
    ck_assert_int_eq(bench.vm->state, RUN_STATE_INMIGRATE);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("migration");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_vm_that_was_never_saved_says_nothing_of_it);
    tcase_add_test(tc, a_save_goes_through_its_states_in_order);
    tcase_add_test(tc, a_running_vm_stops_for_it_and_can_go_on);
    tcase_add_test(tc, figures_are_told_afterwards);
    tcase_add_loop_test(tc, what_cannot_be_is_refused_at_once, 0, G_N_ELEMENTS(wrong));
    tcase_add_test(tc, a_failed_save_says_why_and_leaves_the_vm_as_it_was);
    tcase_add_test(tc, a_cancelled_save_leaves_nothing_behind);
    tcase_add_test(tc, parameters_are_kept_and_told);
    tcase_add_test(tc, a_vm_that_waits_takes_the_template_with_its_ram);
    tcase_add_test(tc, what_was_saved_running_runs_afterwards);
    tcase_add_test(tc, a_load_that_fails_can_be_tried_again);
    tcase_add_test(tc, each_part_of_a_save_has_its_time_and_bytes);
    tcase_add_test(tc, a_part_that_did_not_end_has_no_time);
    tcase_add_test(tc, a_load_has_parts_too);
    tcase_add_test(tc, another_vm_is_refused_with_the_difference);
    return suite_run("migration", tc);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "qmp/session.h"

#include "tests/support/qmp_bench.h"
#include "tests/unit/suite.h"

#include <fcntl.h>
#include <json-c/json.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define RETURN "{\"return\": {}}\r\n"

static QmpBench bench;
static QmpSession *session;

static void set_up(void)
{
    qmp_bench_begin(&bench, NULL);
    session = qmp_bench_session(&bench, /* negotiated= */ true, /* oob= */ false);
}

static void tear_down(void)
{
    qmp_session_free(session);
    qmp_bench_end(&bench);
}

/* The names of events and "return"/"error", in the order of the lines. */
static char *kinds(const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\r\n", -1);
    GString *out = g_string_new(NULL);

    for (int i = 0; lines[i] && lines[i][0]; i++) {
        json_object *message = json_tokener_parse(lines[i]);
        json_object *event = NULL;

        ck_assert_msg(message, "no JSON: %s", lines[i]);
        g_string_append(out, out->len > 0 ? " " : "");
        if (json_object_object_get_ex(message, "event", &event)) {
            g_string_append(out, json_object_get_string(event));
        } else {
            g_string_append(out, json_object_object_get_ex(message, "return", NULL) ? "return"
                                                                                    : "error");
        }
        json_object_put(message);
    }
    return g_string_free(out, FALSE);
}

static void expect_kinds(const char *command, const char *expected)
{
    g_autofree char *answer = qmp_bench_ask(session, command);
    g_autofree char *got = kinds(answer);

    ck_assert_str_eq(got, expected);
}

START_TEST(the_greeting_comes_first_and_names_both_versions)
{
    g_autoptr(QmpSession) fresh = qmp_session_new(bench.server, false, (QmpSessionWake)abort, NULL);
    g_autofree char *text = qmp_bench_read(fresh);

    ck_assert(g_str_has_prefix(text, "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, "
                                     "\"minor\": 2, \"major\": 7}, \"package\": \"Stencil "));
    ck_assert(g_str_has_suffix(text, "\"}, \"capabilities\": [\"oob\"]}}\r\n"));
}
END_TEST

START_TEST(events_come_before_the_answer_of_the_command_that_caused_them)
{
    expect_kinds("{\"execute\":\"cont\"}", "RESUME return");
    expect_kinds("{\"execute\":\"cont\"}", "return");
    expect_kinds("{\"execute\":\"stop\"}", "STOP return");
    expect_kinds("{\"execute\":\"stop\"}", "return");
    expect_kinds("{\"execute\":\"quit\"}", "SHUTDOWN return");
}
END_TEST

START_TEST(a_client_may_begin_with_what_needs_no_negotiation)
{
    g_autoptr(QmpSession) fresh = qmp_bench_session(&bench, false, false);
    g_autofree char *cont = qmp_bench_ask(fresh, "{\"execute\":\"cont\"}");
    g_autofree char *seen = kinds(cont);
    g_autofree char *name = qmp_bench_ask(fresh, "{\"execute\":\"query-name\"}");
    g_autofree char *first = qmp_bench_ask(fresh, "{\"execute\":\"qmp_capabilities\"}");
    g_autofree char *second = qmp_bench_ask(fresh, "{\"execute\":\"qmp_capabilities\"}");

    ck_assert_str_eq(seen, "RESUME return");
    ck_assert_str_eq(name, RETURN);
    ck_assert_str_eq(first, RETURN);
    ck_assert_ptr_nonnull(strstr(second, "already complete"));
}
END_TEST

START_TEST(events_go_to_every_session_that_has_negotiated_and_to_no_other)
{
    g_autoptr(QmpSession) other = qmp_bench_session(&bench, true, false);
    g_autoptr(QmpSession) silent = qmp_bench_session(&bench, false, false);
    g_autofree char *event = NULL;
    g_autofree char *nothing = NULL;

    expect_kinds("{\"execute\":\"cont\"}", "RESUME return");
    event = qmp_bench_read(other);
    nothing = qmp_bench_read(silent);
    ck_assert(g_str_has_prefix(event, "{\"timestamp\": {\"seconds\": "));
    ck_assert(g_str_has_suffix(event, "}, \"event\": \"RESUME\"}\r\n"));
    ck_assert_str_eq(nothing, "");
}
END_TEST

static void *raise_many(void *opaque)
{
    for (int i = 0; i < 100; i++) {
        json_object *data = json_object_new_object();

        json_object_object_add(data, "reason", json_object_new_int(i));
        event_raise(opaque, "VCPU_FAILED", data);
    }
    return NULL;
}

START_TEST(events_of_another_thread_arrive_in_order)
{
    GThread *thread =
        g_thread_new("raiser", raise_many, (void *)(uintptr_t)qmp_server_events(bench.server));
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;

    g_thread_join(thread);
    qmp_bench_settle(&bench);
    text = qmp_bench_read(session);
    lines = g_strsplit(text, "\r\n", -1);
    ck_assert_uint_eq(g_strv_length(lines), 101);
    for (int i = 0; i < 100; i++) {
        g_autofree char *end = g_strdup_printf("{\"reason\": %d}}", i);

        ck_assert(g_str_has_suffix(lines[i], end));
    }
}
END_TEST

static void raise_disk_error(const char *device, const char *action)
{
    json_object *data = json_object_new_object();

    json_object_object_add(data, "device", json_object_new_string(device));
    json_object_object_add(data, "action", json_object_new_string(action));
    event_raise(qmp_server_events(bench.server), "BLOCK_IO_ERROR", data);
}

START_TEST(what_a_guest_can_cause_at_will_is_sent_once_a_second)
{
    g_autofree char *text = NULL;
    g_autofree char *got = NULL;

    for (int i = 0; i < 1000; i++) {
        raise_disk_error("a", "report");
        raise_disk_error("b", "report");
    }
    raise_disk_error("a", "stop");
    text = qmp_bench_read(session);
    got = kinds(text);
    ck_assert_str_eq(got, "BLOCK_IO_ERROR BLOCK_IO_ERROR BLOCK_IO_ERROR");
}
END_TEST

START_TEST(a_client_that_does_not_read_answers_is_not_served_further)
{
    const char *ask = "{\"execute\":\"query-qmp-schema\"}";
    size_t sent = 0;
    size_t len;

    while (qmp_session_room(session) >= strlen(ask)) {
        qmp_session_receive(session, ask, strlen(ask));
        sent++;
        ck_assert_uint_lt(sent, 10000);
    }
    qmp_session_output(session, &len);
    ck_assert_uint_lt(len, 2 * SESSION_OUTPUT_SOFT);

    size_t answers = 0;

    while (len > 0) {
        g_autofree char *text = qmp_bench_read(session);

        for (const char *at = text; (at = strstr(at, "{\"return\": ["));) {
            at++;
            answers++;
        }
        qmp_session_run(session);
        qmp_session_output(session, &len);
    }
    ck_assert_uint_eq(answers, sent);
}
END_TEST

START_TEST(a_client_that_never_reads_its_events_is_cut_off)
{
    const VmEventSink *events = qmp_server_events(bench.server);
    unsigned raised = 0;

    while (!qmp_session_is_over(session)) {
        event_raise(events, "STOP", NULL);
        ck_assert_uint_lt(raised++, 1000000);
    }
    ck_assert_uint_gt(raised, SESSION_OUTPUT_HARD / 100);
}
END_TEST

START_TEST(what_was_sent_before_a_half_close_is_answered)
{
    static const char commands[] = "{\"execute\":\"cont\"}{\"execute\":\"stop\",\"id\":\"last\"}";
    g_autofree char *text = NULL;

    qmp_session_receive(session, commands, strlen(commands));
    qmp_session_end_input(session);
    ck_assert(!qmp_session_is_over(session));
    while (qmp_session_is_ready(session)) { /* a slow machine needs more than one turn */
        qmp_session_run(session);
    }
    text = qmp_bench_read(session);
    ck_assert(strstr(text, "{\"return\": {}, \"id\": \"last\"}\r\n"));
    ck_assert(qmp_session_is_over(session));
}
END_TEST

START_TEST(a_thousand_commands_in_one_go_are_answered_in_order)
{
    g_autoptr(GString) commands = g_string_new(NULL);
    g_autoptr(GString) expected = g_string_new(NULL);
    g_autofree char *got = NULL;

    for (int i = 0; i < 1000; i++) {
        g_string_append_printf(commands, "{\"execute\":\"query-name\",\"id\":%d}", i);
        g_string_append_printf(expected, "{\"return\": {}, \"id\": %d}\r\n", i);
    }
    got = qmp_bench_talk(session, commands->str, commands->len, 4096);
    ck_assert_str_eq(got, expected->str);
}
END_TEST

START_TEST(descriptors_that_nobody_asked_for_are_closed)
{
    int fds[SESSION_MAX_FDS + 1];
    int first;

    for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
        fds[i] = memfd_create("t", MFD_CLOEXEC);
    }
    qmp_session_receive_fds(session, fds, G_N_ELEMENTS(fds));
    ck_assert_int_eq(fcntl(fds[SESSION_MAX_FDS], F_GETFD), -1);
    first = qmp_session_take_fd(session);
    ck_assert_int_eq(first, fds[0]);
    qmp_session_free(session);
    session = NULL;
    ck_assert_int_eq(fcntl(fds[1], F_GETFD), -1);
    ck_assert_int_ge(fcntl(first, F_GETFD), 0);
    close(first);
}
END_TEST

START_TEST(oob_commands_need_the_capability)
{
    g_autoptr(QmpSession) oob = qmp_bench_session(&bench, true, true);
    g_autofree char *in_band = qmp_bench_ask(oob, "{\"execute\":\"query-name\"}");
    g_autofree char *refused = qmp_bench_ask(oob, "{\"exec-oob\":\"query-name\"}");

    ck_assert_str_eq(in_band, RETURN);
    ck_assert(strstr(refused, "The command query-name does not support OOB"));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("qmp_session");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, the_greeting_comes_first_and_names_both_versions);
    tcase_add_test(tc, events_come_before_the_answer_of_the_command_that_caused_them);
    tcase_add_test(tc, a_client_may_begin_with_what_needs_no_negotiation);
    tcase_add_test(tc, events_go_to_every_session_that_has_negotiated_and_to_no_other);
    tcase_add_test(tc, events_of_another_thread_arrive_in_order);
    tcase_add_test(tc, what_a_guest_can_cause_at_will_is_sent_once_a_second);
    tcase_add_test(tc, a_client_that_does_not_read_answers_is_not_served_further);
    tcase_add_test(tc, a_client_that_never_reads_its_events_is_cut_off);
    tcase_add_test(tc, what_was_sent_before_a_half_close_is_answered);
    tcase_add_test(tc, a_thousand_commands_in_one_go_are_answered_in_order);
    tcase_add_test(tc, descriptors_that_nobody_asked_for_are_closed);
    tcase_add_test(tc, oob_commands_need_the_capability);
    return suite_run("qmp_session", tc);
}

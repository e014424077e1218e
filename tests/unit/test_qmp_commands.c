/* SPDX-License-Identifier: Apache-2.0 */
/* Commands: every answer has the shape that query-qmp-schema promises, and some are looked at. */
#include "qmp/schema.h"

#include "tests/support/qmp_bench.h"
#include "tests/unit/suite.h"
#include "util/socket.h"

#include <fcntl.h>
#include <json-c/json.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static QmpBench bench;
static QmpSession *session;

static void add_things(VmConfig *config)
{
    PropBag *object = prop_bag_new("qom-type");
    PropBag *chardev = prop_bag_new("backend");

    config->name = g_strdup("me");
    prop_bag_add(object, "qom-type", "iothread");
    prop_bag_add(object, "id", "io0");
    g_ptr_array_add(config->objects, object);
    prop_bag_add(chardev, "backend", "null");
    prop_bag_add(chardev, "id", "c0");
    g_ptr_array_add(config->chardevs, chardev);
    chardev = prop_bag_new("backend");
    prop_bag_add(chardev, "backend", "ringbuf");
    prop_bag_add(chardev, "id", "ring");
    g_ptr_array_add(config->chardevs, chardev);
}

static void set_up(void)
{
    qmp_bench_begin(&bench, add_things);
    session = qmp_bench_session(&bench, /* negotiated= */ true, /* oob= */ false);
}

static void tear_down(void)
{
    qmp_session_free(session);
    qmp_bench_end(&bench);
}

static json_object *member(json_object *object, const char *name)
{
    json_object *value = NULL;

    json_object_object_get_ex(object, name, &value);
    return value;
}

static const char *text(json_object *object, const char *name)
{
    return json_object_get_string(member(object, name));
}

/* The whole answer, which the caller puts. */
static json_object *ask(const char *command)
{
    g_autofree char *answer = qmp_bench_ask(session, command);
    json_object *message = json_tokener_parse(answer);

    ck_assert_msg(message, "%s: %s", command, answer);
    return message;
}

static void expect(const char *command, const char *answer)
{
    g_autofree char *got = qmp_bench_ask(session, command);

    ck_assert_str_eq(got, answer);
}

/* ---- the promise of query-qmp-schema ---- */

static json_object *schema;

static json_object *find(const char *name)
{
    for (size_t i = 0; i < json_object_array_length(schema); i++) {
        json_object *entry = json_object_array_get_idx(schema, i);

        if (strcmp(text(entry, "name"), name) == 0) {
            return entry;
        }
    }
    ck_abort_msg("no type %s", name);
}

static void check_value(const char *command, const char *type, json_object *value);

static void check_object(const char *command, json_object *type, json_object *value)
{
    json_object *members = member(type, "members");
    size_t known = 0;

    ck_assert_msg(json_object_is_type(value, json_type_object), "%s: no object", command);
    for (size_t i = 0; i < json_object_array_length(members); i++) {
        json_object *one = json_object_array_get_idx(members, i);
        json_object *found = NULL;

        if (json_object_object_get_ex(value, text(one, "name"), &found)) {
            known++;
            check_value(command, text(one, "type"), found);
        } else {
            ck_assert_msg(json_object_object_get_ex(one, "default", NULL), "%s: no member %s",
                          command, text(one, "name"));
        }
    }
    ck_assert_msg((int)known == json_object_object_length(value), "%s: a member too many in %s",
                  command, json_object_get_string(value));
}

static void check_value(const char *command, const char *name, json_object *value)
{
    static const struct {
        const char *name;
        json_type type;
    } builtins[] = {{"str", json_type_string}, {"int", json_type_int}, {"bool", json_type_boolean}};
    json_object *type = find(name);
    const char *meta = text(type, "meta-type");

    if (strcmp(meta, "object") == 0) {
        check_object(command, type, value);
    } else if (strcmp(meta, "array") == 0) {
        ck_assert(json_object_is_type(value, json_type_array));
        for (size_t i = 0; i < json_object_array_length(value); i++) {
            check_value(command, text(type, "element-type"), json_object_array_get_idx(value, i));
        }
    } else if (strcmp(meta, "enum") == 0) {
        bool found = false;

        for (size_t i = 0; i < json_object_array_length(member(type, "values")); i++) {
            json_object *word = json_object_array_get_idx(member(type, "values"), i);

            found = found || json_object_equal(word, value);
        }
        ck_assert_msg(found, "%s: no word is %s", command, json_object_get_string(value));
    }
    for (size_t i = 0; i < G_N_ELEMENTS(builtins); i++) {
        ck_assert_msg(strcmp(name, builtins[i].name) != 0 ||
                          json_object_is_type(value, builtins[i].type),
                      "%s: %s is no %s", command, json_object_get_string(value), name);
    }
}

static bool needs_arguments(const QmpCommand *command)
{
    for (size_t i = 0; command->arguments && i < command->arguments->num_members; i++) {
        if (!command->arguments->members[i].optional) {
            return true;
        }
    }
    return false;
}

START_TEST(every_answer_has_the_shape_that_the_schema_promises)
{
    json_object *message = ask("{\"execute\":\"query-qmp-schema\"}");
    unsigned checked = 0;

    schema = member(message, "return");
    for (size_t i = 0; i < qmp_num_commands; i++) {
        const QmpCommand *command = &qmp_commands[i];
        g_autofree char *request = g_strdup_printf("{\"execute\":\"%s\"}", command->name);
        json_object *answer;

        if (needs_arguments(command) || strcmp(command->name, "cont") == 0 ||
            strcmp(command->name, "quit") == 0 || strcmp(command->name, "system_reset") == 0) {
            continue;
        }
        answer = ask(request);
        if (!member(answer, "error")) {
            check_value(command->name, text(find(command->name), "ret-type"),
                        member(answer, "return"));
            checked++;
        }
        json_object_put(answer);
    }
    ck_assert_uint_ge(checked, 25);
    json_object_put(message);
}
END_TEST

START_TEST(every_event_that_the_vm_raises_has_the_shape_that_the_schema_promises)
{
    static const char *const commands[] = {"cont", "stop", "quit"};
    json_object *message = ask("{\"execute\":\"query-qmp-schema\"}");

    schema = member(message, "return");
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        g_autofree char *request = g_strdup_printf("{\"execute\":\"%s\"}", commands[i]);
        json_object *event = ask(request);
        json_object *data = member(event, "data");
        json_object *empty = json_object_new_object();

        check_value(commands[i], text(find(text(event, "event")), "arg-type"), data ? data : empty);
        json_object_put(empty);
        json_object_put(event);
    }
    json_object_put(message);
}
END_TEST

/* ---- single commands ---- */

START_TEST(classes_that_clients_branch_on_are_there)
{
    expect("{\"execute\":\"query-balloon\"}",
           "{\"error\": {\"class\": \"DeviceNotActive\", \"desc\": "
           "\"No balloon device has been activated\"}}\r\n");
    expect("{\"execute\":\"device-list-properties\",\"arguments\":{\"typename\":\"nosuch\"}}",
           "{\"error\": {\"class\": \"DeviceNotFound\", \"desc\": "
           "\"Device 'nosuch' not found\"}}\r\n");
    expect("{\"execute\":\"qom-list-properties\",\"arguments\":{\"typename\":\"nosuch\"}}",
           "{\"return\": []}\r\n");
    expect("{\"execute\":\"block_resize\",\"arguments\":{\"device\":\"x\",\"size\":0}}",
           "{\"error\": {\"class\": \"DeviceNotFound\", \"desc\": "
           "\"Device 'x' not found\"}}\r\n");
}
END_TEST

START_TEST(the_tree_has_what_the_command_line_made)
{
    expect("{\"execute\":\"qom-list\",\"arguments\":{\"path\":\"/objects\"}}",
           "{\"return\": [{\"name\": \"type\", \"type\": \"string\"}, "
           "{\"name\": \"io0\", \"type\": \"child<iothread>\"}]}\r\n");
    expect("{\"execute\":\"qom-get\",\"arguments\":{\"path\":\"/objects/io0\","
           "\"property\":\"type\"}}",
           "{\"return\": \"iothread\"}\r\n");
    expect("{\"execute\":\"qom-get\",\"arguments\":{\"path\":\"/machine\",\"property\":\"x\"}}",
           "{\"error\": {\"class\": \"GenericError\", \"desc\": "
           "\"Property 'none-machine.x' not found\"}}\r\n");
    expect("{\"execute\":\"qom-list\",\"arguments\":{\"path\":\"/machine/unattached/device[7]\"}}",
           "{\"error\": {\"class\": \"DeviceNotFound\", \"desc\": "
           "\"Device '/machine/unattached/device[7]' not found\"}}\r\n");
}
END_TEST

START_TEST(commands_for_people_answer_as_on_a_screen)
{
#define HUMAN(line) \
    "{\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":\"" line "\"}}"
    expect(HUMAN("info  status "), "{\"return\": \"VM status: paused (prelaunch)\\r\\n\"}\r\n");
    expect(HUMAN("info name"), "{\"return\": \"me\\r\\n\"}\r\n");
    expect(HUMAN("nosuch thing"), "{\"return\": \"unknown command: 'nosuch'\\r\\n\"}\r\n");
    expect(HUMAN(""), "{\"return\": \"\"}\r\n");
    g_free(qmp_bench_ask(session, HUMAN("cont")));
    expect(HUMAN("info status"), "{\"return\": \"VM status: running\\r\\n\"}\r\n");
}
END_TEST

static void expect_human(const char *line, const char *shown)
{
    g_autofree char *request = g_strdup_printf(HUMAN("%s"), line);
    json_object *answer = ask(request);

    ck_assert_str_eq(text(answer, "return"), shown);
    json_object_put(answer);
}

START_TEST(people_see_memory_in_the_form_they_like)
{
    static const uint8_t bytes[] = {'A', 0x01, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xff, 0, 0, 0, 0};

    ck_assert(guest_mem_write(bench.vm->memory, GPA(0x1000), bytes, sizeof(bytes), NULL));
    expect_human("xp 0x1000", "0000000000001000: 0xffff0141\r\n");
    expect_human("xp /3xw 4096", "0000000000001000: 0xffff0141 0xfffffffe 0x00000000\r\n");
    expect_human("xp /2gx 0x1000", "0000000000001000: 0xfffffffeffff0141 0x0000000000000000\r\n");
    expect_human("xp /2db 0x1002", "0000000000001002: -1 -1\r\n");
    expect_human("xp /1du 0x1004", "0000000000001004: 4294967294\r\n");
    expect_human("xp /dw 0x1004", "0000000000001004: -2\r\n");
    expect_human("xp /oh 0x1000", "0000000000001000: 0501\r\n");
    expect_human("xp /2cb 0x1000", "0000000000001000: 'A' '\\x01'\r\n");
    expect_human("xp /5xw 0x2000",
                 "0000000000002000: 0x00000000 0x00000000 0x00000000 0x00000000\r\n"
                 "0000000000002010: 0x00000000\r\n");
}
END_TEST

START_TEST(people_who_mistype_are_told_what_was_expected)
{
    static const char *const lines[] = {"xp",      "xp /x", "xp /0x 1", "xp /9999x 1",
                                        "xp /z 1", "xp 0x", "xp 1 2",   "xp -1"};

    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        expect_human(lines[i],
                     "xp: expected [/COUNT x|d|u|o|c b|h|w|g] ADDRESS, as in xp /8xw 0x1000\r\n");
    }
    expect_human("info status now", "unknown command: 'info status now'\r\n");
    expect_human("xpx 1", "unknown command: 'xpx'\r\n");
}
END_TEST

START_TEST(people_see_what_the_vm_is_made_of)
{
    expect_human("info mtree",
                 "memory\r\n"
                 "  0000000000000000-00000000000fffff: ram @0000000000000000 (ram)\r\n"
                 "mmio\r\nI/O\r\n");
    expect_human("info qtree", "machine: none\r\n");
    expect_human("info chardev", "c0: filename=null\r\nring: filename=ringbuf\r\n");
    expect_human("info block", "");
    expect_human("info blockstats", "");
}
END_TEST

static int pass_fd(void)
{
    int fd = memfd_create("t", MFD_CLOEXEC);

    qmp_session_receive_fds(session, &fd, 1);
    return fd;
}

START_TEST(descriptors_are_named_replaced_and_closed)
{
#define GETFD(name)   "{\"execute\":\"getfd\",\"arguments\":{\"fdname\":\"" name "\"}}"
#define CLOSEFD(name) "{\"execute\":\"closefd\",\"arguments\":{\"fdname\":\"" name "\"}}"
#define GENERIC(desc) "{\"error\": {\"class\": \"GenericError\", \"desc\": \"" desc "\"}}\r\n"
    int first;
    int second;

    expect(GETFD("a"), GENERIC("No file descriptor supplied via SCM_RIGHTS"));
    first = pass_fd();
    expect(GETFD("a"), "{\"return\": {}}\r\n");
    second = pass_fd();
    expect(GETFD("a"), "{\"return\": {}}\r\n");
    ck_assert_int_eq(fcntl(first, F_GETFD), -1);
    ck_assert_int_ge(fcntl(second, F_GETFD), 0);
    expect(CLOSEFD("a"), "{\"return\": {}}\r\n");
    ck_assert_int_eq(fcntl(second, F_GETFD), -1);
    expect(CLOSEFD("a"), GENERIC("File descriptor named 'a' not found"));
    first = pass_fd();
    expect(GETFD("1"), GENERIC("Parameter 'fdname' expects a name not starting with a digit"));
    ck_assert_int_eq(fcntl(first, F_GETFD), -1);
}
END_TEST

START_TEST(descriptors_go_into_sets_and_out_again)
{
#define ADDFD(arguments)    "{\"execute\":\"add-fd\",\"arguments\":" arguments "}"
#define REMOVEFD(arguments) "{\"execute\":\"remove-fd\",\"arguments\":" arguments "}"
    g_autofree char *sets = NULL;
    json_object *answer;
    int fd;

    expect(ADDFD("{}"), GENERIC("No file descriptor supplied via SCM_RIGHTS"));
    fd = pass_fd();
    expect(ADDFD("{\"fdset-id\":-2}"),
           GENERIC("Parameter 'fdset-id' expects a non-negative value (got: -2)"));
    ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
    fd = pass_fd();
    answer = ask(ADDFD("{\"opaque\":\"x\"}"));
    ck_assert_int_eq(json_object_get_int(member(member(answer, "return"), "fd")), fd);
    ck_assert_int_eq(json_object_get_int(member(member(answer, "return"), "fdset-id")), 0);
    json_object_put(answer);
    sets = g_strdup_printf("{\"return\": [{\"fds\": [{\"fd\": %d, \"opaque\": \"x\"}], "
                           "\"fdset-id\": 0}]}\r\n",
                           fd);
    expect("{\"execute\":\"query-fdsets\"}", sets);
    expect(REMOVEFD("{\"fdset-id\":0,\"fd\":-1}"),
           GENERIC("File descriptor named 'fdset-id:0, fd:-1' not found"));
    expect(REMOVEFD("{\"fdset-id\":7}"), GENERIC("File descriptor named 'fdset-id:7' not found"));
    expect(REMOVEFD("{\"fdset-id\":0}"), "{\"return\": {}}\r\n");
    expect("{\"execute\":\"query-fdsets\"}", "{\"return\": []}\r\n");
    ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
}
END_TEST

#define RINGBUF(verb, more) "{\"execute\":\"ringbuf-" verb "\",\"arguments\":{\"device\":" more "}}"

START_TEST(ring_buffers_are_read_and_written_as_text_and_as_base64)
{
    expect(RINGBUF("write", "\"ring\",\"data\":\"a\\u0000\u00e9\""), "{\"return\": {}}\r\n");
    expect(RINGBUF("read", "\"ring\",\"size\":100,\"format\":\"base64\""),
           "{\"return\": \"YQDDqQ==\"}\r\n");
    expect(RINGBUF("write", "\"ring\",\"data\":\"YQDDqf9i\",\"format\":\"base64\""),
           "{\"return\": {}}\r\n");
    expect(RINGBUF("read", "\"ring\",\"size\":4"), "{\"return\": \"a\\u0000\\u00E9\"}\r\n");
    expect(RINGBUF("read", "\"ring\",\"size\":4"), "{\"return\": \"\\uFFFDb\"}\r\n");
    expect(RINGBUF("read", "\"ring\",\"size\":4"), "{\"return\": \"\"}\r\n");
}
END_TEST

START_TEST(what_is_no_ring_buffer_is_not_read)
{
    expect(RINGBUF("read", "\"x\",\"size\":4"), GENERIC("Device 'x' not found"));
    expect(RINGBUF("read", "\"c0\",\"size\":4"), GENERIC("c0 is not a ringbuf device"));
    expect(RINGBUF("read", "\"ring\",\"size\":0"), GENERIC("size must be greater than zero"));
    expect(RINGBUF("write", "\"ring\",\"data\":\"a\",\"format\":\"base64\""),
           GENERIC("Parameter 'data' expects base64"));
    expect(RINGBUF("write", "\"ring\",\"data\":\"YQ=a\",\"format\":\"base64\""),
           GENERIC("Parameter 'data' expects base64"));
    expect(RINGBUF("write", "\"ring\",\"data\":\"YQ==\",\"format\":\"hex\""),
           GENERIC("Parameter 'format' does not accept value 'hex'"));
}
END_TEST

START_TEST(actions_change_while_the_vm_lives)
{
#define SET_ACTION(arguments) "{\"execute\":\"set-action\",\"arguments\":{" arguments "}}"
    expect(SET_ACTION("\"shutdown\":\"pause\",\"reboot\":\"shutdown\""), "{\"return\": {}}\r\n");
    expect(SET_ACTION("\"panic\":\"none\",\"watchdog\":\"debug\""), "{\"return\": {}}\r\n");
    ck_assert_int_eq(bench.vm->actions.shutdown, SHUTDOWN_ACTION_PAUSE);
    ck_assert_int_eq(bench.vm->actions.reboot, REBOOT_ACTION_SHUTDOWN);
    ck_assert_int_eq(bench.vm->actions.panic, PANIC_ACTION_NONE);
    ck_assert_int_eq(bench.vm->actions.watchdog, WATCHDOG_ACTION_DEBUG);
    expect(SET_ACTION("\"panic\":\"cry\""),
           GENERIC("Parameter 'panic' does not accept value 'cry'"));
    vm_shutdown(bench.vm, /* from_guest= */ true, "guest-shutdown");
    ck_assert_int_eq(bench.vm->state, RUN_STATE_SHUTDOWN);
}
END_TEST

START_TEST(memory_is_read_as_a_number_in_hexadecimal)
{
#define GPA_IS(text) "{\"execute\":\"query-mem-gpa\",\"arguments\":{\"gpa\":\"" text "\"}}"
    static const uint8_t bytes[] = {0x01, 0x00, 0x00, 0xb9};

    ck_assert(guest_mem_write(bench.vm->memory, GPA(0x3d00), bytes, sizeof(bytes), NULL));
    expect(GPA_IS("3d00"), "{\"return\": \"B9000001\"}\r\n");
    expect(GPA_IS("0x3d00"),
           GENERIC("Parameter 'gpa' expects a number in hexadecimal (got: '0x3d00')"));
    expect(GPA_IS(""), GENERIC("Parameter 'gpa' expects a number in hexadecimal (got: '')"));

    json_object *beyond = ask(GPA_IS("ffffffff"));

    ck_assert_ptr_nonnull(member(beyond, "error"));
    json_object_put(beyond);
}
END_TEST

START_TEST(cpu_models_are_kvms_business)
{
    expect("{\"execute\":\"query-cpu-model-expansion\",\"arguments\":{\"type\":\"full\","
           "\"model\":{\"name\":\"host\"}}}",
           "{\"error\": {\"class\": \"KVMMissingCap\", \"desc\": \"Only KVM knows what a CPU model "
           "comes to, and this VM does not use it\"}}\r\n");
#ifdef __x86_64__
    expect("{\"execute\":\"inject-nmi\"}", "{\"return\": {}}\r\n");
#else
    expect("{\"execute\":\"inject-nmi\"}",
           GENERIC("vCPU 0: KVM has no non-maskable interrupt for AArch64 guests"));
#endif
}
END_TEST

/* Every counter that is told of has an explanation, and the other way round. */
START_TEST(statistics_are_explained_and_chosen)
{
    json_object *schemas = ask("{\"execute\":\"query-stats-schemas\"}");
    json_object *vm = ask("{\"execute\":\"query-stats\",\"arguments\":{\"target\":\"vm\"}}");
    json_object *vcpu = ask("{\"execute\":\"query-stats\",\"arguments\":{\"target\":\"vcpu\"}}");
    json_object *results[] = {member(vm, "return"), member(vcpu, "return")};

    ck_assert_uint_eq(json_object_array_length(member(schemas, "return")), 3);
    for (size_t i = 0; i < G_N_ELEMENTS(results); i++) {
        json_object *schema_of = json_object_array_get_idx(member(schemas, "return"), i);
        json_object *result = json_object_array_get_idx(results[i], 0);
        size_t count = json_object_array_length(member(result, "stats"));

        ck_assert_uint_gt(count, 1);
        ck_assert_uint_eq(json_object_array_length(member(schema_of, "stats")), count);
        for (size_t j = 0; j < count; j++) {
            ck_assert_str_eq(
                text(json_object_array_get_idx(member(result, "stats"), j), "name"),
                text(json_object_array_get_idx(member(schema_of, "stats"), j), "name"));
        }
    }
    json_object_put(schemas);
    json_object_put(vm);
    json_object_put(vcpu);
    expect("{\"execute\":\"query-stats\",\"arguments\":{\"target\":\"vcpu\",\"providers\":"
           "[{\"provider\":\"stencil\",\"names\":[\"exits_mmio\"]}]}}",
           "{\"return\": [{\"provider\": \"stencil\", \"qom-path\": "
           "\"/machine/unattached/device[0]\", \"stats\": [{\"name\": \"exits_mmio\", "
           "\"value\": 0}]}]}\r\n");
    expect("{\"execute\":\"query-stats\",\"arguments\":{\"target\":\"vcpu\",\"vcpus\":[\"/x\"]}}",
           "{\"return\": []}\r\n");
    expect("{\"execute\":\"query-stats\",\"arguments\":{\"target\":\"queue\"}}",
           "{\"return\": []}\r\n");
    expect("{\"execute\":\"query-stats\",\"arguments\":{\"target\":\"vm\",\"vcpus\":[]}}",
           GENERIC("Parameter 'vcpus' is unexpected"));
    expect("{\"execute\":\"query-stats\",\"arguments\":{\"target\":\"vm\",\"providers\":"
           "[{\"provider\":\"kvm\"}]}}",
           GENERIC("Parameter 'provider' does not accept value 'kvm'"));
    expect("{\"execute\":\"query-stats\"}", GENERIC("Parameter 'target' is missing"));
}
END_TEST

#define TRACE(command, arguments) \
    "{\"execute\":\"trace-" command "\",\"arguments\":{" arguments "}}"

START_TEST(tracepoints_are_switched_in_the_words_of_two_programs)
{
    expect(
        TRACE("event-get-state", "\"name\":\"vm_state\""),
        "{\"return\": [{\"name\": \"vm_state\", \"state\": \"disabled\", \"vcpu\": false}]}\r\n");
    expect(TRACE("event-set-state", "\"name\":\"vm_*\",\"enable\":true"), "{\"return\": {}}\r\n");
    expect(TRACE("get-state", "\"pattern\":\"vm_state\""),
           "{\"return\": [{\"name\": \"vm_state\", \"state\": true}]}\r\n");
    expect(TRACE("set-state", "\"pattern\":\"*\",\"enable\":false"), "{\"return\": {}}\r\n");
    expect(
        TRACE("event-get-state", "\"name\":\"vm_state\""),
        "{\"return\": [{\"name\": \"vm_state\", \"state\": \"disabled\", \"vcpu\": false}]}\r\n");
    expect(TRACE("event-get-state", "\"name\":\"nosuch*\""), "{\"return\": []}\r\n");
    expect(TRACE("event-get-state", "\"name\":\"nosuch\""),
           GENERIC("unknown event \\\"nosuch\\\""));
    expect(TRACE("event-set-state", "\"name\":\"nosuch\",\"enable\":true"),
           GENERIC("unknown event \\\"nosuch\\\""));
    expect(TRACE("set-state", "\"pattern\":\"x\""), GENERIC("Parameter 'enable' is missing"));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("qmp_commands");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, every_answer_has_the_shape_that_the_schema_promises);
    tcase_add_test(tc, every_event_that_the_vm_raises_has_the_shape_that_the_schema_promises);
    tcase_add_test(tc, classes_that_clients_branch_on_are_there);
    tcase_add_test(tc, the_tree_has_what_the_command_line_made);
    tcase_add_test(tc, commands_for_people_answer_as_on_a_screen);
    tcase_add_test(tc, descriptors_are_named_replaced_and_closed);
    tcase_add_test(tc, descriptors_go_into_sets_and_out_again);
    tcase_add_test(tc, ring_buffers_are_read_and_written_as_text_and_as_base64);
    tcase_add_test(tc, what_is_no_ring_buffer_is_not_read);
    tcase_add_test(tc, actions_change_while_the_vm_lives);
    tcase_add_test(tc, memory_is_read_as_a_number_in_hexadecimal);
    tcase_add_test(tc, cpu_models_are_kvms_business);
    tcase_add_test(tc, statistics_are_explained_and_chosen);
    tcase_add_test(tc, people_see_memory_in_the_form_they_like);
    tcase_add_test(tc, people_who_mistype_are_told_what_was_expected);
    tcase_add_test(tc, people_see_what_the_vm_is_made_of);
    tcase_add_test(tc, tracepoints_are_switched_in_the_words_of_two_programs);
    return suite_run("qmp_commands", tc);
}

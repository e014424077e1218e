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
    static const char *const commands[] = {"cont", "stop", "system_reset", "quit"};
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
    return suite_run("qmp_commands", tc);
}

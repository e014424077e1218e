/* SPDX-License-Identifier: Apache-2.0 */
#include "stencilctl/verbs.h"

#include "stencilctl/command.h"

#include <string.h>

/* Prints what the command returned, unless that is nothing. */
static Status verb_plain(const Call *call, const Verb *verb)
{
    g_autoptr(json_object) value = NULL;
    Status status = call_execute(call, verb->command, /* arguments= */ NULL, &value);
    bool empty =
        json_object_is_type(value, json_type_object) && json_object_object_length(value) == 0;

    if (status == STATUS_OK && (call->render->json || !empty)) {
        render_json(value);
    }
    return status;
}

/* The schema tells what is a string, so that nobody has to quote twice. */
static Status parse_command(const Call *call, json_object **ret_command)
{
    g_autoptr(Schema) schema = NULL;
    g_autoptr(GError) error = NULL;
    Status status = schema_load(call, &schema);

    if (status != STATUS_OK) {
        return status;
    }
    *ret_command = command_parse(schema, call->words, &error);
    if (!*ret_command) {
        render_error(call->render, "qmp: %s", error->message);
        return STATUS_USAGE;
    }
    return STATUS_OK;
}

static Status verb_qmp(const Call *call, const Verb *verb)
{
    g_autoptr(json_object) command = NULL;
    g_autoptr(json_object) answer = NULL;
    Status status = parse_command(call, &command);

    (void)verb;
    if (status == STATUS_OK) {
        status = call_send(call, command, &answer);
    }
    if (status != STATUS_OK) {
        return status;
    }
    render_json(answer);
    return json_at(answer, "error") ? STATUS_REFUSED : STATUS_OK;
}

/* clang-format off */
const Verb verb_table[] = {
    {.name = "status", .help = "running, paused, ...", .command = "query-status",
     .run = verb_status},
    {.name = "info", .help = "what it is: name, processors, memory, ...", .run = verb_info},
    {.name = "devices", .help = "its devices, disks and character devices", .run = verb_devices},
    {.name = "stop", .help = "pause it", .command = "stop", .run = verb_plain},
    {.name = "cont", .help = "let it run on", .command = "cont", .run = verb_plain},
    {.name = "reset", .help = "press its reset button", .command = "system_reset",
     .run = verb_plain},
    {.name = "powerdown", .help = "press its power button; the guest decides",
     .command = "system_powerdown", .run = verb_plain},
    {.name = "quit", .help = "end it at once", .command = "quit", .run = verb_plain},
    {.name = "wait", .form = "STATE", .min_words = 1, .max_words = 1, .run = verb_wait,
     .help = "return once its status is STATE; STATE ended: once it is gone"},
    {.name = "console", .form = "[CHARDEV]", .max_words = 1, .not_in_shell = true,
     .run = verb_console, .help = "the guest's serial line on this terminal; ^] leaves"},
    {.name = "migrate", .form = "FOLDER", .min_words = 1, .max_words = 1, .run = verb_migrate,
     .help = "save it as a template, and show how far that is"},
    {.name = "template", .form = "show FOLDER", .min_words = 2, .max_words = 2,
     .without_vm = true, .not_in_shell = true, .run = verb_template,
     .help = "print a template's state as JSON"},
    {.name = "events", .help = "print events as they come, until it ends", .not_in_shell = true,
     .run = verb_events},
    {.name = "shell", .not_in_shell = true, .run = verb_shell,
     .help = "verbs and QMP commands, a line each; TAB completes"},
    {.name = "qmp", .form = "COMMAND [KEY=VALUE]...", .min_words = 1, .max_words = G_MAXUINT,
     .not_in_shell = true, .run = verb_qmp,
     .help = "run a QMP command, which can also be one JSON object"},
};
/* clang-format on */

const size_t verb_count = G_N_ELEMENTS(verb_table);

const Verb *verb_find(const char *name)
{
    for (size_t i = 0; i < verb_count; i++) {
        if (strcmp(verb_table[i].name, name) == 0) {
            return &verb_table[i];
        }
    }
    return NULL;
}

char *verb_usage(const Verb *verb)
{
    return g_strdup_printf("%s%s%s", verb->name, verb->form ? " " : "",
                           verb->form ? verb->form : "");
}

Status verb_run(const Verb *verb, const Call *call)
{
    unsigned count = g_strv_length(call->words);

    if (count < verb->min_words || count > verb->max_words) {
        g_autofree char *usage = verb_usage(verb);

        render_error(call->render, "expected: %s", usage);
        return STATUS_USAGE;
    }
    return verb->run(call, verb);
}

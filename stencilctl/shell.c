/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shell: verbs and QMP commands, a line each.  At a terminal with editing, and events are shown as
 * they come; from a pipe it is a script, which ends at the first line that fails.
 */
#include "stencilctl/command.h"
#include "stencilctl/complete.h"
#include "stencilctl/editor.h"
#include "stencilctl/verbs.h"

#include "util/error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HISTORY_FILE "history"

typedef struct Shell {
    const Call *call;
    Schema *schema;
    Editor *editor; /* NULL: plain lines */
    bool interactive;
    bool left;  /* somebody typed exit */
    bool ended; /* the VM is gone */
} Shell;

/* ---- events ---- */

static void show_event(void *opaque, json_object *event)
{
    const Shell *shell = opaque;

    if (shell->interactive) {
        render_event(shell->call->render, event);
    }
}

/* All events that are there; false once the VM is gone. */
static bool show_events(void *opaque)
{
    Shell *shell = opaque;

    for (;;) {
        g_autoptr(GError) error = NULL;
        g_autoptr(json_object) event =
            client_next_event(shell->call->client, /* deadline_ns= */ 0, &error);

        if (!event) {
            shell->ended = !g_error_matches(error, VMM_ERROR, VMM_ERROR_STATE);
            return !shell->ended;
        }
        show_event(shell, event);
    }
}

/* ---- help ---- */

typedef struct Signature {
    const Schema *schema;
    const char *type;
} Signature;

static void print_argument(void *opaque, const char *name)
{
    const Signature *signature = opaque;
    g_autofree char *type =
        schema_describe(signature->schema, schema_member(signature->schema, signature->type, name));
    bool optional = schema_is_optional(signature->schema, signature->type, name);
    g_autofree char *line =
        g_strdup_printf("    %s%s=%s%s", optional ? "[" : "", name, type, optional ? "]" : "");
    g_autofree char *safe = render_safe(line);

    puts(safe);
}

static Status help_command(const Shell *shell, const char *name)
{
    Signature signature = {.schema = shell->schema, .type = schema_arguments(shell->schema, name)};

    if (!schema_has_command(shell->schema, name)) {
        render_error(shell->call->render, "the VM has no command '%s'", name);
        return STATUS_REFUSED;
    }
    puts(name);
    schema_each_member(shell->schema, signature.type, print_argument, &signature);
    return STATUS_OK;
}

static Status help(const Shell *shell, const char *name)
{
    if (name) {
        return help_command(shell, name);
    }
    for (size_t i = 0; i < verb_count; i++) {
        if (!verb_table[i].not_in_shell) {
            g_autofree char *usage = verb_usage(&verb_table[i]);

            printf("  %-22s %s\n", usage, verb_table[i].help);
        }
    }
    puts("  COMMAND [KEY=VALUE]... any command of QMP; so is a JSON object\n"
         "  help COMMAND           what a command takes\n"
         "  exit, or Ctrl-D        leave; the VM goes on");
    return STATUS_OK;
}

/* ---- lines ---- */

static Status run_command(const Shell *shell, char **words)
{
    const Call *call = shell->call;
    g_autoptr(GError) error = NULL;
    g_autoptr(json_object) command = command_parse(shell->schema, words, &error);
    g_autoptr(json_object) answer = NULL;
    json_object *value;
    Status status;

    if (!command) {
        render_error(call->render, "%s", error->message);
        return STATUS_USAGE;
    }
    status = call_send(call, command, &answer);
    if (status != STATUS_OK) {
        return status;
    }
    if (json_at(answer, "error")) {
        const char *text = json_text_at(answer, "error.desc");

        render_error(call->render, "%s", text ? text : "refused");
        return STATUS_REFUSED;
    }
    value = json_at(answer, "return");
    if (call->render->json || !json_object_is_type(value, json_type_object) ||
        json_object_object_length(value) > 0) {
        render_json(value);
    }
    return STATUS_OK;
}

static Status run_words(Shell *shell, char **words)
{
    const Verb *verb = verb_find(words[0]);
    Call call = *shell->call;

    if (strcmp(words[0], "exit") == 0) {
        shell->left = true;
        return STATUS_OK;
    }
    if (strcmp(words[0], "help") == 0) {
        return help(shell, words[1]);
    }
    if (!verb || verb->not_in_shell) {
        return run_command(shell, words);
    }
    call.words = words + 1;
    return verb_run(verb, &call);
}

static Status run_line(Shell *shell, char *line)
{
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) words = NULL;

    g_strstrip(line);
    if (line[0] == '\0' || line[0] == '#') {
        return STATUS_OK;
    }
    if (line[0] == '{') {
        char *whole[] = {line, NULL};

        return run_command(shell, whole);
    }
    if (!g_shell_parse_argv(line, /* argcp= */ NULL, &words, &error)) {
        render_error(shell->call->render, "%s", error->message);
        return STATUS_USAGE;
    }
    return run_words(shell, words);
}

/* Newly allocated; NULL at the end. */
static char *next_line(Shell *shell, const char *prompt)
{
    g_autofree char *line = NULL;
    size_t size = 0;

    if (shell->editor) {
        return editor_next(shell->editor);
    }
    if (shell->interactive) {
        fputs(prompt, stdout);
        fflush(stdout);
    }
    return getline(&line, &size, stdin) < 0 ? NULL : g_steal_pointer(&line);
}

static Status run_lines(Shell *shell, const char *prompt)
{
    Status status = STATUS_OK;

    while (!shell->left && !shell->ended) {
        g_autofree char *line = next_line(shell, prompt);

        if (!line) {
            break;
        }
        status = run_line(shell, line);
        if (status == STATUS_NO_VM || status == STATUS_TIMEOUT ||
            (status != STATUS_OK && !shell->interactive)) {
            return status;
        }
    }
    if (shell->ended) {
        puts("the VM has ended");
    } else if (shell->interactive && !shell->left) {
        putchar('\n');
    }
    return STATUS_OK;
}

/* ---- beginning ---- */

/* The file that remembers lines, in a folder that is there; NULL if it cannot be. */
static char *history_file(void)
{
    const char *state = g_getenv("XDG_STATE_HOME");
    g_autofree char *folder =
        state && state[0] == '/'
            ? g_build_filename(state, "stencil", NULL)
            : g_build_filename(g_get_home_dir(), ".local", "state", "stencil", NULL);

    return g_mkdir_with_parents(folder, 0700) < 0 ? NULL
                                                  : g_build_filename(folder, HISTORY_FILE, NULL);
}

static Status make_prompt(const Call *call, char **ret_prompt)
{
    g_autoptr(json_object) value = NULL;
    Status status = call_ask(call, "query-name", /* arguments= */ NULL, &value);
    const char *name = json_text_at(value, "name");
    g_autofree char *safe = render_safe(name ? name : "stencil");

    if (status == STATUS_OK) {
        *ret_prompt = g_strconcat(safe, "> ", NULL);
    }
    return status;
}

static GPtrArray *complete(void *opaque, const char *text, size_t *ret_start)
{
    const Shell *shell = opaque;

    return complete_line(shell->schema, text, ret_start);
}

Status verb_shell(const Call *call, const Verb *verb)
{
    g_autoptr(Schema) schema = NULL;
    g_autoptr(Editor) editor = NULL;
    g_autofree char *prompt = NULL;
    g_autofree char *history = NULL;
    Shell shell = {.call = call, .interactive = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)};
    EditorUser user = {
        .opaque = &shell,
        .colour = call->render->colour,
        .fd = client_fd(call->client),
        .complete = complete,
        .news = show_events,
    };
    Status status = schema_load(call, &schema);

    (void)verb;
    if (status == STATUS_OK) {
        status = make_prompt(call, &prompt);
    }
    if (status != STATUS_OK) {
        return status;
    }
    shell.schema = schema;
    client_set_listener(call->client, show_event, &shell);
    if (shell.interactive) {
        puts("help tells more; Ctrl-D leaves, and the VM goes on");
        history = history_file();
        user.prompt = prompt;
        user.history = history;
        editor = editor_new(&user);
        shell.editor = editor;
    }
    status = run_lines(&shell, prompt);
    client_set_listener(call->client, NULL, NULL);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stencilctl: a running VM, for people and scripts.
 *
 *     stencilctl [-s SOCKET] [OPTION]... VERB [WORD]...
 */
#include "stencilctl/verbs.h"
#include "util/text.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SOCKET_VARIABLE "STENCIL_SOCKET"
#define MAX_TIMEOUT     1e9 /* seconds */

typedef struct CommandLine {
    const char *socket, *verb, *timeout, *escape;
    bool json, help, version;
    GPtrArray *words; /* of char *, borrowed; NULL-terminated in the end */
} CommandLine;

typedef struct Option {
    const char *name; /* without dashes: one or two of them, as people type */
    const char *form; /* of its value; NULL for a flag */
    size_t member;
    const char *help;
} Option;

#define MEMBER(name) offsetof(CommandLine, name)

static const Option options[] = {
    {"s", "SOCKET", MEMBER(socket), "a path, unix:PATH or tcp:HOST:PORT; else $" SOCKET_VARIABLE},
    {"json", NULL, MEMBER(json), "answers as JSON, for scripts"},
    {"timeout", "SECONDS", MEMBER(timeout), "give up, with status 4, when they are over"},
    {"escape", "KEY", MEMBER(escape), "what leaves a console: ^] or another ^KEY, or none"},
    {"help", NULL, MEMBER(help), "this text"},
    {"version", NULL, MEMBER(version), "the version"},
};

static void print_help(void)
{
    puts("Usage: stencilctl [OPTION]... VERB [WORD]...\n\nVerbs:");
    for (size_t i = 0; i < verb_count; i++) {
        g_autofree char *usage = verb_usage(&verb_table[i]);

        printf("  %-22s %s\n", usage, verb_table[i].help);
    }
    puts("\nOptions:");
    for (size_t i = 0; i < G_N_ELEMENTS(options); i++) {
        const Option *option = &options[i];
        g_autofree char *usage =
            g_strdup_printf("-%s%s%s%s", strlen(option->name) > 1 ? "-" : "", option->name,
                            option->form ? " " : "", option->form ? option->form : "");

        printf("  %-22s %s\n", usage, option->help);
    }
    puts("\nExit status: 0 done, 1 refused by the VM or failed, 2 wrong usage, 3 no VM to talk to,"
         "\n4 out of time.  More: man stencilctl");
}

static const Option *find_option(const char *word)
{
    const char *name = word + (g_str_has_prefix(word, "--") ? 2 : 1);

    for (size_t i = 0; i < G_N_ELEMENTS(options); i++) {
        if (strcmp(options[i].name, name) == 0) {
            return &options[i];
        }
    }
    return NULL;
}

/* Takes the option in argv[*i] and its value; false with a message if it cannot. */
static bool take_option(CommandLine *line, char **argv, int *i, const Render *render)
{
    const Option *option = find_option(argv[*i]);
    void *member;

    if (!option) {
        render_error(render, "unknown option '%s'; --help lists them", argv[*i]);
        return false;
    }
    member = (uint8_t *)line + option->member;
    if (!option->form) {
        *(bool *)member = true;
        return true;
    }
    if (!argv[*i + 1]) {
        render_error(render, "%s: expected %s", argv[*i], option->form);
        return false;
    }
    *(const char **)member = argv[++*i];
    return true;
}

static bool read_command_line(CommandLine *line, char **argv, const Render *render)
{
    bool literal = false;

    for (int i = 1; argv[i]; i++) {
        if (!literal && strcmp(argv[i], "--") == 0) {
            literal = true;
        } else if (!literal && argv[i][0] == '-' && argv[i][1] != '\0') {
            if (!take_option(line, argv, &i, render)) {
                return false;
            }
        } else if (!line->verb) {
            line->verb = argv[i];
        } else {
            g_ptr_array_add(line->words, argv[i]);
        }
    }
    g_ptr_array_add(line->words, NULL);
    if (!line->socket) {
        line->socket = g_getenv(SOCKET_VARIABLE);
    }
    return true;
}

static bool read_timeout(const char *text, int64_t *ret_deadline_ns, const Render *render)
{
    char *end = NULL;
    double seconds = text ? g_ascii_strtod(text, &end) : 0;

    *ret_deadline_ns = CLIENT_NO_DEADLINE;
    if (!text) {
        return true;
    }
    if (end == text || *end != '\0' || !isfinite(seconds) || seconds <= 0 ||
        seconds > MAX_TIMEOUT) {
        render_error(render, "--timeout '%s': expected a number of seconds above 0", text);
        return false;
    }
    *ret_deadline_ns = g_get_monotonic_time() * 1000 + (int64_t)(seconds * 1e9);
    return true;
}

/* NULL with a message if there is no verb to run. */
static const Verb *choose_verb(const CommandLine *line, const Render *render)
{
    const Verb *verb = line->verb ? verb_find(line->verb) : NULL;
    TextNearest nearest = TEXT_NEAREST(line->verb);
    g_autofree char *hint = NULL;

    if (!line->verb) {
        render_error(render, "expected a verb; --help lists them");
        return NULL;
    }
    if (verb) {
        return verb;
    }
    for (size_t i = 0; i < verb_count; i++) {
        text_nearest_offer(&nearest, verb_table[i].name);
    }
    hint = text_nearest_hint(&nearest);
    render_error(render, "unknown verb '%s'%s; --help lists them", line->verb, hint);
    return NULL;
}

static Status run(const CommandLine *line, const Render *render)
{
    const Verb *verb = choose_verb(line, render);
    g_autoptr(GError) error = NULL;
    g_autoptr(Client) client = NULL;
    int64_t deadline_ns;
    Call call = {
        .render = render,
        .words = (char **)line->words->pdata,
        .socket = line->socket,
        .escape = line->escape,
    };

    if (!verb || !read_timeout(line->timeout, &deadline_ns, render)) {
        return STATUS_USAGE;
    }
    if (!verb->without_vm) {
        if (!line->socket) {
            render_error(render, "no VM is named: expected -s SOCKET, or $" SOCKET_VARIABLE);
            return STATUS_USAGE;
        }
        client = client_connect(line->socket, deadline_ns, &error);
        if (!client) {
            return call_broken(&call, error);
        }
        call.client = client;
    }
    return verb_run(verb, &call);
}

int main(int argc, char **argv)
{
    g_autoptr(GPtrArray) words = g_ptr_array_new();
    CommandLine line = {.words = words};
    Render render;

    (void)argc;
    setlocale(LC_CTYPE, "");
    render_init(&render, /* json= */ false);
    if (!read_command_line(&line, argv, &render)) {
        return (int)STATUS_USAGE;
    }
    render_init(&render, line.json);
    if (line.help || line.version) {
        line.help ? print_help() : (void)puts("stencilctl " STENCIL_VERSION);
        return (int)STATUS_OK;
    }
    return (int)run(&line, &render);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stencilctl: a running VM, for people and scripts.
 *
 *     stencilctl -s SOCKET VERB [ARGUMENT]
 *
 * Exit status: 0 done, 1 the VM answered with an error, 2 the command line is wrong, 3 there is
 * no VM to talk to.
 */
#include "stencilctl/client.h"
#include "util/error.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    STATUS_OK = 0,
    STATUS_REFUSED = 1,
    STATUS_USAGE = 2,
    STATUS_NO_VM = 3
};

typedef struct Call {
    Client *client;
    const char *argument;
    bool json; /* print answers as they are */
} Call;

typedef struct Verb {
    const char *name;
    const char *argument; /* its name, or NULL */
    const char *help;
    const char *command; /* for verbs that are one QMP command */
    int (*run)(Call *call, const struct Verb *verb);
} Verb;

static int no_vm(const GError *error)
{
    fprintf(stderr, "stencilctl: %s\n", error->message);
    return STATUS_NO_VM;
}

static int refused(json_object *error)
{
    json_object *text = NULL;

    json_object_object_get_ex(error, "desc", &text);
    fprintf(stderr, "stencilctl: %s\n", text ? json_object_get_string(text) : "refused");
    return STATUS_REFUSED;
}

static void print_json(json_object *value)
{
    printf("%s\n",
           json_object_to_json_string_ext(value, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
                                                     JSON_C_TO_STRING_NOSLASHESCAPE));
}

/* Runs command; on success *ret_answer holds the whole answer, which the caller puts. */
static int call_command(Call *call, const char *name, json_object **ret_answer)
{
    g_autoptr(GError) error = NULL;
    json_object *command = json_object_new_object();
    json_object *answer = NULL;
    json_object *problem = NULL;
    int status = STATUS_OK;

    json_object_object_add(command, "execute", json_object_new_string(name));
    answer = client_call(call->client, command, &error);
    json_object_put(command);
    if (!answer) {
        return no_vm(error);
    }
    if (json_object_object_get_ex(answer, "error", &problem)) {
        status = refused(problem);
        json_object_put(answer);
        return status;
    }
    *ret_answer = answer;
    return STATUS_OK;
}

static int run_plain(Call *call, const Verb *verb)
{
    json_object *answer = NULL;
    json_object *value = NULL;
    int status = call_command(call, verb->command, &answer);

    if (status == STATUS_OK) {
        json_object_object_get_ex(answer, "return", &value);
        if (call->json || (value && json_object_is_type(value, json_type_array)) ||
            (value && json_object_object_length(value) > 0)) {
            print_json(value);
        }
        json_object_put(answer);
    }
    return status;
}

/* NULL if there is no such word in the answer; borrowed. */
static const char *answer_word(json_object *answer, const char *key)
{
    json_object *value = NULL;
    json_object *word = NULL;

    if (!json_object_object_get_ex(answer, "return", &value) ||
        !json_object_object_get_ex(value, key, &word)) {
        return NULL;
    }
    return json_object_get_string(word);
}

static int run_status(Call *call, const Verb *verb)
{
    json_object *answer = NULL;
    int status;

    if (call->json) {
        return run_plain(call, verb);
    }
    status = call_command(call, verb->command, &answer);
    if (status == STATUS_OK) {
        printf("%s\n", answer_word(answer, "status"));
        json_object_put(answer);
    }
    return status;
}

static int run_info(Call *call, const Verb *verb)
{
    static const char *const commands[] = {"query-name", "query-uuid", "query-status",
                                           "query-version", "query-cpus-fast"};
    json_object *all = json_object_new_object();
    int status = STATUS_OK;

    (void)verb;
    for (size_t i = 0; i < G_N_ELEMENTS(commands) && status == STATUS_OK; i++) {
        json_object *answer = NULL;
        json_object *value = NULL;

        status = call_command(call, commands[i], &answer);
        if (status == STATUS_OK) {
            json_object_object_get_ex(answer, "return", &value);
            json_object_object_add(all, commands[i] + strlen("query-"), json_object_get(value));
            json_object_put(answer);
        }
    }
    if (status == STATUS_OK) {
        print_json(all);
    }
    json_object_put(all);
    return status;
}

static int run_qmp(Call *call, const Verb *verb)
{
    g_autoptr(GError) error = NULL;
    json_object *command = json_tokener_parse(call->argument);
    json_object *answer = NULL;
    json_object *problem = NULL;
    int status = STATUS_OK;

    (void)verb;
    if (!command || !json_object_object_get_ex(command, "execute", NULL)) {
        fprintf(stderr,
                "stencilctl: qmp: expected an object like {\"execute\":\"query-status\"}\n");
        json_object_put(command);
        return STATUS_USAGE;
    }
    answer = client_call(call->client, command, &error);
    json_object_put(command);
    if (!answer) {
        return no_vm(error);
    }
    print_json(answer);
    status = json_object_object_get_ex(answer, "error", &problem) ? STATUS_REFUSED : STATUS_OK;
    json_object_put(answer);
    return status;
}

static int run_events(Call *call, const Verb *verb)
{
    g_autoptr(GError) error = NULL;
    json_object *event;

    (void)verb;
    while ((event = client_next_event(call->client, &error)) != NULL) {
        printf("%s\n", json_object_to_json_string_ext(event, JSON_C_TO_STRING_PLAIN |
                                                                 JSON_C_TO_STRING_NOSLASHESCAPE));
        fflush(stdout);
        json_object_put(event);
    }
    return STATUS_OK; /* the VM has ended */
}

/* Looks again after each event: every change of state raises one. */
static int run_wait(Call *call, const Verb *verb)
{
    g_autoptr(GError) error = NULL;

    (void)verb;
    for (;;) {
        json_object *answer = NULL;
        json_object *event;
        int status = call_command(call, "query-status", &answer);
        bool there;

        if (status != STATUS_OK) {
            return status;
        }
        there = g_strcmp0(answer_word(answer, "status"), call->argument) == 0;
        json_object_put(answer);
        if (there) {
            return STATUS_OK;
        }
        event = client_next_event(call->client, &error);
        if (!event) {
            return no_vm(error);
        }
        json_object_put(event);
    }
}

static const Verb verbs[] = {
    {"status", NULL, "running, paused, ...", "query-status", run_status},
    {"stop", NULL, "pause it", "stop", run_plain},
    {"cont", NULL, "let it run on", "cont", run_plain},
    {"reset", NULL, "press its reset button", "system_reset", run_plain},
    {"powerdown", NULL, "press its power button; the guest decides", "system_powerdown", run_plain},
    {"quit", NULL, "end it at once", "quit", run_plain},
    {"info", NULL, "what it is and does, as JSON", NULL, run_info},
    {"events", NULL, "print events as they come, one a line, until it ends", NULL, run_events},
    {"wait", "STATE", "return when its status is STATE", NULL, run_wait},
    {"qmp", "JSON", "send one QMP command and print the answer", NULL, run_qmp},
};

static void print_usage(FILE *to)
{
    fprintf(to, "Usage: stencilctl -s SOCKET [--json] VERB [ARGUMENT]\n"
                "SOCKET is a path, unix:PATH or tcp:HOST:PORT.  Verbs:\n");
    for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++) {
        g_autofree char *form =
            g_strdup_printf("%s %s", verbs[i].name, verbs[i].argument ? verbs[i].argument : "");

        fprintf(to, "  %-14s %s\n", form, verbs[i].help);
    }
    fprintf(to, "Exit status: 0 done, 1 refused by the VM, 2 wrong usage, 3 no VM to talk to.\n");
}

static const Verb *find_verb(const char *name)
{
    for (size_t i = 0; name && i < G_N_ELEMENTS(verbs); i++) {
        if (strcmp(verbs[i].name, name) == 0) {
            return &verbs[i];
        }
    }
    return NULL;
}

typedef struct Words {
    const char *socket, *verb, *argument;
    bool json, help, version, bad;
} Words;

static Words read_words(int argc, char **argv)
{
    Words words = {0};

    for (int i = 1; i < argc; i++) {
        const char *word = argv[i][0] == '-' && argv[i][1] == '-' ? argv[i] + 1 : argv[i];

        if (strcmp(word, "-s") == 0 && i + 1 < argc) {
            words.socket = argv[++i];
        } else if (strcmp(word, "-json") == 0) {
            words.json = true;
        } else if (strcmp(word, "-help") == 0 || strcmp(word, "-h") == 0) {
            words.help = true;
        } else if (strcmp(word, "-version") == 0) {
            words.version = true;
        } else if (!words.verb) {
            words.verb = argv[i];
        } else if (!words.argument) {
            words.argument = argv[i];
        } else {
            words.bad = true;
        }
    }
    return words;
}

int main(int argc, char **argv)
{
    const Words words = read_words(argc, argv);
    const Verb *verb = find_verb(words.verb);
    g_autoptr(GError) error = NULL;
    g_autoptr(Client) client = NULL;

    if (words.help || words.version) {
        words.help ? print_usage(stdout) : (void)puts("stencilctl " STENCIL_VERSION);
        return STATUS_OK;
    }
    if (!verb || words.bad || !words.socket || !words.argument != !verb->argument) {
        print_usage(stderr);
        return STATUS_USAGE;
    }
    client = client_connect(words.socket, &error);
    if (!client) {
        return no_vm(error);
    }
    return verb->run(&(Call){.client = client, .argument = words.argument, .json = words.json},
                     verb);
}

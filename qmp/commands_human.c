/* SPDX-License-Identifier: Apache-2.0 */
/* The few commands for people that scripts and libvirt send through human-monitor-command. */
#include "qmp/generated.h"
#include "qmp/human.h"

#include <string.h>

typedef bool (*QmpPlainCommand)(QmpCall *call, QmpReply *reply, GError **error);

typedef struct HumanCommand {
    const char *words;
    const char *shorthand; /* optional */

    QmpPlainCommand command;
    HumanShow show; /* optional */

    /* Instead of command. */
    HumanRun run;
} HumanCommand;

static bool query_blockstats(QmpCall *call, QmpReply *reply, GError **error)
{
    const QmpQueryBlockstatsArgs args = {0};

    return qmp_cmd_query_blockstats(call, &args, reply, error);
}

static const HumanCommand commands[] = {
    {"info status", NULL, qmp_cmd_query_status, human_show_status, NULL},
    {"info name", NULL, qmp_cmd_query_name, human_show_name, NULL},
    {"info uuid", NULL, qmp_cmd_query_uuid, human_show_uuid, NULL},
    {"info kvm", NULL, qmp_cmd_query_kvm, human_show_kvm, NULL},
    {"info version", NULL, qmp_cmd_query_version, human_show_version, NULL},
    {"info cpus", NULL, qmp_cmd_query_cpus_fast, human_show_cpus, NULL},
    {"info block", NULL, qmp_cmd_query_block, human_show_block, NULL},
    {"info blockstats", NULL, query_blockstats, human_show_blockstats, NULL},
    {"info chardev", NULL, qmp_cmd_query_chardev, human_show_chardev, NULL},
    {"info iothreads", NULL, qmp_cmd_query_iothreads, human_show_iothreads, NULL},
    {"info mtree", NULL, NULL, NULL, human_map},
    {"info qtree", NULL, NULL, NULL, human_devices},
    {"info registers", NULL, NULL, NULL, human_registers},
    {"xp", NULL, NULL, NULL, human_examine},
    {"stop", "s", qmp_cmd_stop, NULL, NULL},
    {"cont", "c", qmp_cmd_cont, NULL, NULL},
    {"system_reset", NULL, qmp_reset_detached, NULL, NULL},
    {"system_powerdown", NULL, qmp_cmd_system_powerdown, NULL, NULL},
    {"nmi", NULL, qmp_cmd_inject_nmi, NULL, NULL},
    {"quit", "q", qmp_cmd_quit, NULL, NULL},
};

/* The words of line with one blank between them. */
static char *tidy(const char *line)
{
    g_auto(GStrv) words = g_strsplit_set(line, " \t\r\n", -1);
    g_autoptr(GString) out = g_string_new(NULL);

    for (size_t i = 0; words[i]; i++) {
        if (words[i][0]) {
            g_string_append_printf(out, out->len > 0 ? " %s" : "%s", words[i]);
        }
    }
    return g_string_free(g_steal_pointer(&out), /* free_segment= */ FALSE);
}

/* What follows words on the line; NULL if the line does not begin with them, as words. */
static const char *rest_of(const char *line, const char *words)
{
    size_t len = strlen(words);

    if (strncmp(line, words, len) != 0 || (line[len] != '\0' && line[len] != ' ')) {
        return NULL;
    }
    return line[len] == ' ' ? line + len + 1 : line + len;
}

static void run_command(QmpCall *call, const HumanCommand *command, const char *rest, GString *out)
{
    g_autoptr(GError) error = NULL;
    QmpReply reply = {0};

    if (command->run) {
        command->run(out, call, rest);
        return;
    }
    if (!command->command(call, &reply, &error)) {
        g_string_append_printf(out, "Error: %s\r\n", error->message);
    } else if (command->show) {
        command->show(out, reply.value);
    }
    json_object_put(reply.value);
}

static void run_line(QmpCall *call, const char *line, GString *out)
{
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        const HumanCommand *command = &commands[i];
        const char *rest = rest_of(line, command->words);

        if (g_strcmp0(line, command->shorthand) == 0) {
            rest = "";
        }
        if (rest && (command->run || rest[0] == '\0')) {
            run_command(call, command, rest, out);
            return;
        }
    }
    if (line[0] != '\0') {
        g_autofree char *first = g_strndup(line, strcspn(line, " "));

        g_string_append_printf(out, "unknown command: '%s'\r\n",
                               strcmp(first, "info") == 0 ? line : first);
    }
}

bool qmp_cmd_human_monitor_command(QmpCall *call, const QmpHumanMonitorCommandArgs *args,
                                   QmpReply *reply, GError **error)
{
    g_autofree char *line = tidy(args->command_line);
    g_autoptr(GString) out = g_string_new(NULL);

    (void)error;
    run_line(call, line, out);
    reply->value = json_object_new_string(out->str);
    return true;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The few commands for people that scripts and libvirt send through human-monitor-command.  Each
 * is a QMP command or two whose answer is put into words.
 */
#include "qmp/generated.h"

#include <string.h>

typedef bool (*QmpPlainCommand)(QmpCall *call, QmpReply *reply, GError **error);

typedef struct HumanCommand {
    const char *words;
    const char *shorthand; /* optional */
    QmpPlainCommand run;
    /* Optional: what is shown of the reply. */
    void (*show)(GString *out, const QmpCall *call, json_object *reply);
} HumanCommand;

static const char *text_of(json_object *object, const char *name)
{
    json_object *value = NULL;

    return json_object_object_get_ex(object, name, &value) ? json_object_get_string(value) : "";
}

static bool is_set(json_object *object, const char *name)
{
    json_object *value = NULL;

    return json_object_object_get_ex(object, name, &value) && json_object_get_boolean(value);
}

static void show_status(GString *out, const QmpCall *call, json_object *reply)
{
    const char *status = text_of(reply, "status");

    (void)call;
    if (is_set(reply, "running")) {
        g_string_append(out, "VM status: running\r\n");
    } else if (strcmp(status, "paused") == 0) {
        g_string_append(out, "VM status: paused\r\n");
    } else {
        g_string_append_printf(out, "VM status: paused (%s)\r\n", status);
    }
}

static void show_name(GString *out, const QmpCall *call, json_object *reply)
{
    (void)call;
    if (json_object_object_get_ex(reply, "name", NULL)) {
        g_string_append_printf(out, "%s\r\n", text_of(reply, "name"));
    }
}

static void show_uuid(GString *out, const QmpCall *call, json_object *reply)
{
    (void)call;
    g_string_append_printf(out, "%s\r\n", text_of(reply, "UUID"));
}

static void show_kvm(GString *out, const QmpCall *call, json_object *reply)
{
    (void)call;
    g_string_append_printf(out, "kvm support: %s\r\n",
                           is_set(reply, "enabled") ? "enabled" : "disabled");
}

static void show_version(GString *out, const QmpCall *call, json_object *reply)
{
    (void)call;
    g_string_append_printf(out, "%s\r\n", text_of(reply, "package"));
}

static const HumanCommand commands[] = {
    {"info status", NULL, qmp_cmd_query_status, show_status},
    {"info name", NULL, qmp_cmd_query_name, show_name},
    {"info uuid", NULL, qmp_cmd_query_uuid, show_uuid},
    {"info kvm", NULL, qmp_cmd_query_kvm, show_kvm},
    {"info version", NULL, qmp_cmd_query_version, show_version},
    {"stop", "s", qmp_cmd_stop, NULL},
    {"cont", "c", qmp_cmd_cont, NULL},
    {"system_reset", NULL, qmp_cmd_system_reset, NULL},
    {"system_powerdown", NULL, qmp_cmd_system_powerdown, NULL},
    {"quit", "q", qmp_cmd_quit, NULL},
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

static void run_line(QmpCall *call, const char *line, GString *out)
{
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        const HumanCommand *command = &commands[i];
        g_autoptr(GError) error = NULL;
        QmpReply reply = {0};

        if (strcmp(line, command->words) != 0 && g_strcmp0(line, command->shorthand) != 0) {
            continue;
        }
        if (!command->run(call, &reply, &error)) {
            g_string_append_printf(out, "Error: %s\r\n", error->message);
        } else if (command->show) {
            command->show(out, call, reply.value);
        }
        json_object_put(reply.value);
        return;
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

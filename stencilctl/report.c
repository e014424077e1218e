/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status, info and devices: questions put together, for people in lines and for scripts as one
 * object.  A VM that does not know one of the questions is told about without it.
 */
#include "stencilctl/verbs.h"

#include "util/text.h"

#include <string.h>

#define PERIPHERALS "/machine/peripheral"
#define CHILD       "child<"

Status verb_status(const Call *call, const Verb *verb)
{
    g_autoptr(json_object) value = NULL;
    Status status = call_execute(call, verb->command, /* arguments= */ NULL, &value);
    const char *state = json_text_at(value, "status");

    if (status != STATUS_OK) {
        return status;
    }
    if (call->render->json) {
        render_json(value);
    } else {
        render_state(call->render, state ? state : "unknown");
    }
    return STATUS_OK;
}

/* ---- info ---- */

static char *info_text(json_object *value, const char *path)
{
    return g_strdup(json_text_at(value, path));
}

static char *info_size(json_object *value, const char *path)
{
    return json_at(value, path) ? text_format_size(json_uint_at(value, path)) : NULL;
}

static char *info_count(json_object *value, const char *path)
{
    (void)path;
    return g_strdup_printf("%zu", json_count(value));
}

static char *info_protocol(json_object *value, const char *path)
{
    json_object *version = json_at(value, path);

    return g_strdup_printf("QMP as of %" G_GUINT64_FORMAT ".%" G_GUINT64_FORMAT
                           ".%" G_GUINT64_FORMAT,
                           json_uint_at(version, "major"), json_uint_at(version, "minor"),
                           json_uint_at(version, "micro"));
}

typedef struct Fact {
    const char *name;    /* for people */
    const char *command; /* facts of one command follow each other */
    const char *path;    /* in what it returns */
    char *(*text)(json_object *value, const char *path); /* NULL: nothing to tell */
} Fact;

static const Fact facts[] = {
    {"name", "query-name", "name", info_text},
    {"uuid", "query-uuid", "UUID", info_text},
    {"status", "query-status", "status", info_text},
    {"made by", "query-version", "package", info_text},
    {"protocol", "query-version", "qemu", info_protocol},
    {"vCPUs", "query-cpus-fast", NULL, info_count},
    {"memory", "query-memory-size-summary", "base-memory", info_size},
};

Status verb_info(const Call *call, const Verb *verb)
{
    g_autoptr(json_object) all = json_object_new_object();
    json_object *value = NULL; /* all's */

    (void)verb;
    for (size_t i = 0; i < G_N_ELEMENTS(facts); i++) {
        const Fact *fact = &facts[i];

        if (i == 0 || strcmp(fact->command, facts[i - 1].command) != 0) {
            Status status = call_ask(call, fact->command, /* arguments= */ NULL, &value);

            if (status != STATUS_OK) {
                return status;
            }
            json_object_object_add(all, fact->command + strlen("query-"), value);
        }
        if (value && !call->render->json) {
            g_autofree char *text = fact->text(value, fact->path);

            if (text) {
                render_field(call->render, fact->name, text);
            }
        }
    }
    if (call->render->json) {
        render_json(all);
    }
    return STATUS_OK;
}

/* ---- devices ---- */

static json_object *peripherals(void)
{
    json_object *arguments = json_object_new_object();

    json_object_object_add(arguments, "path", json_object_new_string(PERIPHERALS));
    return arguments;
}

static void device_line(const Render *render, json_object *item)
{
    const char *type = json_text_at(item, "type");
    const char *name = json_text_at(item, "name");

    if (type && name && g_str_has_prefix(type, CHILD)) {
        g_autofree char *line = g_strdup_printf(
            "%-16s %.*s", name, (int)strcspn(type + strlen(CHILD), ">"), type + strlen(CHILD));

        render_field(render, "device", line);
    }
}

static void block_line(const Render *render, json_object *item)
{
    const char *file = json_text_at(item, "inserted.file");
    const char *format = json_text_at(item, "inserted.drv");
    const char *device = json_text_at(item, "device");
    const char *name = device && device[0] != '\0' ? device : json_text_at(item, "qdev");
    g_autofree char *size = text_format_size(json_uint_at(item, "inserted.image.virtual-size"));
    g_autofree char *line = g_strdup_printf(
        "%-16s %s, %s, %s%s", name ? name : "", file ? file : "empty", format ? format : "-", size,
        json_object_get_boolean(json_at(item, "inserted.ro")) ? ", read-only" : "");

    render_field(render, "disk", line);
}

static void chardev_line(const Render *render, json_object *item)
{
    const char *label = json_text_at(item, "label");
    const char *filename = json_text_at(item, "filename");
    g_autofree char *line =
        g_strdup_printf("%-16s %s", label ? label : "", filename ? filename : "");

    render_field(render, "chardev", line);
}

static void iothread_line(const Render *render, json_object *item)
{
    const char *id = json_text_at(item, "id");
    g_autofree char *line = g_strdup_printf("%-16s thread %" G_GUINT64_FORMAT, id ? id : "",
                                            json_uint_at(item, "thread-id"));

    render_field(render, "iothread", line);
}

typedef struct DeviceList {
    const char *key; /* in the JSON */
    const char *command;
    json_object *(*arguments)(void); /* optional */
    void (*line)(const Render *render, json_object *item);
} DeviceList;

static const DeviceList device_lists[] = {
    {"devices", "qom-list", peripherals, device_line},
    {"disks", "query-block", NULL, block_line},
    {"chardevs", "query-chardev", NULL, chardev_line},
    {"iothreads", "query-iothreads", NULL, iothread_line},
};

Status verb_devices(const Call *call, const Verb *verb)
{
    g_autoptr(json_object) all = json_object_new_object();

    (void)verb;
    for (size_t i = 0; i < G_N_ELEMENTS(device_lists); i++) {
        const DeviceList *list = &device_lists[i];
        json_object *value = NULL;
        Status status =
            call_ask(call, list->command, list->arguments ? list->arguments() : NULL, &value);

        if (status != STATUS_OK) {
            return status;
        }
        json_object_object_add(all, list->key, value);
        for (size_t k = 0; !call->render->json && k < json_count(value); k++) {
            list->line(call->render, json_item(value, k));
        }
    }
    if (call->render->json) {
        render_json(all);
    }
    return STATUS_OK;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of QMP commands, put into words. */
#include "qmp/human.h"

#include <json-c/json.h>
#include <string.h>

static json_object *get(json_object *object, const char *name)
{
    json_object *value = NULL;

    json_object_object_get_ex(object, name, &value);
    return value;
}

static const char *text_of(json_object *object, const char *name)
{
    json_object *value = get(object, name);

    return value ? json_object_get_string(value) : "";
}

static bool is_set(json_object *object, const char *name)
{
    return json_object_get_boolean(get(object, name));
}

static size_t length(json_object *list)
{
    return json_object_array_length(list);
}

void human_show_status(GString *out, json_object *reply)
{
    const char *status = text_of(reply, "status");

    if (is_set(reply, "running")) {
        g_string_append(out, "VM status: running\r\n");
    } else if (strcmp(status, "paused") == 0) {
        g_string_append(out, "VM status: paused\r\n");
    } else {
        g_string_append_printf(out, "VM status: paused (%s)\r\n", status);
    }
}

void human_show_name(GString *out, json_object *reply)
{
    if (get(reply, "name")) {
        g_string_append_printf(out, "%s\r\n", text_of(reply, "name"));
    }
}

void human_show_uuid(GString *out, json_object *reply)
{
    g_string_append_printf(out, "%s\r\n", text_of(reply, "UUID"));
}

void human_show_kvm(GString *out, json_object *reply)
{
    g_string_append_printf(out, "kvm support: %s\r\n",
                           is_set(reply, "enabled") ? "enabled" : "disabled");
}

void human_show_version(GString *out, json_object *reply)
{
    g_string_append_printf(out, "%s\r\n", text_of(reply, "package"));
}

void human_show_cpus(GString *out, json_object *reply)
{
    for (size_t i = 0; i < length(reply); i++) {
        json_object *cpu = json_object_array_get_idx(reply, i);

        g_string_append_printf(out, "%c CPU #%s: thread_id=%s\r\n", i == 0 ? '*' : ' ',
                               text_of(cpu, "cpu-index"), text_of(cpu, "thread-id"));
    }
}

static const char *cache_mode(json_object *cache)
{
    if (is_set(cache, "no-flush")) {
        return "unsafe";
    }
    if (is_set(cache, "direct")) {
        return is_set(cache, "writeback") ? "writeback, direct" : "writethrough, direct";
    }
    return is_set(cache, "writeback") ? "writeback" : "writethrough";
}

void human_show_block(GString *out, json_object *reply)
{
    for (size_t i = 0; i < length(reply); i++) {
        json_object *drive = json_object_array_get_idx(reply, i);
        json_object *inserted = get(drive, "inserted");

        g_string_append(out, text_of(drive, "device"));
        if (get(inserted, "node-name")) {
            g_string_append_printf(out, " (%s)", text_of(inserted, "node-name"));
        }
        g_string_append_printf(out, ": %s (%s%s)\r\n    Cache mode:       %s\r\n",
                               text_of(inserted, "file"), text_of(inserted, "drv"),
                               is_set(inserted, "ro") ? ", read-only" : "",
                               cache_mode(get(inserted, "cache")));
    }
}

void human_show_blockstats(GString *out, json_object *reply)
{
    for (size_t i = 0; i < length(reply); i++) {
        json_object *drive = json_object_array_get_idx(reply, i);
        json_object *stats = get(drive, "stats");
        struct json_object_iterator at = json_object_iter_begin(stats);
        struct json_object_iterator end = json_object_iter_end(stats);

        g_string_append_printf(out, "%s:", text_of(drive, "device"));
        for (; !json_object_iter_equal(&at, &end); json_object_iter_next(&at)) {
            g_string_append_printf(out, " %s=%s", json_object_iter_peek_name(&at),
                                   json_object_get_string(json_object_iter_peek_value(&at)));
        }
        g_string_append(out, "\r\n");
    }
}

void human_show_chardev(GString *out, json_object *reply)
{
    for (size_t i = 0; i < length(reply); i++) {
        json_object *chr = json_object_array_get_idx(reply, i);

        g_string_append_printf(out, "%s: filename=%s\r\n", text_of(chr, "label"),
                               text_of(chr, "filename"));
    }
}

void human_show_iothreads(GString *out, json_object *reply)
{
    for (size_t i = 0; i < length(reply); i++) {
        json_object *thread = json_object_array_get_idx(reply, i);

        g_string_append_printf(out, "%s:\r\n  thread_id=%s\r\n", text_of(thread, "id"),
                               text_of(thread, "thread-id"));
    }
}

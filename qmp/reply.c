/* SPDX-License-Identifier: Apache-2.0 */
/* The envelopes: greeting, return, error, event. */
#include "qmp/reply.h"

#include "qmp/json_text.h"
#include "qmp/schema.h"

#include <string.h>

/* Clients refuse or change their ways by this version; 7.2 is what all of them are content with. */
#define VERSION_MAJOR 7
#define VERSION_MINOR 2
#define VERSION_MICRO 22
#define PACKAGE       "Stencil " STENCIL_VERSION

static const char *const class_names[] = {
    [QMP_ERROR_GENERIC] = "GenericError",
    [QMP_ERROR_COMMAND_NOT_FOUND] = "CommandNotFound",
    [QMP_ERROR_DEVICE_NOT_ACTIVE] = "DeviceNotActive",
    [QMP_ERROR_DEVICE_NOT_FOUND] = "DeviceNotFound",
    [QMP_ERROR_KVM_MISSING_CAP] = "KVMMissingCap",
};

G_DEFINE_QUARK(qmp_error, qmp_error)

bool qmp_fail(GError **error, QmpErrorClass code, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    if (error) {
        *error = g_error_new_valist(QMP_ERROR, (int)code, fmt, args);
    }
    va_end(args);
    return false;
}

void qmp_add_string(json_object *object, const char *name, const char *value)
{
    json_object_object_add(object, name, json_object_new_string(value));
}

void qmp_add_int(json_object *object, const char *name, int64_t value)
{
    json_object_object_add(object, name, json_object_new_int64(value));
}

void qmp_add_bool(json_object *object, const char *name, bool value)
{
    json_object_object_add(object, name, json_object_new_boolean(value));
}

json_object *qmp_version(void)
{
    json_object *version = json_object_new_object();
    json_object *qemu = json_object_new_object();

    qmp_add_int(qemu, "micro", VERSION_MICRO);
    qmp_add_int(qemu, "minor", VERSION_MINOR);
    qmp_add_int(qemu, "major", VERSION_MAJOR);
    json_object_object_add(version, "qemu", qemu);
    qmp_add_string(version, "package", PACKAGE);
    return version;
}

/* The id stays its owner's. */
static void add_id(json_object *message, const QmpId *id)
{
    if (id->given) {
        json_object_object_add(message, "id", json_object_get(id->value));
    }
}

static void append_message(GString *out, json_object *message, bool pretty)
{
    json_append(out, message, pretty);
    g_string_append(out, "\r\n");
}

void qmp_append_greeting(GString *out, bool pretty)
{
    g_autoptr(json_object) message = json_object_new_object();
    json_object *body = json_object_new_object();
    json_object *capabilities = json_object_new_array();

    json_object_array_add(capabilities, json_object_new_string("oob"));
    json_object_object_add(body, "version", qmp_version());
    json_object_object_add(body, "capabilities", capabilities);
    json_object_object_add(message, "QMP", body);
    append_message(out, message, pretty);
}

/* Long constant lists are copied, not built. */
static void append_elements(GString *out, const QmpReply *reply, const QmpId *id)
{
    g_string_append(out, "{\"return\": [");
    for (size_t i = 0; i < reply->num_elements; i++) {
        g_string_append(out, i > 0 ? ", " : "");
        g_string_append(out, reply->elements[i]);
    }
    g_string_append(out, "]");
    if (id->given) {
        g_string_append(out, ", \"id\": ");
        json_append(out, id->value, /* pretty= */ false);
    }
    g_string_append(out, "}\r\n");
}

void qmp_append_return(GString *out, const QmpReply *reply, const QmpId *id, bool pretty)
{
    g_autoptr(json_object) message = NULL;
    json_object *value;

    if (reply->elements) {
        append_elements(out, reply, id);
        return;
    }
    message = json_object_new_object();
    value = reply->value ? json_object_get(reply->value) : json_object_new_object();
    json_object_object_add(message, "return", value);
    add_id(message, id);
    append_message(out, message, pretty);
}

static QmpErrorClass class_of(const GError *error)
{
    if (error->domain == QMP_ERROR && (size_t)error->code < G_N_ELEMENTS(class_names)) {
        return (QmpErrorClass)error->code;
    }
    return QMP_ERROR_GENERIC;
}

void qmp_append_error(GString *out, const GError *error, const QmpId *id, bool pretty)
{
    g_autoptr(json_object) message = json_object_new_object();
    json_object *body = json_object_new_object();

    add_id(message, id);
    qmp_add_string(body, "class", class_names[class_of(error)]);
    qmp_add_string(body, "desc", error->message);
    json_object_object_add(message, "error", body);
    append_message(out, message, pretty);
}

void qmp_append_event(GString *out, const char *name, int64_t time_us, json_object *data,
                      bool pretty)
{
    g_autoptr(json_object) message = json_object_new_object();
    json_object *timestamp = json_object_new_object();

    qmp_add_int(timestamp, "seconds", time_us / G_USEC_PER_SEC);
    qmp_add_int(timestamp, "microseconds", time_us % G_USEC_PER_SEC);
    json_object_object_add(message, "timestamp", timestamp);
    qmp_add_string(message, "event", name);
    if (data) {
        json_object_object_add(message, "data", json_object_get(data));
    }
    append_message(out, message, pretty);
}

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef QMP_REPLY_H
#define QMP_REPLY_H

/*
 * What a command is given and what it answers with.
 *
 *     bool qmp_cmd_query_name(QmpCall *call, const void *arguments, QmpReply *reply, GError **)
 *
 * A command that fails sets the error; any error of the house is a GenericError to the client.
 * The few classes that clients branch on have codes of their own here.
 */

#include "machine/vm.h"

#include <glib.h>
#include <json-c/json_object.h>
#include <stdbool.h>

typedef struct QmpServer QmpServer;
typedef struct QmpSession QmpSession;

typedef enum QmpErrorClass {
    QMP_ERROR_GENERIC,
    QMP_ERROR_COMMAND_NOT_FOUND,
    QMP_ERROR_DEVICE_NOT_ACTIVE,
    QMP_ERROR_DEVICE_NOT_FOUND,
    QMP_ERROR_KVM_MISSING_CAP,
} QmpErrorClass;

#define QMP_ERROR (qmp_error_quark())
GQuark qmp_error_quark(void);

/* As fail() in util/error.h. */
bool qmp_fail(GError **error, QmpErrorClass code, const char *fmt, ...) G_GNUC_PRINTF(3, 4);

typedef struct QmpWork QmpWork;

typedef struct QmpCall {
    QmpServer *server;
    QmpSession *session;
    Vm *vm;
    QmpWork *work; /* set by qmp_work_start: the answer comes later */
} QmpCall;

typedef struct QmpReply {
    json_object *value; /* owned; NULL: {} */

    /* Instead of value, a list whose elements are constant text. */
    const char *const *elements;
    size_t num_elements;
} QmpReply;

/* id is NULL if the request had none, as opposed to one that was null. */
typedef struct QmpId {
    bool given;
    json_object *value;
} QmpId;

/* Append a message to out, with its CRLF. */
void qmp_append_greeting(GString *out, bool pretty);
void qmp_append_return(GString *out, const QmpReply *reply, const QmpId *id, bool pretty);
void qmp_append_error(GString *out, const GError *error, const QmpId *id, bool pretty);
/* data may be NULL. */
void qmp_append_event(GString *out, const char *name, int64_t time_us, json_object *data,
                      bool pretty);

/* {"qemu": {...}, "package": ...} */
json_object *qmp_version(void);

/* Shorthand for building replies: adds to object and returns it. */
void qmp_add_string(json_object *object, const char *name, const char *value);
void qmp_add_int(json_object *object, const char *name, int64_t value);
void qmp_add_bool(json_object *object, const char *name, bool value);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "qmp/dispatch.h"

#include "qmp/arguments.h"
#include "qmp/schema.h"
#include "qmp/session.h"
#include "util/error.h"
#include "util/trace.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#define NEGOTIATION "qmp_capabilities"

static int compare_command(const void *name, const void *command)
{
    return strcmp(name, ((const QmpCommand *)command)->name);
}

const QmpCommand *qmp_command_find(const char *name)
{
    return bsearch(name, qmp_commands, qmp_num_commands, sizeof(QmpCommand), compare_command);
}

/* What a request is made of; everything belongs to the request. */
typedef struct Envelope {
    const char *command;
    json_object *arguments;
    bool oob;
} Envelope;

static bool unexpected(GError **error, const char *name)
{
    return fail(error, VMM_ERROR_WIRE, "QMP input member '%s' is unexpected", name);
}

static bool read_command(const QmpCall *call, const char *key, json_object *value,
                         Envelope *envelope, GError **error)
{
    bool oob = strcmp(key, "exec-oob") == 0;

    if (oob && !qmp_session_has_oob(call->session)) {
        return unexpected(error, key);
    }
    if (!json_object_is_type(value, json_type_string)) {
        return fail(error, VMM_ERROR_WIRE, "QMP input member '%s' must be a string", key);
    }
    if (envelope->command) {
        return fail(error, VMM_ERROR_WIRE, "QMP input member 'execute' clashes with 'exec-oob'");
    }
    envelope->command = json_object_get_string(value);
    envelope->oob = oob;
    return true;
}

static bool read_envelope(const QmpCall *call, json_object *request, Envelope *envelope,
                          GError **error)
{
    if (!json_object_is_type(request, json_type_object)) {
        return fail(error, VMM_ERROR_WIRE, "QMP input must be a JSON object");
    }
    for (struct json_object_iterator i = json_object_iter_begin(request),
                                     end = json_object_iter_end(request);
         !json_object_iter_equal(&i, &end); json_object_iter_next(&i)) {
        const char *key = json_object_iter_peek_name(&i);
        json_object *value = json_object_iter_peek_value(&i);

        if (strcmp(key, "execute") == 0 || strcmp(key, "exec-oob") == 0) {
            if (!read_command(call, key, value, envelope, error)) {
                return false;
            }
        } else if (strcmp(key, "arguments") == 0) {
            if (!json_object_is_type(value, json_type_object)) {
                return fail(error, VMM_ERROR_WIRE,
                            "QMP input member 'arguments' must be an object");
            }
            envelope->arguments = value;
        } else if (strcmp(key, "id") != 0) {
            return unexpected(error, key);
        }
    }
    return true;
}

/*
 * While a session negotiates, there is one command for it; afterwards, all but that one.  A few
 * commands may come without: people type them as StratoVirt's guide has them.
 */
static bool check_moment(const QmpCall *call, const char *name, bool early, GError **error)
{
    bool negotiation = strcmp(name, NEGOTIATION) == 0;

    if (!qmp_session_negotiated(call->session) && early) {
        qmp_session_begin_early(call->session);
    }
    if (!qmp_session_negotiated(call->session) && !negotiation) {
        return qmp_fail(error, QMP_ERROR_COMMAND_NOT_FOUND,
                        "Expecting capabilities negotiation with '" NEGOTIATION "'");
    }
    if (negotiation && !qmp_session_may_negotiate(call->session)) {
        return qmp_fail(error, QMP_ERROR_COMMAND_NOT_FOUND,
                        "Capabilities negotiation is already complete, command ignored");
    }
    return true;
}

static const QmpCommand *find_command(const QmpCall *call, const Envelope *envelope, GError **error)
{
    const char *name = envelope->command;
    const QmpCommand *command;

    if (!name) {
        return fail_null(error, VMM_ERROR_WIRE, "QMP input lacks member 'execute'");
    }
    command = qmp_command_find(name);
    if (command && envelope->oob && !command->allow_oob) {
        return fail_null(error, VMM_ERROR_WIRE, "The command %s does not support OOB", name);
    }
    if (!check_moment(call, name, command && command->early, error)) {
        return NULL;
    }
    if (!command) {
        qmp_fail(error, QMP_ERROR_COMMAND_NOT_FOUND, "The command %s has not been found", name);
    }
    return command;
}

static bool execute(QmpCall *call, json_object *request, QmpReply *reply, GError **error)
{
    g_auto(QmpArguments) arguments = {0};
    Envelope envelope = {0};
    const QmpCommand *command;

    if (!read_envelope(call, request, &envelope, error)) {
        return false;
    }
    command = find_command(call, &envelope, error);
    TRACE(qmp_command, "%s", envelope.command ? envelope.command : "");
    return command &&
           qmp_arguments_read(&arguments, command->arguments, envelope.arguments, error) &&
           command->run(call, arguments.value, reply, error);
}

bool qmp_dispatch_is_oob(json_object *request)
{
    return json_object_is_type(request, json_type_object) &&
           json_object_object_get_ex(request, "exec-oob", NULL);
}

void qmp_dispatch(QmpCall *call, json_object *request, GString *out, bool pretty)
{
    g_autoptr(GError) error = NULL;
    QmpReply reply = {0};
    QmpId id = {0};

    if (json_object_is_type(request, json_type_object)) {
        id.given = json_object_object_get_ex(request, "id", &id.value);
    }
    if (execute(call, request, &reply, &error)) {
        if (call->work) {
            qmp_session_begin_work(call->session, call->work, request);
            return;
        }
        qmp_append_return(out, &reply, &id, pretty);
    } else {
        qmp_append_error(out, error, &id, pretty);
    }
    json_object_put(reply.value);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Tracepoints, in QEMU's words and in StratoVirt's. */
#include "qmp/generated.h"
#include "util/error.h"
#include "util/trace.h"

#include <string.h>

/* A pattern may match nothing; a name must be right. */
static bool check_name(const char *name, GError **error)
{
    bool found = strpbrk(name, "*?") != NULL;

    for (unsigned i = 0; i < TRACE_COUNT && !found; i++) {
        found = strcmp(trace_name((TracePoint)i), name) == 0;
    }
    return found || fail(error, VMM_ERROR_CONFIG, "unknown event \"%s\"", name);
}

bool qmp_cmd_trace_event_get_state(QmpCall *call, const QmpTraceEventGetStateArgs *args,
                                   QmpReply *reply, GError **error)
{
    (void)call;
    if (!check_name(args->name, error)) {
        return false;
    }
    reply->value = json_object_new_array();
    for (unsigned i = 0; i < TRACE_COUNT; i++) {
        TracePoint point = (TracePoint)i;
        json_object *entry;

        if (!trace_matches(point, args->name)) {
            continue;
        }
        entry = json_object_new_object();
        qmp_add_string(entry, "name", trace_name(point));
        qmp_add_string(entry, "state", trace_get(point) ? "enabled" : "disabled");
        qmp_add_bool(entry, "vcpu", false);
        json_object_array_add(reply->value, entry);
    }
    return true;
}

static bool set_state(const char *name, bool on, GError **error)
{
    if (!check_name(name, error)) {
        return false;
    }
    for (unsigned i = 0; i < TRACE_COUNT; i++) {
        if (trace_matches((TracePoint)i, name)) {
            trace_set((TracePoint)i, on);
        }
    }
    return true;
}

bool qmp_cmd_trace_event_set_state(QmpCall *call, const QmpTraceEventSetStateArgs *args,
                                   QmpReply *reply, GError **error)
{
    (void)call;
    (void)reply;
    return set_state(args->name, args->enable, error);
}

bool qmp_cmd_trace_get_state(QmpCall *call, const QmpTraceGetStateArgs *args, QmpReply *reply,
                             GError **error)
{
    (void)call;
    (void)error;
    reply->value = json_object_new_array();
    for (unsigned i = 0; i < TRACE_COUNT; i++) {
        TracePoint point = (TracePoint)i;

        if (trace_matches(point, args->pattern)) {
            json_object *entry = json_object_new_object();

            qmp_add_string(entry, "name", trace_name(point));
            qmp_add_bool(entry, "state", trace_get(point));
            json_object_array_add(reply->value, entry);
        }
    }
    return true;
}

bool qmp_cmd_trace_set_state(QmpCall *call, const QmpTraceSetStateArgs *args, QmpReply *reply,
                             GError **error)
{
    (void)call;
    (void)reply;
    return set_state(args->pattern, args->enable, error);
}

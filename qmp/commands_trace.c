/* SPDX-License-Identifier: Apache-2.0 */
/* Tracepoints, in QEMU's words and in StratoVirt's. */
#include "qmp/generated.h"
#include "util/error.h"
#include "util/trace.h"

/* A pattern may match nothing; a name must be right. */
static bool fail_unknown(const char *name, GError **error)
{
    return fail(error, VMM_ERROR_CONFIG, "unknown event \"%s\"", name);
}

bool qmp_cmd_trace_event_get_state(QmpCall *call, const QmpTraceEventGetStateArgs *args,
                                   QmpReply *reply, GError **error)
{
    (void)call;
    if (!trace_is_known(args->name)) {
        return fail_unknown(args->name, error);
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

bool qmp_cmd_trace_event_set_state(QmpCall *call, const QmpTraceEventSetStateArgs *args,
                                   QmpReply *reply, GError **error)
{
    (void)call;
    (void)reply;
    return trace_switch(args->name, args->enable) || fail_unknown(args->name, error);
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
    return trace_switch(args->pattern, args->enable) || fail_unknown(args->pattern, error);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Negotiation and introspection. */
#include "qmp/generated.h"
#include "qmp/session.h"

bool qmp_cmd_qmp_capabilities(QmpCall *call, const QmpQmpCapabilitiesArgs *args, QmpReply *reply,
                              GError **error)
{
    bool oob = false;

    (void)reply;
    (void)error;
    for (size_t i = 0; i < args->enable.count; i++) {
        oob = oob || args->enable.items[i] == QMP_QMP_CAPABILITY_OOB;
    }
    qmp_session_negotiate(call->session, oob);
    return true;
}

bool qmp_cmd_query_version(QmpCall *call, QmpReply *reply, GError **error)
{
    (void)call;
    (void)error;
    reply->value = qmp_version();
    return true;
}

static void add_name(json_object *list, const char *name)
{
    json_object *entry = json_object_new_object();

    qmp_add_string(entry, "name", name);
    json_object_array_add(list, entry);
}

bool qmp_cmd_query_commands(QmpCall *call, QmpReply *reply, GError **error)
{
    (void)call;
    (void)error;
    reply->value = json_object_new_array();
    for (size_t i = 0; i < qmp_num_commands; i++) {
        add_name(reply->value, qmp_commands[i].name);
    }
    return true;
}

bool qmp_cmd_query_events(QmpCall *call, QmpReply *reply, GError **error)
{
    (void)call;
    (void)error;
    reply->value = json_object_new_array();
    for (size_t i = 0; i < qmp_num_events; i++) {
        add_name(reply->value, qmp_events[i].name);
    }
    return true;
}

bool qmp_cmd_query_qmp_schema(QmpCall *call, QmpReply *reply, GError **error)
{
    (void)call;
    (void)error;
    reply->elements = qmp_schema_elements;
    reply->num_elements = qmp_num_schema_elements;
    return true;
}

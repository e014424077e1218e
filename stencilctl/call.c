/* SPDX-License-Identifier: Apache-2.0 */
#include "stencilctl/call.h"

#include "util/error.h"

Status call_broken(const Call *call, const GError *error)
{
    render_error(call->render, "%s", error->message);
    return g_error_matches(error, VMM_ERROR, VMM_ERROR_STATE) ? STATUS_TIMEOUT : STATUS_NO_VM;
}

static Status refused(const Call *call, json_object *answer)
{
    const char *text = json_text_at(answer, "error.desc");

    render_error(call->render, "%s", text ? text : "the VM refused, and did not say why");
    return STATUS_REFUSED;
}

Status call_send(const Call *call, json_object *command, json_object **ret_answer)
{
    g_autoptr(GError) error = NULL;
    json_object *answer = client_call(call->client, command, &error);

    if (!answer) {
        return call_broken(call, error);
    }
    *ret_answer = answer;
    return STATUS_OK;
}

static Status execute(const Call *call, const char *name, json_object *arguments,
                      json_object **ret_answer)
{
    g_autoptr(json_object) command = json_object_new_object();

    json_object_object_add(command, "execute", json_object_new_string(name));
    if (arguments) {
        json_object_object_add(command, "arguments", arguments);
    }
    return call_send(call, command, ret_answer);
}

Status call_execute(const Call *call, const char *name, json_object *arguments,
                    json_object **ret_value)
{
    g_autoptr(json_object) answer = NULL;
    Status status = execute(call, name, arguments, &answer);

    if (status != STATUS_OK) {
        return status;
    }
    if (json_at(answer, "error")) {
        return refused(call, answer);
    }
    *ret_value = json_object_get(json_at(answer, "return"));
    return STATUS_OK;
}

Status call_ask(const Call *call, const char *name, json_object *arguments, json_object **ret_value)
{
    g_autoptr(json_object) answer = NULL;
    Status status = execute(call, name, arguments, &answer);

    if (status == STATUS_OK) {
        *ret_value = json_object_get(json_at(answer, "return"));
    }
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* vCPUs: what they can do, and the NMI button. */
#include "machine/vm_inspect.h"
#include "qmp/generated.h"
#include "qmp/json_text.h"
#include "util/error.h"

#include <json-c/json_object_iterator.h>

bool qmp_cmd_inject_nmi(QmpCall *call, QmpReply *reply, GError **error)
{
    (void)reply;
    return vm_inject_nmi(call->vm, error);
}

bool qmp_cmd_query_vcpu_reg(QmpCall *call, const QmpQueryVcpuRegArgs *args, QmpReply *reply,
                            GError **error)
{
    g_autofree char *value = NULL;

    if (vm_has_vcpu(call->vm, args->vcpu, error)) {
        value = vm_read_register(call->vm, (unsigned)args->vcpu, args->addr, error);
    }
    if (!value) {
        return false;
    }
    reply->value = json_object_new_string(value);
    return true;
}

static void add_feature(void *opaque, const char *name, bool on)
{
    qmp_add_bool(opaque, name, on);
}

/* The features that the client switches, as -cpu would; their names are the request's. */
static bool read_switches(json_object *props, GArray *switches, GError **error)
{
    if (!json_object_is_type(props, json_type_object)) {
        return fail(error, VMM_ERROR_CONFIG,
                    "Invalid parameter type for 'model.props', expected: object");
    }
    for (struct json_object_iterator i = json_object_iter_begin(props),
                                     end = json_object_iter_end(props);
         !json_object_iter_equal(&i, &end); json_object_iter_next(&i)) {
        json_object *value = json_object_iter_peek_value(&i);
        CpuFeatureSwitch one = {.name = json_object_iter_peek_name(&i)};

        if (!json_object_is_type(value, json_type_boolean)) {
            return fail(error, VMM_ERROR_CONFIG,
                        "Invalid parameter type for 'model.props.%s', expected: boolean", one.name);
        }
        one.on = json_object_get_boolean(value);
        g_array_append_val(switches, one);
    }
    return true;
}

bool qmp_cmd_query_cpu_model_expansion(QmpCall *call, const QmpQueryCpuModelExpansionArgs *args,
                                       QmpReply *reply, GError **error)
{
    g_autoptr(GArray) switches = g_array_new(FALSE, FALSE, sizeof(CpuFeatureSwitch));
    g_autoptr(CpuModel) cpu = NULL;
    g_autoptr(json_object) features = json_object_new_object();
    CpuModelConfig config = {.name = args->model.name, .topology = {1, 1, 1, 1}};
    json_object *model;

    if (call->vm->config->accel != ACCEL_KVM) {
        return qmp_fail(error, QMP_ERROR_KVM_MISSING_CAP,
                        "Only KVM knows what a CPU model comes to, and this VM does not use it");
    }
    if (args->model.props && !read_switches(args->model.props, switches, error)) {
        return false;
    }
    config.switches = (const CpuFeatureSwitch *)switches->data;
    config.num_switches = switches->len;
    cpu = cpu_model_new(call->vm->hypervisor, &config, error);
    if (!cpu || !cpu_model_list_features(cpu, add_feature, features, error)) {
        return false;
    }
    model = json_object_new_object();
    qmp_add_string(model, "name", args->model.name);
    json_object_object_add(model, "props", g_steal_pointer(&features));
    reply->value = json_object_new_object();
    json_object_object_add(reply->value, "model", model);
    return true;
}

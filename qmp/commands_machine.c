/* SPDX-License-Identifier: Apache-2.0 */
/* What the VM is made of. */
#include "machine/backends.h"
#include "machine/machines.h"
#include "machine/options.h"
#include "qmp/generated.h"
#include "qmp/server.h"
#include "util/error.h"

#include <string.h>

static void add_machine(json_object *list, MachineType type, const MachineOps *ops)
{
    g_autofree char *ram_id = g_strconcat(ops->name, ".ram", NULL);
    json_object *entry = json_object_new_object();

    qmp_add_string(entry, "name", machine_type_names[type]);
    if (type == MACHINE_MICROVM) {
        qmp_add_bool(entry, "is-default", true);
    }
    qmp_add_int(entry, "cpu-max", ops->max_cpus);
    qmp_add_bool(entry, "hotpluggable-cpus", false);
    qmp_add_bool(entry, "numa-mem-supported", false);
    qmp_add_bool(entry, "deprecated", false);
    qmp_add_string(entry, "default-ram-id", ram_id);
    json_object_array_add(list, entry);
}

bool qmp_cmd_query_machines(QmpCall *call, QmpReply *reply, GError **error)
{
    (void)call;
    (void)error;
    reply->value = json_object_new_array();
    for (unsigned i = 0; machine_type_names[i]; i++) {
        const MachineOps *ops = machine_ops_find((MachineType)i);

        if (ops) {
            add_machine(reply->value, (MachineType)i, ops);
        }
    }
    return true;
}

/* CPUs are numbered thread by thread, then core by core, and so on. */
static json_object *cpu_place(const SmpConfig *smp, unsigned index)
{
    json_object *place = json_object_new_object();
    unsigned core = index / smp->threads;
    unsigned cluster = core / smp->cores;
    unsigned die = cluster / smp->clusters;

    qmp_add_int(place, "core-id", core % smp->cores);
    if (smp->clusters > 1) {
        qmp_add_int(place, "cluster-id", cluster % smp->clusters);
    }
    if (smp->dies > 1) {
        qmp_add_int(place, "die-id", die % smp->dies);
    }
    qmp_add_int(place, "thread-id", index % smp->threads);
    qmp_add_int(place, "socket-id", die / smp->dies);
    return place;
}

bool qmp_cmd_query_cpus_fast(QmpCall *call, QmpReply *reply, GError **error)
{
    Vcpus *vcpus = call->vm->vcpus;

    (void)error;
    reply->value = json_object_new_array();
    for (unsigned i = 0; i < vcpus_count(vcpus); i++) {
        g_autofree char *path = g_strdup_printf("/machine/unattached/device[%u]", i);
        json_object *entry = json_object_new_object();

        qmp_add_int(entry, "thread-id", atomic_load(&vcpus_get(vcpus, i)->thread_id));
        json_object_object_add(entry, "props", cpu_place(&call->vm->config->smp, i));
        qmp_add_string(entry, "qom-path", path);
        qmp_add_int(entry, "cpu-index", i);
        qmp_add_string(entry, "target", QMP_TARGET);
        json_object_array_add(reply->value, entry);
    }
    return true;
}

bool qmp_cmd_query_cpus(QmpCall *call, QmpReply *reply, GError **error)
{
    Vcpus *vcpus = call->vm->vcpus;

    (void)error;
    reply->value = json_object_new_array();
    for (unsigned i = 0; i < vcpus_count(vcpus); i++) {
        g_autofree char *path = g_strdup_printf("/machine/unattached/device[%u]", i);
        json_object *entry = json_object_new_object();

        qmp_add_bool(entry, "current", i == 0);
        qmp_add_bool(entry, "halted", false);
        qmp_add_string(entry, "qom_path", path);
        json_object_object_add(entry, "props", cpu_place(&call->vm->config->smp, i));
        qmp_add_int(entry, "CPU", i);
        qmp_add_int(entry, "thread_id", atomic_load(&vcpus_get(vcpus, i)->thread_id));
        qmp_add_string(entry, "arch", QMP_TARGET);
        json_object_array_add(reply->value, entry);
    }
    return true;
}

static void add_chardev(json_object *list, const char *label, const char *filename, bool in_use)
{
    json_object *entry = json_object_new_object();

    qmp_add_bool(entry, "frontend-open", in_use);
    qmp_add_string(entry, "filename", filename);
    qmp_add_string(entry, "label", label);
    json_object_array_add(list, entry);
}

bool qmp_cmd_query_chardev(QmpCall *call, QmpReply *reply, GError **error)
{
    const GPtrArray *bags = call->vm->config->chardevs;

    (void)error;
    reply->value = json_object_new_array();
    for (guint i = 0; i < bags->len; i++) {
        const char *id = prop_bag_id(bags->pdata[i]);
        const Chardev *chr = backends_find_chardev(call->vm->backends, id, NULL);
        g_autofree char *filename =
            chr ? chardev_describe(chr) : qmp_server_describe(call->server, id);

        if (filename) {
            add_chardev(reply->value, id, filename, !chr || chardev_is_attached(chr));
        }
    }
    return true;
}

bool qmp_cmd_query_iothreads(QmpCall *call, QmpReply *reply, GError **error)
{
    const GPtrArray *loops = backends_iothreads(call->vm->backends);

    (void)error;
    reply->value = json_object_new_array();
    for (guint i = 0; i < loops->len; i++) {
        json_object *entry = json_object_new_object();

        qmp_add_string(entry, "id", loop_name(loops->pdata[i]));
        qmp_add_int(entry, "thread-id", loop_thread_id(loops->pdata[i]));
        qmp_add_int(entry, "poll-max-ns", 0);
        qmp_add_int(entry, "poll-grow", 0);
        qmp_add_int(entry, "poll-shrink", 0);
        qmp_add_int(entry, "aio-max-batch", 0);
        json_object_array_add(reply->value, entry);
    }
    return true;
}

bool qmp_cmd_query_memory_size_summary(QmpCall *call, QmpReply *reply, GError **error)
{
    (void)error;
    reply->value = json_object_new_object();
    qmp_add_int(reply->value, "base-memory", (int64_t)call->vm->config->memory.size);
    qmp_add_int(reply->value, "plugged-memory", 0);
    return true;
}

/* What clients ask for and this VM never has. */
static bool answer_none(QmpReply *reply)
{
    reply->value = json_object_new_array();
    return true;
}

bool qmp_cmd_query_memory_devices(QmpCall *call, QmpReply *reply, GError **error)
{
    (void)call;
    (void)error;
    return answer_none(reply);
}

bool qmp_cmd_query_jobs(QmpCall *call, QmpReply *reply, GError **error)
{
    (void)call;
    (void)error;
    return answer_none(reply);
}

bool qmp_cmd_query_block_jobs(QmpCall *call, QmpReply *reply, GError **error)
{
    (void)call;
    (void)error;
    return answer_none(reply);
}

bool qmp_cmd_query_tpm_models(QmpCall *call, QmpReply *reply, GError **error)
{
    (void)call;
    (void)error;
    return answer_none(reply);
}

bool qmp_cmd_query_tpm_types(QmpCall *call, QmpReply *reply, GError **error)
{
    (void)call;
    (void)error;
    return answer_none(reply);
}

bool qmp_cmd_query_hotpluggable_cpus(QmpCall *call, QmpReply *reply, GError **error)
{
    const VmConfig *config = call->vm->config;
    g_autofree char *type = g_strconcat(config->cpu.model, "-" QMP_TARGET "-cpu", NULL);

    (void)error;
    reply->value = json_object_new_array();
    for (unsigned i = vcpus_count(call->vm->vcpus); i-- > 0;) {
        g_autofree char *path = g_strdup_printf("/machine/unattached/device[%u]", i);
        json_object *entry = json_object_new_object();

        json_object_object_add(entry, "props", cpu_place(&config->smp, i));
        qmp_add_int(entry, "vcpus-count", 1);
        qmp_add_string(entry, "qom-path", path);
        qmp_add_string(entry, "type", type);
        json_object_array_add(reply->value, entry);
    }
    return true;
}

bool qmp_cmd_query_cpu_definitions(QmpCall *call, QmpReply *reply, GError **error)
{
    const char *const *names = cpu_model_names();

    (void)call;
    (void)error;
    reply->value = json_object_new_array();
    for (size_t i = 0; names[i]; i++) {
        g_autofree char *type = g_strconcat(names[i], "-" QMP_TARGET "-cpu", NULL);
        bool of_host = strcmp(names[i], "host") == 0 || strcmp(names[i], "max") == 0;
        json_object *entry = json_object_new_object();

        qmp_add_string(entry, "name", names[i]);
        qmp_add_string(entry, "typename", type);
        qmp_add_bool(entry, "migration-safe", !of_host);
        qmp_add_bool(entry, "static", false);
        qmp_add_bool(entry, "deprecated", false);
        json_object_array_add(reply->value, entry);
    }
    return true;
}

bool qmp_cmd_query_command_line_options(QmpCall *call, const QmpQueryCommandLineOptionsArgs *args,
                                        QmpReply *reply, GError **error)
{
    const char *name;

    (void)call;
    reply->value = json_object_new_array();
    for (size_t i = 0; (name = options_name(i)); i++) {
        json_object *entry;

        if (args->option && strcmp(args->option, name) != 0) {
            continue;
        }
        entry = json_object_new_object();
        qmp_add_string(entry, "option", name);
        json_object_object_add(entry, "parameters", json_object_new_array());
        json_object_array_add(reply->value, entry);
    }
    if (args->option && json_object_array_length(reply->value) == 0) {
        return fail(error, VMM_ERROR_CONFIG, "invalid option name: %s", args->option);
    }
    return true;
}

bool qmp_cmd_query_balloon(QmpCall *call, QmpReply *reply, GError **error)
{
    (void)call;
    (void)reply;
    return qmp_fail(error, QMP_ERROR_DEVICE_NOT_ACTIVE, "No balloon device has been activated");
}

bool qmp_cmd_query_rx_filter(QmpCall *call, const QmpQueryRxFilterArgs *args, QmpReply *reply,
                             GError **error)
{
    (void)call;
    if (args->name) {
        return fail(error, VMM_ERROR_CONFIG, "invalid net client name: %s", args->name);
    }
    reply->value = json_object_new_array();
    return true;
}

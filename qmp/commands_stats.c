/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Statistics: tables of what there is to read, per kind of thing; the answers and what explains
 * them are made from the same rows.
 */
#include "qmp/generated.h"
#include "util/error.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#define PROVIDER "stencil"

/* What is counted: the VM, and perhaps a vCPU or queue of it. */
typedef struct StatSource {
    const Vm *vm;
    Vcpu *vcpu;
    const VirtQueue *queue;
    unsigned reason; /* of an exit */
} StatSource;

typedef struct StatDesc {
    const char *name;
    const char *type;
    const char *unit; /* NULL: a plain number */
    int exponent;
    uint64_t (*read)(const StatSource *source);
} StatDesc;

/* ---- the VM ---- */

static uint64_t read_guest_time(const StatSource *source)
{
    return (uint64_t)guest_clock_now_ns(source->vm->clock);
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now = {0};

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t read_process_time(const StatSource *source)
{
    (void)source;
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

/* The second number of the file counts pages. */
static uint64_t read_memory(const StatSource *source)
{
    g_autofree char *text = NULL;
    const char *pages;

    (void)source;
    if (!g_file_get_contents("/proc/self/statm", &text, NULL, NULL)) {
        return 0;
    }
    pages = strchr(text, ' ');
    return pages ? g_ascii_strtoull(pages, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

/* The save or load that is under way or was the last. */
#define MIGRATION_FIGURE(field)                                      \
    static uint64_t read_migration_##field(const StatSource *source) \
    {                                                                \
        return migration_info(source->vm->migration).phases.field;   \
    }

MIGRATION_FIGURE(setup_ns)
MIGRATION_FIGURE(freeze_ns)
MIGRATION_FIGURE(collect_ns)
MIGRATION_FIGURE(memory_ns)
MIGRATION_FIGURE(state_ns)
MIGRATION_FIGURE(publish_ns)
MIGRATION_FIGURE(load_ns)
MIGRATION_FIGURE(memory_bytes)
MIGRATION_FIGURE(state_bytes)

static const StatDesc vm_stats[] = {
    {"guest_time", "cumulative", "seconds", -9, read_guest_time},
    {"cpu_time", "cumulative", "seconds", -9, read_process_time},
    {"resident_memory", "instant", "bytes", 0, read_memory},
    {"migration_setup_time", "instant", "seconds", -9, read_migration_setup_ns},
    {"migration_freeze_time", "instant", "seconds", -9, read_migration_freeze_ns},
    {"migration_collect_time", "instant", "seconds", -9, read_migration_collect_ns},
    {"migration_memory_time", "instant", "seconds", -9, read_migration_memory_ns},
    {"migration_state_time", "instant", "seconds", -9, read_migration_state_ns},
    {"migration_publish_time", "instant", "seconds", -9, read_migration_publish_ns},
    {"migration_load_time", "instant", "seconds", -9, read_migration_load_ns},
    {"migration_memory_bytes", "instant", "bytes", 0, read_migration_memory_bytes},
    {"migration_state_bytes", "instant", "bytes", 0, read_migration_state_bytes},
};

/* ---- vCPUs ---- */

/* The clock of another thread, as pthread_getcpuclockid makes it, from the kernel's id of it. */
static uint64_t read_vcpu_time(const StatSource *source)
{
    int thread = atomic_load(&source->vcpu->thread_id);

    return thread > 0 ? clock_ns((clockid_t)(~(unsigned)thread << 3 | 6)) : 0;
}

static uint64_t read_exits(const StatSource *source)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < VCPU_EXIT_REASONS; i++) {
        sum += atomic_load_explicit(&source->vcpu->exits[i], memory_order_relaxed);
    }
    return sum;
}

static const StatDesc vcpu_stats[] = {
    {"cpu_time", "cumulative", "seconds", -9, read_vcpu_time},
    {"exits", "cumulative", NULL, 0, read_exits},
};

static uint64_t read_exits_of_reason(const StatSource *source)
{
    return atomic_load_explicit(&source->vcpu->exits[source->reason], memory_order_relaxed);
}

/* ---- queues ---- */

#define QUEUE_COUNTER(field)                                                            \
    static uint64_t read_queue_##field(const StatSource *source)                        \
    {                                                                                   \
        return atomic_load_explicit(&source->queue->count.field, memory_order_relaxed); \
    }

QUEUE_COUNTER(requests)
QUEUE_COUNTER(bytes_read)
QUEUE_COUNTER(bytes_written)
QUEUE_COUNTER(total_ns)

static uint64_t read_queue_kicks(const StatSource *source)
{
    return __atomic_load_n(&source->queue->kick_exits, __ATOMIC_RELAXED);
}

static const StatDesc queue_stats[] = {
    {"requests", "cumulative", NULL, 0, read_queue_requests},
    {"bytes_read", "cumulative", "bytes", 0, read_queue_bytes_read},
    {"bytes_written", "cumulative", "bytes", 0, read_queue_bytes_written},
    {"total_latency", "cumulative", "seconds", -9, read_queue_total_ns},
    {"kick_exits", "cumulative", NULL, 0, read_queue_kicks},
};

/* ---- query-stats ---- */

/* What was asked for; names is NULL for everything. */
typedef struct StatFilter {
    bool nothing;
    const QmpStatsRequest *request;
} StatFilter;

static bool is_wanted(const StatFilter *filter, const char *name)
{
    const QmpStatsRequest *request = filter->request;

    if (!request || !request->has_names) {
        return true;
    }
    for (size_t i = 0; i < request->names.count; i++) {
        if (strcmp(request->names.items[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static void add_stat(json_object *list, const StatFilter *filter, const char *name, uint64_t value)
{
    json_object *entry;

    if (!is_wanted(filter, name)) {
        return;
    }
    entry = json_object_new_object();
    qmp_add_string(entry, "name", name);
    json_object_object_add(entry, "value", json_object_new_uint64(value));
    json_object_array_add(list, entry);
}

static json_object *read_stats(const StatDesc *descs, size_t count, const StatSource *source,
                               const StatFilter *filter)
{
    json_object *list = json_object_new_array();

    for (size_t i = 0; i < count; i++) {
        add_stat(list, filter, descs[i].name, descs[i].read(source));
    }
    return list;
}

/* Takes stats; a thing of which nothing was asked for is left out. */
static void add_result(json_object *results, const char *path, json_object *stats)
{
    json_object *entry;

    if (json_object_array_length(stats) == 0) {
        json_object_put(stats);
        return;
    }
    entry = json_object_new_object();
    qmp_add_string(entry, "provider", PROVIDER);
    if (path) {
        qmp_add_string(entry, "qom-path", path);
    }
    json_object_object_add(entry, "stats", stats);
    json_object_array_add(results, entry);
}

static void add_vcpu(json_object *results, const char *path, StatSource *source,
                     const StatFilter *filter)
{
    json_object *stats = read_stats(vcpu_stats, G_N_ELEMENTS(vcpu_stats), source, filter);

    for (unsigned reason = 0; reason < VCPU_EXIT_REASONS; reason++) {
        if (vcpu_exit_name(reason)) {
            g_autofree char *name = g_strconcat("exits_", vcpu_exit_name(reason), NULL);

            source->reason = reason;
            add_stat(stats, filter, name, read_exits_of_reason(source));
        }
    }
    add_result(results, path, stats);
}

static bool is_listed(const QmpQueryStatsArgs *args, const char *path)
{
    for (size_t i = 0; i < args->vcpus.count; i++) {
        if (strcmp(args->vcpus.items[i], path) == 0) {
            return true;
        }
    }
    return !args->has_vcpus;
}

static void add_vcpus(json_object *results, const QmpQueryStatsArgs *args, const Vm *vm,
                      const StatFilter *filter)
{
    for (unsigned i = 0; i < vcpus_count(vm->vcpus); i++) {
        g_autofree char *path = g_strdup_printf("/machine/unattached/device[%u]", i);
        StatSource source = {.vm = vm, .vcpu = vcpus_get(vm->vcpus, i)};

        if (is_listed(args, path)) {
            add_vcpu(results, path, &source, filter);
        }
    }
}

static void add_device(json_object *results, const Vm *vm, Device *device, const StatFilter *filter)
{
    const VirtioDevice *virtio = virtio_device_of(device);

    for (uint32_t i = 0; virtio && i < virtio->num_queues; i++) {
        StatSource source = {.vm = vm, .queue = &virtio->queue[i]};
        g_autofree char *path = g_strdup_printf("/machine/peripheral/%s/queue[%u]", device->id, i);

        add_result(results, path,
                   read_stats(queue_stats, G_N_ELEMENTS(queue_stats), &source, filter));
    }
}

/* There is one provider, which may have been asked for by name, or with names, or not. */
static StatFilter make_filter(const QmpQueryStatsArgs *args)
{
    StatFilter filter = {.nothing = args->has_providers && args->providers.count == 0};

    if (args->has_providers && args->providers.count > 0) {
        filter.request = &args->providers.items[0];
    }
    return filter;
}

bool qmp_cmd_query_stats(QmpCall *call, const QmpQueryStatsArgs *args, QmpReply *reply,
                         GError **error)
{
    const Vm *vm = call->vm;
    const StatFilter filter = make_filter(args);
    const StatSource source = {.vm = vm};

    if (args->has_vcpus && args->target != QMP_STATS_TARGET_VCPU) {
        return fail(error, VMM_ERROR_CONFIG, "Parameter 'vcpus' is unexpected");
    }
    reply->value = json_object_new_array();
    if (filter.nothing) {
        return true;
    }
    switch (args->target) {
    case QMP_STATS_TARGET_VM:
        add_result(reply->value, NULL,
                   read_stats(vm_stats, G_N_ELEMENTS(vm_stats), &source, &filter));
        break;
    case QMP_STATS_TARGET_VCPU:
        add_vcpus(reply->value, args, vm, &filter);
        break;
    case QMP_STATS_TARGET_QUEUE:
        for (guint i = 0; i < vm->devices->len; i++) {
            add_device(reply->value, vm, vm->devices->pdata[i], &filter);
        }
        break;
    }
    return true;
}

/* ---- query-stats-schemas ---- */

static void explain(json_object *list, const char *name, const StatDesc *desc)
{
    json_object *entry = json_object_new_object();

    qmp_add_string(entry, "name", name);
    qmp_add_string(entry, "type", desc->type);
    if (desc->unit) {
        qmp_add_string(entry, "unit", desc->unit);
        qmp_add_int(entry, "base", 10);
    }
    qmp_add_int(entry, "exponent", desc->exponent);
    json_object_array_add(list, entry);
}

static json_object *add_schema(json_object *schemas, const char *target, const StatDesc *descs,
                               size_t count)
{
    json_object *entry = json_object_new_object();
    json_object *list = json_object_new_array();

    for (size_t i = 0; i < count; i++) {
        explain(list, descs[i].name, &descs[i]);
    }
    qmp_add_string(entry, "provider", PROVIDER);
    qmp_add_string(entry, "target", target);
    json_object_object_add(entry, "stats", list);
    json_object_array_add(schemas, entry);
    return list;
}

bool qmp_cmd_query_stats_schemas(QmpCall *call, const QmpQueryStatsSchemasArgs *args,
                                 QmpReply *reply, GError **error)
{
    static const StatDesc exits = {.type = "cumulative"};
    json_object *vcpu;

    (void)call;
    (void)args;
    (void)error;
    reply->value = json_object_new_array();
    add_schema(reply->value, "vm", vm_stats, G_N_ELEMENTS(vm_stats));
    vcpu = add_schema(reply->value, "vcpu", vcpu_stats, G_N_ELEMENTS(vcpu_stats));
    for (unsigned reason = 0; reason < VCPU_EXIT_REASONS; reason++) {
        if (vcpu_exit_name(reason)) {
            g_autofree char *name = g_strconcat("exits_", vcpu_exit_name(reason), NULL);

            explain(vcpu, name, &exits);
        }
    }
    add_schema(reply->value, "queue", queue_stats, G_N_ELEMENTS(queue_stats));
    return true;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * -numa.  Its parts refer to the topology and to the RAM's size, which may come later on the
 * command line, so they are kept until everything is known and made into complete nodes then.
 */
#include "machine/objects.h"
#include "machine/options_private.h"
#include "util/error.h"

#include <string.h>

#define DISTANCE_SELF  10
#define DISTANCE_OTHER 20
#define DISTANCE_NONE  255 /* unreachable */

bool option_add_numa(OptionsParser *parser, const Option *option, const char *value, GError **error)
{
    PropBag *bag = props_parse(value, option->implied_key, error);

    if (!bag) {
        return false;
    }
    g_ptr_array_add(parser->numa, bag);
    return true;
}

typedef struct NumaBuild {
    VmConfig *config;
    bool split_ram; /* no node has a size of its own */
    NumaNode *nodes[CONFIG_MAX_NUMA_NODES];
    uint8_t distance[CONFIG_MAX_NUMA_NODES][CONFIG_MAX_NUMA_NODES]; /* 0: not given */
} NumaBuild;

/* ---- node -------------------------------------------------------------------------------- */

typedef struct NodeProps {
    uint64_t id;
    bool id_given;
    uint64_t cpus[CONFIG_CPU_SET_WORDS];
    char *memdev;
    uint64_t mem;
} NodeProps;

static const PropDesc node_props[] = {
    {.name = "nodeid",
     .type = PROP_UINT,
     .offset = offsetof(NodeProps, id),
     .given_offset = offsetof(NodeProps, id_given),
     .max = CONFIG_MAX_NUMA_NODES - 1},
    {.name = "cpus",
     .type = PROP_SET,
     .offset = offsetof(NodeProps, cpus),
     .max = CONFIG_MAX_CPUS - 1},
    {.name = "memdev", .type = PROP_STRING, .offset = offsetof(NodeProps, memdev)},
    {.name = "mem", .type = PROP_SIZE, .offset = offsetof(NodeProps, mem), .unit_mib = true},
};

static const PropTable node_table = PROP_TABLE("node", node_props, NodeProps);

/* A memdev's size is its object's; an object that is not there is vm_config_validate's to tell. */
static uint64_t memdev_size(const VmConfig *config, const char *id)
{
    const PropBag *object = vm_config_find(config->objects, id);
    MemoryBackendConfig backend;

    if (!object || !memory_backend_parse(object, &backend, /* error= */ NULL)) {
        return 0;
    }
    memory_backend_clear(&backend);
    return backend.size;
}

static unsigned first_free_node(const NumaBuild *build)
{
    unsigned id = 0;

    while (id < CONFIG_MAX_NUMA_NODES - 1 && build->nodes[id]) {
        id++;
    }
    return id;
}

static bool add_node(NumaBuild *build, const PropBag *bag, GError **error)
{
    NodeProps props;

    if (!props_apply(&node_table, bag, &props, error)) {
        return false;
    }

    g_autofree char *memdev = props.memdev;
    unsigned id = props.id_given ? (unsigned)props.id : first_free_node(build);

    if (build->nodes[id]) {
        return fail(error, VMM_ERROR_CONFIG, "node %u is given twice", id);
    }
    if (memdev && props.mem != 0) {
        return fail(error, VMM_ERROR_CONFIG, "node %u has mem and memdev: expected one of them",
                    id);
    }

    NumaNode *node = g_new0(NumaNode, 1);

    node->id = id;
    memcpy(node->cpus, props.cpus, sizeof(node->cpus));
    node->size = memdev ? memdev_size(build->config, memdev) : props.mem;
    node->memdev = g_steal_pointer(&memdev);
    if (node->memdev || node->size != 0) {
        build->split_ram = false;
    }
    build->nodes[id] = node;
    return true;
}

/* ---- dist -------------------------------------------------------------------------------- */

typedef struct DistProps {
    uint64_t src, dst, val;
} DistProps;

static const PropDesc dist_props[] = {
    {.name = "src",
     .type = PROP_UINT,
     .offset = offsetof(DistProps, src),
     .max = CONFIG_MAX_NUMA_NODES - 1,
     .required = true},
    {.name = "dst",
     .type = PROP_UINT,
     .offset = offsetof(DistProps, dst),
     .max = CONFIG_MAX_NUMA_NODES - 1,
     .required = true},
    {.name = "val",
     .type = PROP_UINT,
     .offset = offsetof(DistProps, val),
     .min = DISTANCE_SELF,
     .max = DISTANCE_NONE,
     .required = true},
};

static const PropTable dist_table = PROP_TABLE("distance", dist_props, DistProps);

static bool add_distance(NumaBuild *build, const PropBag *bag, GError **error)
{
    DistProps props;

    if (!props_apply(&dist_table, bag, &props, error)) {
        return false;
    }
    if ((props.src == props.dst) != (props.val == DISTANCE_SELF)) {
        return fail(error, VMM_ERROR_CONFIG,
                    "distance from node %u to %u is %u: %d is a node's distance to itself",
                    (unsigned)props.src, (unsigned)props.dst, (unsigned)props.val, DISTANCE_SELF);
    }
    build->distance[props.src][props.dst] = (uint8_t)props.val;
    return true;
}

/* ---- cpu --------------------------------------------------------------------------------- */

typedef struct CpuProps {
    uint64_t node, socket, die, cluster, core, thread;
    bool socket_given, die_given, cluster_given, core_given, thread_given;
} CpuProps;

#define CPU_PROP(name_, member)                                                        \
    {                                                                                  \
        .name = (name_), .type = PROP_UINT, .offset = offsetof(CpuProps, member),      \
        .given_offset = offsetof(CpuProps, member##_given), .max = CONFIG_MAX_CPUS - 1 \
    }

static const PropDesc cpu_props[] = {
    {.name = "node-id",
     .type = PROP_UINT,
     .offset = offsetof(CpuProps, node),
     .max = CONFIG_MAX_NUMA_NODES - 1,
     .required = true},
    CPU_PROP("socket-id", socket),
    CPU_PROP("die-id", die),
    CPU_PROP("cluster-id", cluster),
    CPU_PROP("core-id", core),
    CPU_PROP("thread-id", thread),
};

static const PropTable cpu_table = PROP_TABLE("cpu", cpu_props, CpuProps);

/* True if the property was left out or names the place where CPU number cpu is. */
static bool level_matches(bool given, uint64_t wanted, unsigned *position, unsigned count)
{
    unsigned here = *position % count;

    *position /= count;
    return !given || wanted == here;
}

static bool cpu_matches(const CpuProps *props, const SmpConfig *smp, unsigned cpu)
{
    unsigned at = cpu;

    return level_matches(props->thread_given, props->thread, &at, smp->threads) &&
           level_matches(props->core_given, props->core, &at, smp->cores) &&
           level_matches(props->cluster_given, props->cluster, &at, smp->clusters) &&
           level_matches(props->die_given, props->die, &at, smp->dies) &&
           level_matches(props->socket_given, props->socket, &at, smp->sockets);
}

static bool smp_is_whole(const SmpConfig *smp)
{
    return smp->threads != 0 && smp->cores != 0 && smp->clusters != 0 && smp->dies != 0 &&
           smp->sockets != 0;
}

static bool add_cpu(NumaBuild *build, const PropBag *bag, GError **error)
{
    const SmpConfig *smp = &build->config->smp;
    CpuProps props;
    bool any = false;

    if (!props_apply(&cpu_table, bag, &props, error)) {
        return false;
    }
    if (!build->nodes[props.node]) {
        return fail(error, VMM_ERROR_CONFIG, "there is no node %u", (unsigned)props.node);
    }
    for (unsigned cpu = 0; smp_is_whole(smp) && cpu < smp->max_cpus; cpu++) {
        if (cpu_matches(&props, smp, cpu)) {
            build->nodes[props.node]->cpus[cpu / 64] |= UINT64_C(1) << (cpu % 64);
            any = true;
        }
    }
    return any || fail(error, VMM_ERROR_CONFIG, "the topology has no such CPU");
}

/* ---- all together ------------------------------------------------------------------------ */

static const struct {
    const char *type;
    bool (*add)(NumaBuild *build, const PropBag *bag, GError **error);
} numa_parts[] = {
    {"node", add_node},
    {"dist", add_distance},
    {"cpu", add_cpu},
};

static bool add_part(NumaBuild *build, const PropBag *bag, GError **error)
{
    const char *type = prop_bag_type(bag);

    for (size_t i = 0; i < G_N_ELEMENTS(numa_parts); i++) {
        if (g_strcmp0(type, numa_parts[i].type) == 0) {
            return numa_parts[i].add(build, bag, error);
        }
    }
    return fail(error, VMM_ERROR_CONFIG, "'%s': expected node, dist or cpu", type ? type : "");
}

/* Nodes without any size share the RAM, each a whole number of 2 MiB, the last one the rest. */
static void share_ram(const VmConfig *config, unsigned count)
{
    uint64_t part = config->memory.size / count & ~((UINT64_C(2) << 20) - 1);

    for (unsigned i = 0; i < count; i++) {
        NumaNode *node = g_ptr_array_index(config->numa_nodes, i);

        node->size = i + 1 < count ? part : config->memory.size - part * (count - 1);
    }
}

static bool has_cpus(const NumaNode *node)
{
    return (node->cpus[0] | node->cpus[1] | node->cpus[2] | node->cpus[3]) != 0;
}

/* Nodes without any CPU get them in equal runs. */
static void share_cpus(const VmConfig *config, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (has_cpus(g_ptr_array_index(config->numa_nodes, i))) {
            return;
        }
    }
    for (unsigned cpu = 0; cpu < MIN(config->smp.max_cpus, CONFIG_MAX_CPUS); cpu++) {
        NumaNode *node = g_ptr_array_index(config->numa_nodes, cpu * count / config->smp.max_cpus);

        node->cpus[cpu / 64] |= UINT64_C(1) << (cpu % 64);
    }
}

/* A distance that was given one way only holds both ways. */
static uint8_t distance_between(const NumaBuild *build, unsigned a, unsigned b)
{
    if (build->distance[a][b] != 0) {
        return build->distance[a][b];
    }
    if (a == b) {
        return DISTANCE_SELF;
    }
    return build->distance[b][a] != 0 ? build->distance[b][a] : DISTANCE_OTHER;
}

/* Moves the nodes into the configuration; those behind a gap are left for the caller to free. */
static bool build_nodes(NumaBuild *build, unsigned given, GError **error)
{
    VmConfig *config = build->config;
    unsigned count = 0;

    while (count < CONFIG_MAX_NUMA_NODES && build->nodes[count]) {
        NumaNode *node = g_steal_pointer(&build->nodes[count]);

        g_ptr_array_add(config->numa_nodes, node);
        count++;
    }
    if (count < given) {
        return fail(error, VMM_ERROR_CONFIG, "node %u is missing: ids run from 0 without a gap",
                    count);
    }
    for (unsigned a = 0; a < count; a++) {
        NumaNode *node = g_ptr_array_index(config->numa_nodes, a);

        for (unsigned b = 0; b < count; b++) {
            node->distance[b] = distance_between(build, a, b);
        }
    }
    for (unsigned a = 0; a < CONFIG_MAX_NUMA_NODES; a++) {
        for (unsigned b = 0; b < CONFIG_MAX_NUMA_NODES; b++) {
            if (build->distance[a][b] != 0 && (a >= count || b >= count)) {
                return fail(error, VMM_ERROR_CONFIG,
                            "distance from node %u to %u: there are %u "
                            "nodes",
                            a, b, count);
            }
        }
    }
    if (build->split_ram && count > 0) {
        share_ram(config, count);
    }
    share_cpus(config, count);
    return true;
}

bool options_finish_numa(OptionsParser *parser, GError **error)
{
    g_autofree NumaBuild *build = NULL;
    bool ok = true;

    if (parser->numa->len == 0) {
        return true;
    }
    build = g_new0(NumaBuild, 1);
    build->config = parser->config;
    build->split_ram = true;
    for (unsigned i = 0; ok && i < parser->numa->len; i++) {
        ok = add_part(build, g_ptr_array_index(parser->numa, i), error);
    }

    unsigned given = 0;

    for (unsigned i = 0; i < CONFIG_MAX_NUMA_NODES; i++) {
        given += build->nodes[i] != NULL;
    }
    ok = ok && build_nodes(build, given, error);
    for (unsigned i = 0; i < CONFIG_MAX_NUMA_NODES; i++) {
        numa_node_free(build->nodes[i]);
    }
    if (!ok) {
        g_prefix_error(error, "-numa: ");
    }
    return ok;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/numa.h"

#define DISTANCE_LOCAL  10
#define DISTANCE_REMOTE 20

/* Nodes follow each other in RAM as ram_map places them; one that meets the hole has two ranges. */
static size_t describe_memory(const VmConfig *config, const RamLayout *layout,
                              AcpiNumaMemory *ranges)
{
    uint64_t next = 0;
    size_t count = 0;

    for (guint i = 0; i < config->numa_nodes->len; i++) {
        const NumaNode *node = config->numa_nodes->pdata[i];
        uint64_t left = node->size;

        while (left > 0) {
            uint64_t len = left;

            if (next < layout->low_end) {
                len = MIN(left, layout->low_end - next);
            } else if (next < layout->high_base) {
                next = layout->high_base;
            }
            ranges[count++] = (AcpiNumaMemory){.base = next, .size = len, .node = node->id};
            next += len;
            left -= len;
        }
    }
    return count;
}

static uint8_t distance(const NumaNode *from, const NumaNode *to)
{
    uint8_t given = from->distance[to->id];

    return given != 0 ? given : from == to ? DISTANCE_LOCAL : DISTANCE_REMOTE;
}

static void describe_cpus(const VmConfig *config, AcpiCpu *cpus)
{
    for (unsigned cpu = 0; cpu < config->smp.cpus; cpu++) {
        for (guint i = 0; i < config->numa_nodes->len; i++) {
            const NumaNode *node = config->numa_nodes->pdata[i];

            if (node->cpus[cpu / 64] & UINT64_C(1) << cpu % 64) {
                cpus[cpu].node = node->id;
            }
        }
    }
}

void numa_describe(const VmConfig *config, const RamLayout *layout, AcpiCpu *cpus,
                   AcpiTopology *topology, NumaTables *ret_tables)
{
    const GPtrArray *nodes = config->numa_nodes;

    *ret_tables = (NumaTables){0};
    if (nodes->len == 0) {
        return;
    }
    ret_tables->memory = g_new0(AcpiNumaMemory, nodes->len * 2);
    ret_tables->distances = g_new0(uint8_t, nodes->len * nodes->len);
    for (guint from = 0; from < nodes->len; from++) {
        for (guint to = 0; to < nodes->len; to++) {
            ret_tables->distances[from * nodes->len + to] =
                distance(nodes->pdata[from], nodes->pdata[to]);
        }
    }
    describe_cpus(config, cpus);
    topology->n_memory = describe_memory(config, layout, ret_tables->memory);
    topology->memory = ret_tables->memory;
    topology->distances = ret_tables->distances;
    topology->n_nodes = nodes->len;
}

void numa_tables_clear(NumaTables *tables)
{
    g_clear_pointer(&tables->memory, g_free);
    g_clear_pointer(&tables->distances, g_free);
}

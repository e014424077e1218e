/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/numa.h"

#include "tests/unit/suite.h"
#include "util/bytes.h"

static const RamLayout layout = {.low_end = 3 * GIB, .high_base = 4 * GIB};

static void add_node(VmConfig *config, unsigned id, uint64_t size, uint64_t cpus)
{
    NumaNode *node = g_new0(NumaNode, 1);

    node->id = id;
    node->size = size;
    node->cpus[0] = cpus;
    g_ptr_array_add(config->numa_nodes, node);
}

START_TEST(a_vm_without_nodes_has_no_tables)
{
    g_autoptr(VmConfig) config = vm_config_new();
    AcpiTopology topology = {0};
    NumaTables tables;

    numa_describe(config, &layout, NULL, &topology, &tables);
    ck_assert_uint_eq(topology.n_nodes, 0);
    ck_assert_ptr_null(tables.memory);
}
END_TEST

START_TEST(a_node_that_meets_the_hole_has_two_ranges)
{
    g_autoptr(VmConfig) config = vm_config_new();
    AcpiCpu cpus[4] = {0};
    AcpiTopology topology = {0};
    NumaTables tables;

    config->smp.cpus = 4;
    add_node(config, 0, 2 * GIB, 0x5);
    add_node(config, 1, 2 * GIB, 0xa);
    numa_describe(config, &layout, cpus, &topology, &tables);
    ck_assert_uint_eq(topology.n_memory, 3);
    ck_assert_uint_eq(topology.memory[1].base, 2 * GIB);
    ck_assert_uint_eq(topology.memory[1].size, GIB);
    ck_assert_uint_eq(topology.memory[2].base, 4 * GIB);
    ck_assert_uint_eq(topology.memory[2].size, GIB);
    ck_assert_uint_eq(topology.memory[2].node, 1);
    ck_assert_uint_eq(cpus[0].node, 0);
    ck_assert_uint_eq(cpus[1].node, 1);
    ck_assert_uint_eq(cpus[3].node, 1);
    numa_tables_clear(&tables);
}
END_TEST

START_TEST(distances_that_nobody_gave_are_the_usual_ones)
{
    g_autoptr(VmConfig) config = vm_config_new();
    AcpiCpu cpus[1] = {0};
    AcpiTopology topology = {0};
    NumaTables tables;

    add_node(config, 0, GIB, 1);
    add_node(config, 1, GIB, 0);
    ((NumaNode *)config->numa_nodes->pdata[1])->distance[0] = 33;
    numa_describe(config, &layout, cpus, &topology, &tables);
    ck_assert_uint_eq(topology.distances[0], 10);
    ck_assert_uint_eq(topology.distances[1], 20);
    ck_assert_uint_eq(topology.distances[2], 33);
    ck_assert_uint_eq(topology.distances[3], 10);
    numa_tables_clear(&tables);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("numa");

    tcase_add_test(tc, a_vm_without_nodes_has_no_tables);
    tcase_add_test(tc, a_node_that_meets_the_hole_has_two_ranges);
    tcase_add_test(tc, distances_that_nobody_gave_are_the_usual_ones);
    return suite_run("numa", tc);
}

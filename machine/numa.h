/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_NUMA_H
#define MACHINE_NUMA_H

/* -numa as the guest sees it: which CPUs and which addresses belong to which node, and how far. */

#include "machine/acpi/topology.h"
#include "machine/config.h"
#include "machine/ram.h"

typedef struct NumaTables {
    AcpiNumaMemory *memory;
    uint8_t *distances;
} NumaTables;

/*
 * Fills the NUMA part of topology, and the node of each of cpus.  What it points to is in
 * ret_tables, which the caller clears when topology has been used.  Nothing to do without nodes.
 */
void numa_describe(const VmConfig *config, const RamLayout *layout, AcpiCpu *cpus,
                   AcpiTopology *topology, NumaTables *ret_tables);
void numa_tables_clear(NumaTables *tables);

#endif

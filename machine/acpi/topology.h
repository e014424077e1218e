/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_ACPI_TOPOLOGY_H
#define MACHINE_ACPI_TOPOLOGY_H

/*
 * What a VM's CPUs, interrupt controllers and NUMA nodes look like to ACPI: the tables MADT, SRAT
 * and SLIT, which do not depend on the machine model.  A processor's UID is its index in cpus.
 */

#include "machine/acpi/builder.h"

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct AcpiCpu {
    uint32_t apic_id;
    uint32_t node; /* used when there are NUMA nodes */
} AcpiCpu;

typedef struct AcpiIoapic {
    uint8_t id;
    uint32_t address;
    uint32_t gsi_base;
} AcpiIoapic;

/* An ISA interrupt that is not wired as one is by default: its own GSI, edge, active high. */
typedef struct AcpiIrqOverride {
    uint8_t isa_irq;
    uint32_t gsi;
    bool is_level;
} AcpiIrqOverride;

typedef struct AcpiNumaMemory {
    uint64_t base;
    uint64_t size;
    uint32_t node;
} AcpiNumaMemory;

typedef struct AcpiTopology {
    const AcpiCpu *cpus;
    size_t n_cpus;
    uint32_t lapic_address;
    const AcpiIoapic *ioapics;
    size_t n_ioapics;
    const AcpiIrqOverride *overrides;
    size_t n_overrides;

    size_t n_nodes;           /* 0: no NUMA */
    const uint8_t *distances; /* [from * n_nodes + to]; 10 = local */
    const AcpiNumaMemory *memory;
    size_t n_memory;
} AcpiTopology;

void acpi_add_madt(AcpiBuilder *builder, const AcpiTopology *topology);

/* SRAT and SLIT, or nothing for a VM without NUMA nodes. */
void acpi_add_numa(AcpiBuilder *builder, const AcpiTopology *topology);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/acpi/topology.h"

/* ACPI 6.3: 5.2.12 MADT, 5.2.16 SRAT, 5.2.17 SLIT */
#define MADT_REVISION       4
#define SRAT_REVISION       3
#define SLIT_REVISION       1

#define ENTRY_ENABLED       1u
#define LINT_NMI            1
#define UID_ALL_8           UINT8_MAX
#define UID_ALL_32          UINT32_MAX

#define ISA_BUS             0
#define INTI_EDGE_HIGH      0x05
#define INTI_LEVEL_HIGH     0x0d
#define FIRST_X2APIC_ONLY   255
#define SRAT_TABLE_REVISION 1 /* a reserved field that old systems look at */

enum {
    MADT_LAPIC = 0,
    MADT_IOAPIC = 1,
    MADT_OVERRIDE = 2,
    MADT_LAPIC_NMI = 4,
    MADT_X2APIC = 9,
    MADT_X2APIC_NMI = 10,
    SRAT_LAPIC = 0,
    SRAT_MEMORY = 1,
    SRAT_X2APIC = 2,
};

#define ENTRY_HEADER \
    uint8_t type;    \
    uint8_t length

typedef struct __attribute__((packed)) MadtStart {
    uint32_t lapic_address;
    uint32_t flags; /* bit 0: there is a pair of 8259s as well; there is not */
} MadtStart;

typedef struct __attribute__((packed)) MadtLapic {
    ENTRY_HEADER;
    uint8_t uid;
    uint8_t apic_id;
    uint32_t flags;
} MadtLapic;

typedef struct __attribute__((packed)) MadtX2apic {
    ENTRY_HEADER;
    uint16_t reserved;
    uint32_t apic_id;
    uint32_t flags;
    uint32_t uid;
} MadtX2apic;

typedef struct __attribute__((packed)) MadtIoapic {
    ENTRY_HEADER;
    uint8_t id;
    uint8_t reserved;
    uint32_t address;
    uint32_t gsi_base;
} MadtIoapic;

typedef struct __attribute__((packed)) MadtOverride {
    ENTRY_HEADER;
    uint8_t bus;
    uint8_t isa_irq;
    uint32_t gsi;
    uint16_t flags;
} MadtOverride;

typedef struct __attribute__((packed)) MadtLapicNmi {
    ENTRY_HEADER;
    uint8_t uid;
    uint16_t flags;
    uint8_t lint;
} MadtLapicNmi;

typedef struct __attribute__((packed)) MadtX2apicNmi {
    ENTRY_HEADER;
    uint16_t flags;
    uint32_t uid;
    uint8_t lint;
    uint8_t reserved[3];
} MadtX2apicNmi;

typedef struct __attribute__((packed)) SratStart {
    uint32_t table_revision;
    uint64_t reserved;
} SratStart;

typedef struct __attribute__((packed)) SratLapic {
    ENTRY_HEADER;
    uint8_t node_low;
    uint8_t apic_id;
    uint32_t flags;
    uint8_t sapic_eid;
    uint8_t node_high[3];
    uint32_t clock_domain;
} SratLapic;

typedef struct __attribute__((packed)) SratX2apic {
    ENTRY_HEADER;
    uint16_t reserved0;
    uint32_t node;
    uint32_t apic_id;
    uint32_t flags;
    uint32_t clock_domain;
    uint32_t reserved1;
} SratX2apic;

typedef struct __attribute__((packed)) SratMemory {
    ENTRY_HEADER;
    uint32_t node;
    uint16_t reserved0;
    uint64_t base;
    uint64_t size;
    uint32_t reserved1;
    uint32_t flags;
    uint64_t reserved2;
} SratMemory;

G_STATIC_ASSERT(sizeof(MadtLapic) == 8 && sizeof(MadtX2apic) == 16);
G_STATIC_ASSERT(sizeof(MadtIoapic) == 12 && sizeof(MadtOverride) == 10);
G_STATIC_ASSERT(sizeof(MadtLapicNmi) == 6 && sizeof(MadtX2apicNmi) == 12);
G_STATIC_ASSERT(sizeof(SratLapic) == 16 && sizeof(SratX2apic) == 24 && sizeof(SratMemory) == 40);

#define APPEND(body, object) g_byte_array_append(body, (const guint8 *)&(object), sizeof(object))

/* Ids from 255 on do not fit the old entry, and smaller ones must not use the new one. */
static void append_madt_cpu(GByteArray *body, const AcpiCpu *cpu, uint32_t uid)
{
    if (cpu->apic_id < FIRST_X2APIC_ONLY) {
        MadtLapic entry = {
            .type = MADT_LAPIC,
            .length = sizeof(entry),
            .uid = (uint8_t)uid,
            .apic_id = (uint8_t)cpu->apic_id,
            .flags = ENTRY_ENABLED,
        };

        APPEND(body, entry);
    } else {
        MadtX2apic entry = {
            .type = MADT_X2APIC,
            .length = sizeof(entry),
            .apic_id = cpu->apic_id,
            .flags = ENTRY_ENABLED,
            .uid = uid,
        };

        APPEND(body, entry);
    }
}

static void append_nmi(GByteArray *body, const AcpiTopology *topology)
{
    MadtLapicNmi nmi = {
        .type = MADT_LAPIC_NMI,
        .length = sizeof(nmi),
        .uid = UID_ALL_8,
        .lint = LINT_NMI,
    };
    MadtX2apicNmi x2apic_nmi = {
        .type = MADT_X2APIC_NMI,
        .length = sizeof(x2apic_nmi),
        .uid = UID_ALL_32,
        .lint = LINT_NMI,
    };

    APPEND(body, nmi);
    if (topology->cpus[topology->n_cpus - 1].apic_id >= FIRST_X2APIC_ONLY) {
        APPEND(body, x2apic_nmi);
    }
}

void acpi_add_madt(AcpiBuilder *builder, const AcpiTopology *topology)
{
    g_autoptr(GByteArray) body = g_byte_array_new();
    MadtStart start = {.lapic_address = topology->lapic_address};

    g_assert(topology->n_cpus > 0);
    APPEND(body, start);
    for (size_t i = 0; i < topology->n_cpus; i++) {
        append_madt_cpu(body, &topology->cpus[i], (uint32_t)i);
    }
    for (size_t i = 0; i < topology->n_ioapics; i++) {
        MadtIoapic entry = {
            .type = MADT_IOAPIC,
            .length = sizeof(entry),
            .id = topology->ioapics[i].id,
            .address = topology->ioapics[i].address,
            .gsi_base = topology->ioapics[i].gsi_base,
        };

        APPEND(body, entry);
    }
    for (size_t i = 0; i < topology->n_overrides; i++) {
        MadtOverride entry = {
            .type = MADT_OVERRIDE,
            .length = sizeof(entry),
            .bus = ISA_BUS,
            .isa_irq = topology->overrides[i].isa_irq,
            .gsi = topology->overrides[i].gsi,
            .flags = topology->overrides[i].is_level ? INTI_LEVEL_HIGH : INTI_EDGE_HIGH,
        };

        APPEND(body, entry);
    }
    append_nmi(body, topology);
    acpi_builder_add(builder, "APIC", MADT_REVISION, body, /* listed= */ true);
}

static void append_srat_cpu(GByteArray *body, const AcpiCpu *cpu)
{
    if (cpu->apic_id < FIRST_X2APIC_ONLY) {
        SratLapic entry = {
            .type = SRAT_LAPIC,
            .length = sizeof(entry),
            .node_low = (uint8_t)cpu->node,
            .apic_id = (uint8_t)cpu->apic_id,
            .flags = ENTRY_ENABLED,
            .node_high = {(uint8_t)(cpu->node >> 8), (uint8_t)(cpu->node >> 16),
                          (uint8_t)(cpu->node >> 24)},
        };

        APPEND(body, entry);
    } else {
        SratX2apic entry = {
            .type = SRAT_X2APIC,
            .length = sizeof(entry),
            .node = cpu->node,
            .apic_id = cpu->apic_id,
            .flags = ENTRY_ENABLED,
        };

        APPEND(body, entry);
    }
}

static void add_srat(AcpiBuilder *builder, const AcpiTopology *topology)
{
    g_autoptr(GByteArray) body = g_byte_array_new();
    SratStart start = {.table_revision = SRAT_TABLE_REVISION};

    APPEND(body, start);
    for (size_t i = 0; i < topology->n_cpus; i++) {
        append_srat_cpu(body, &topology->cpus[i]);
    }
    for (size_t i = 0; i < topology->n_memory; i++) {
        SratMemory entry = {
            .type = SRAT_MEMORY,
            .length = sizeof(entry),
            .node = topology->memory[i].node,
            .base = topology->memory[i].base,
            .size = topology->memory[i].size,
            .flags = ENTRY_ENABLED,
        };

        APPEND(body, entry);
    }
    acpi_builder_add(builder, "SRAT", SRAT_REVISION, body, /* listed= */ true);
}

static void add_slit(AcpiBuilder *builder, const AcpiTopology *topology)
{
    g_autoptr(GByteArray) body = g_byte_array_new();
    uint64_t n = topology->n_nodes;

    APPEND(body, n);
    g_byte_array_append(body, topology->distances, (guint)(n * n));
    acpi_builder_add(builder, "SLIT", SLIT_REVISION, body, /* listed= */ true);
}

void acpi_add_numa(AcpiBuilder *builder, const AcpiTopology *topology)
{
    if (topology->n_nodes == 0) {
        return;
    }
    add_srat(builder, topology);
    add_slit(builder, topology);
}

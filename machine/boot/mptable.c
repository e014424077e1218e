/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/boot/mptable.h"

#include "machine/acpi/builder.h"
#include "util/error.h"

#include <string.h>

#define SPEC_1_4         4
#define LAPIC_VERSION    0x14
#define IOAPIC_VERSION   0x11
#define CPU_ENABLED      0x01
#define CPU_BOOT         0x02
#define CPU_SIGNATURE    0x600
#define CPU_FPU_AND_APIC 0x201
#define IOAPIC_ENABLED   0x01
#define ISA_BUS          0
#define INT_EDGE_HIGH    0x05
#define ALL_LAPICS       0xff
#define MAX_APIC_ID      0xfeu /* 0xff addresses all */

enum {
    ENTRY_CPU = 0,
    ENTRY_BUS = 1,
    ENTRY_IOAPIC = 2,
    ENTRY_IO_INT = 3,
    ENTRY_LOCAL_INT = 4,
};

enum {
    INT_VECTORED = 0,
    INT_NMI = 1,
    INT_EXTERNAL = 3,
};

typedef struct __attribute__((packed)) FloatingPointer {
    char signature[4];
    uint32_t table;
    uint8_t length; /* in 16 bytes */
    uint8_t spec;
    uint8_t checksum;
    uint8_t features[5]; /* all 0: there is a table, and no IMCR to leave PIC mode by */
} FloatingPointer;

typedef struct __attribute__((packed)) TableHeader {
    char signature[4];
    uint16_t length;
    uint8_t spec;
    uint8_t checksum;
    char oem_id[8];
    char product_id[12];
    uint32_t oem_table;
    uint16_t oem_length;
    uint16_t n_entries;
    uint32_t lapic_address;
    uint16_t extended_length;
    uint8_t extended_checksum;
    uint8_t reserved;
} TableHeader;

typedef struct __attribute__((packed)) CpuEntry {
    uint8_t type;
    uint8_t apic_id;
    uint8_t apic_version;
    uint8_t flags;
    uint32_t signature;
    uint32_t features;
    uint32_t reserved[2];
} CpuEntry;

typedef struct __attribute__((packed)) BusEntry {
    uint8_t type;
    uint8_t id;
    char name[6];
} BusEntry;

typedef struct __attribute__((packed)) IoapicEntry {
    uint8_t type;
    uint8_t id;
    uint8_t version;
    uint8_t flags;
    uint32_t address;
} IoapicEntry;

/* Wires an interrupt of a bus to a pin of an I/O APIC, or to a local interrupt of a CPU. */
typedef struct __attribute__((packed)) IntEntry {
    uint8_t type;
    uint8_t kind;
    uint16_t flags;
    uint8_t bus;
    uint8_t bus_irq;
    uint8_t apic_id;
    uint8_t pin;
} IntEntry;

G_STATIC_ASSERT(sizeof(FloatingPointer) == 16 && sizeof(TableHeader) == 44);
G_STATIC_ASSERT(sizeof(CpuEntry) == 20 && sizeof(BusEntry) == 8);
G_STATIC_ASSERT(sizeof(IoapicEntry) == 8 && sizeof(IntEntry) == 8);

/* Grows as entries are appended; the counts are written into the header at the end. */
typedef struct Table {
    GByteArray *bytes;
    uint16_t n_entries;
} Table;

static void append(Table *table, const void *entry, size_t size)
{
    g_byte_array_append(table->bytes, entry, (guint)size);
    table->n_entries++;
}

static bool append_cpus(Table *table, const MpTableConfig *config, GError **error)
{
    for (size_t i = 0; i < config->n_cpus; i++) {
        if (config->apic_ids[i] > MAX_APIC_ID) {
            return fail(error, VMM_ERROR_CONFIG,
                        "MP table: vCPU %zu has APIC id %u, expected at most %u", i,
                        config->apic_ids[i], MAX_APIC_ID);
        }

        CpuEntry cpu = {
            .type = ENTRY_CPU,
            .apic_id = (uint8_t)config->apic_ids[i],
            .apic_version = LAPIC_VERSION,
            .flags = (uint8_t)(CPU_ENABLED | (i == 0 ? CPU_BOOT : 0)),
            .signature = CPU_SIGNATURE,
            .features = CPU_FPU_AND_APIC,
        };

        append(table, &cpu, sizeof(cpu));
    }
    return true;
}

static void append_wiring(Table *table, const MpTableConfig *config)
{
    const BusEntry bus = {.type = ENTRY_BUS, .id = ISA_BUS, .name = {'I', 'S', 'A', ' ', ' ', ' '}};
    const IoapicEntry ioapic = {
        .type = ENTRY_IOAPIC,
        .id = config->ioapic_id,
        .version = IOAPIC_VERSION,
        .flags = IOAPIC_ENABLED,
        .address = config->ioapic_address,
    };
    const IntEntry lint0 = {.type = ENTRY_LOCAL_INT, .kind = INT_EXTERNAL, .apic_id = ALL_LAPICS};
    const IntEntry lint1 = {
        .type = ENTRY_LOCAL_INT, .kind = INT_NMI, .apic_id = ALL_LAPICS, .pin = 1};

    append(table, &bus, sizeof(bus));
    append(table, &ioapic, sizeof(ioapic));
    for (unsigned pin = 0; pin < config->ioapic_pins; pin++) {
        IntEntry irq = {
            .type = ENTRY_IO_INT,
            .kind = INT_VECTORED,
            .flags = INT_EDGE_HIGH,
            .bus = ISA_BUS,
            .bus_irq = (uint8_t)pin,
            .apic_id = config->ioapic_id,
            .pin = (uint8_t)pin,
        };

        append(table, &irq, sizeof(irq));
    }
    append(table, &lint0, sizeof(lint0));
    append(table, &lint1, sizeof(lint1));
}

static void write_headers(const Table *table, const MpTableConfig *config)
{
    uint8_t *start = table->bytes->data;
    FloatingPointer pointer = {
        .signature = {'_', 'M', 'P', '_'},
        .table = (uint32_t)(config->address + sizeof(pointer)),
        .length = sizeof(pointer) / 16,
        .spec = SPEC_1_4,
    };
    TableHeader header = {
        .signature = {'P', 'C', 'M', 'P'},
        .length = (uint16_t)(table->bytes->len - sizeof(pointer)),
        .spec = SPEC_1_4,
        .oem_id = {'S', 'T', 'E', 'N', 'C', 'I', 'L', ' '},
        .product_id = {'M', 'I', 'C', 'R', 'O', 'V', 'M', ' ', ' ', ' ', ' ', ' '},
        .n_entries = table->n_entries,
        .lapic_address = config->lapic_address,
    };

    pointer.checksum = acpi_checksum(&pointer, sizeof(pointer));
    memcpy(start, &pointer, sizeof(pointer));
    memcpy(start + sizeof(pointer), &header, sizeof(header));
    start[sizeof(pointer) + offsetof(TableHeader, checksum)] =
        acpi_checksum(start + sizeof(pointer), header.length);
}

GByteArray *mptable_build(const MpTableConfig *config, GError **error)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    Table table = {.bytes = bytes};
    static const uint8_t headers[sizeof(FloatingPointer) + sizeof(TableHeader)];

    g_assert(config->address % 16 == 0 && config->address < UINT32_MAX);
    g_byte_array_append(bytes, headers, sizeof(headers));
    if (!append_cpus(&table, config, error)) {
        return NULL;
    }
    append_wiring(&table, config);
    write_headers(&table, config);
    return g_steal_pointer(&bytes);
}

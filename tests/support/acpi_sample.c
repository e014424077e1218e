/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/acpi_sample.h"

#include "machine/acpi/builder.h"
#include "util/bytes.h"

#include <string.h>

#define XSDT_POINTER 24  /* in the RSDP */
#define X_DSDT       140 /* in the FADT */

static const AcpiIoapic ioapics[] = {
    {.id = 0, .address = 0xfec00000, .gsi_base = 0},
    {.id = 1, .address = 0xfec10000, .gsi_base = 24},
};

static const AcpiGed ged = {
    .event = 0xfea00000,
    .sleep_control = 0xfea00100,
    .sleep_status = 0xfea00101,
    .reset = 0xfea00102,
    .reset_value = 0x42,
    .s5_sleep_type = 5,
    .gsi = 9,
    .power_button_bit = 0,
    .generation_bit = 8,
    .vmclock_bit = 9,
};

AcpiMicrovm acpi_sample_plain(void)
{
    static const AcpiCpu cpus[] = {{.apic_id = 0}};

    return (AcpiMicrovm){
        .base = SAMPLE_BASE,
        .topology = {.cpus = cpus,
                     .n_cpus = G_N_ELEMENTS(cpus),
                     .lapic_address = 0xfee00000,
                     .ioapics = ioapics,
                     .n_ioapics = 1},
        .ged = ged,
    };
}

AcpiMicrovm acpi_sample_full(void)
{
    static AcpiCpu cpus[SAMPLE_CPUS];
    static AcpiVirtioMmio virtio[SAMPLE_VIRTIO];
    static const AcpiIrqOverride overrides[] = {{.isa_irq = 0, .gsi = 2},
                                                {.isa_irq = 9, .gsi = 9, .is_level = true}};
    static const AcpiNumaMemory memory[] = {
        {.base = 0, .size = UINT64_C(0xc0000000), .node = 0},
        {.base = UINT64_C(0x100000000), .size = UINT64_C(0x140000000), .node = 1},
    };
    static const uint8_t distances[] = {10, 20, 20, 10};

    for (uint32_t i = 0; i < SAMPLE_CPUS; i++) {
        cpus[i] = (AcpiCpu){.apic_id = i, .node = i % 2};
    }
    for (uint32_t i = 0; i < SAMPLE_VIRTIO; i++) {
        virtio[i] = (AcpiVirtioMmio){.base = 0xf0100000 + i * 0x200, .size = 0x200, .gsi = 5 + i};
    }
    return (AcpiMicrovm){
        .base = SAMPLE_BASE,
        .topology = {.cpus = cpus,
                     .n_cpus = SAMPLE_CPUS,
                     .lapic_address = 0xfee00000,
                     .ioapics = ioapics,
                     .n_ioapics = G_N_ELEMENTS(ioapics),
                     .overrides = overrides,
                     .n_overrides = G_N_ELEMENTS(overrides),
                     .n_nodes = 2,
                     .distances = distances,
                     .memory = memory,
                     .n_memory = G_N_ELEMENTS(memory)},
        .ged = ged,
        .virtio = virtio,
        .n_virtio = SAMPLE_VIRTIO,
        .serial = {.port = 0x3f8, .n_ports = 8, .irq = 4},
        .rtc = {.port = 0x70, .n_ports = 2, .irq = 8},
        .rtc_century = 0x32,
        .pvpanic = {.port = 0x505, .n_ports = 1},
        .has_i8042 = true,
        .generation_address = SAMPLE_GENERATION,
        .vmclock_address = SAMPLE_VMCLOCK,
    };
}

static const uint8_t *at(const GByteArray *set, uint64_t address)
{
    g_assert(address >= SAMPLE_BASE && address - SAMPLE_BASE + sizeof(AcpiHeader) <= set->len);
    return set->data + (address - SAMPLE_BASE);
}

uint64_t acpi_sample_listed(const GByteArray *set, unsigned n)
{
    const uint8_t *xsdt = at(set, load_le64(set->data + XSDT_POINTER));
    uint64_t offset = sizeof(AcpiHeader) + 8 * (uint64_t)n;

    return offset + 8 <= load_le32(xsdt + 4) ? load_le64(xsdt + offset) : 0;
}

const uint8_t *acpi_sample_table(const GByteArray *set, const char *signature)
{
    uint64_t address;

    if (strcmp(signature, "XSDT") == 0) {
        return at(set, load_le64(set->data + XSDT_POINTER));
    }
    if (strcmp(signature, "DSDT") == 0) {
        return at(set, load_le64(acpi_sample_table(set, "FACP") + X_DSDT));
    }
    for (unsigned n = 0; (address = acpi_sample_listed(set, n)) != 0; n++) {
        if (memcmp(at(set, address), signature, 4) == 0) {
            return at(set, address);
        }
    }
    return NULL;
}

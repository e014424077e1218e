/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/acpi/builder.h"

#include <string.h>

/* The widest alignment that any table asks for (the FACS). */
#define TABLE_ALIGN   64

#define OEM_ID        "STENCL"
#define OEM_TABLE_ID  "STENCIL "
#define CREATOR_ID    "STCL"
#define RSDP_REVISION 2
#define RSDP_V1_BYTES 20
#define XSDT_REVISION 1

G_STATIC_ASSERT(sizeof(AcpiHeader) == 36);
G_STATIC_ASSERT(sizeof(AcpiRsdp) == 36);
G_STATIC_ASSERT(sizeof(AcpiAddress) == 12);

struct AcpiBuilder {
    uint64_t base;
    GByteArray *blob;
    GByteArray *listed; /* addresses, as the XSDT wants them */
};

uint8_t acpi_checksum(const void *data, size_t len)
{
    const uint8_t *bytes = data;
    uint8_t sum = 0;

    for (size_t i = 0; i < len; i++) {
        sum = (uint8_t)(sum + bytes[i]);
    }
    return (uint8_t)-sum;
}

/* Grows the blob by zero bytes to the next table boundary; returns the offset there. */
static guint align_blob(GByteArray *blob)
{
    guint old = blob->len;
    guint start = (old + TABLE_ALIGN - 1) & ~(guint)(TABLE_ALIGN - 1);

    g_byte_array_set_size(blob, start);
    memset(blob->data + old, 0, start - old);
    return start;
}

AcpiBuilder *acpi_builder_new(uint64_t base)
{
    g_assert(base % TABLE_ALIGN == 0);

    AcpiBuilder *builder = g_new0(AcpiBuilder, 1);
    AcpiRsdp rsdp = {0};

    builder->base = base;
    builder->blob = g_byte_array_new();
    builder->listed = g_byte_array_new();
    g_byte_array_append(builder->blob, (const guint8 *)&rsdp, sizeof(rsdp));
    return builder;
}

void acpi_builder_free(AcpiBuilder *builder)
{
    if (builder == NULL) {
        return;
    }
    if (builder->blob != NULL) {
        g_byte_array_unref(builder->blob);
    }
    g_byte_array_unref(builder->listed);
    g_free(builder);
}

uint64_t acpi_builder_add(AcpiBuilder *builder, const char *signature, uint8_t revision,
                          const GByteArray *body, bool listed)
{
    guint start = align_blob(builder->blob);
    uint64_t address = builder->base + start;
    AcpiHeader header = {
        .length = (uint32_t)sizeof(header) + body->len,
        .revision = revision,
        .oem_revision = 1,
        .creator_revision = 1,
    };

    memcpy(header.signature, signature, sizeof(header.signature));
    memcpy(header.oem_id, OEM_ID, sizeof(header.oem_id));
    memcpy(header.oem_table_id, OEM_TABLE_ID, sizeof(header.oem_table_id));
    memcpy(header.creator_id, CREATOR_ID, sizeof(header.creator_id));
    g_byte_array_append(builder->blob, (const guint8 *)&header, sizeof(header));
    g_byte_array_append(builder->blob, body->data, body->len);

    uint8_t *table = builder->blob->data + start;

    table[offsetof(AcpiHeader, checksum)] = acpi_checksum(table, header.length);
    if (listed) {
        g_byte_array_append(builder->listed, (const guint8 *)&address, sizeof(address));
    }
    return address;
}

GByteArray *acpi_builder_finish(AcpiBuilder *builder)
{
    AcpiRsdp rsdp = {
        .signature = {'R', 'S', 'D', ' ', 'P', 'T', 'R', ' '},
        .revision = RSDP_REVISION,
        .length = sizeof(rsdp),
        .xsdt_address =
            acpi_builder_add(builder, "XSDT", XSDT_REVISION, builder->listed, /* listed= */ false),
    };

    memcpy(rsdp.oem_id, OEM_ID, sizeof(rsdp.oem_id));
    rsdp.checksum = acpi_checksum(&rsdp, RSDP_V1_BYTES);
    rsdp.extended_checksum = acpi_checksum(&rsdp, sizeof(rsdp));
    memcpy(builder->blob->data, &rsdp, sizeof(rsdp));
    return g_steal_pointer(&builder->blob);
}

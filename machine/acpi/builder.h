/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_ACPI_BUILDER_H
#define MACHINE_ACPI_BUILDER_H

/*
 * A set of ACPI tables as one run of bytes that is right at one guest address:
 *
 *      base     +0x40        ...                    ...
 *      +------+ +-----------+ +----------+ ... +--------------+
 *      | RSDP | | table 0   | | table 1  |     | XSDT         |
 *      +------+ +-----------+ +----------+     +--------------+
 *          |        ^             ^               |   |
 *          |        +-------------+---------------+---+  (listed tables only)
 *          +------------------------------------->+
 *
 * Tables come in the order in which they are added, so a table that points at another is added
 * after it: adding answers with the address.  Lengths and checksums are filled in here; a table is
 * handed over as its body, the bytes after the common header.
 */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Tables are written as the structs below lie in memory. */
G_STATIC_ASSERT(G_BYTE_ORDER == G_LITTLE_ENDIAN);

/* ACPI 6.3, 5.2.6: what every table but the RSDP begins with. */
typedef struct __attribute__((packed)) AcpiHeader {
    char signature[4];
    uint32_t length;
    uint8_t revision;
    uint8_t checksum; /* all bytes of the table add up to 0 */
    char oem_id[6];
    char oem_table_id[8];
    uint32_t oem_revision;
    char creator_id[4];
    uint32_t creator_revision;
} AcpiHeader;

/* ACPI 6.3, 5.2.5.3: the root, found by its address or by its signature on a 16-byte boundary. */
typedef struct __attribute__((packed)) AcpiRsdp {
    char signature[8];
    uint8_t checksum; /* of the first 20 bytes, all that ACPI 1.0 knew */
    char oem_id[6];
    uint8_t revision;
    uint32_t rsdt_address;
    uint32_t length;
    uint64_t xsdt_address;
    uint8_t extended_checksum;
    uint8_t reserved[3];
} AcpiRsdp;

/* ACPI 6.3, 5.2.3.2: a register in one of the address spaces. */
typedef struct __attribute__((packed)) AcpiAddress {
    uint8_t space;
    uint8_t bit_width;
    uint8_t bit_offset;
    uint8_t access_size;
    uint64_t address;
} AcpiAddress;

enum {
    ACPI_SPACE_MEMORY = 0,
    ACPI_SPACE_IO = 1,
    ACPI_ACCESS_BYTE = 1,
};

typedef struct AcpiBuilder AcpiBuilder;

/* base: guest address of the RSDP, a multiple of 64. */
AcpiBuilder *acpi_builder_new(uint64_t base);
void acpi_builder_free(AcpiBuilder *builder);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AcpiBuilder, acpi_builder_free)

/* Adds a table and returns its guest address.  listed: the XSDT points at it (at all but a DSDT). */
uint64_t acpi_builder_add(AcpiBuilder *builder, const char *signature, uint8_t revision,
                          const GByteArray *body, bool listed);

/* Writes XSDT and RSDP and hands the whole set over; the builder is empty afterwards. */
GByteArray *acpi_builder_finish(AcpiBuilder *builder);

/* The byte that makes len bytes at data add up to 0 modulo 256, if it replaces a byte of 0. */
uint8_t acpi_checksum(const void *data, size_t len);

#endif

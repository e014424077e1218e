/* SPDX-License-Identifier: Apache-2.0 */
/* Walks RSDP, XSDT or RSDT, and the tables behind; offsets as in the ACPI 6 specification. */
#include "tests/guest/lib/acpi.h"

#include "tests/guest/lib/boot_info.h"
#include "tests/guest/lib/string.h"
#include "tests/guest/lib/x86.h"

#define HEADER_SIZE          36
#define RSDP_RSDT            16
#define RSDP_XSDT            24
#define RSDP_REVISION        15
#define MADT_ENTRIES         44
#define MADT_LOCAL_APIC      0
#define MADT_IOAPIC          1
#define MADT_LOCAL_X2APIC    9
#define FADT_DSDT            40
#define FADT_FLAGS           112
#define FADT_RESET_REGISTER  116
#define FADT_RESET_VALUE     128
#define FADT_X_DSDT          140
#define FADT_SLEEP_CONTROL   244
#define FADT_FLAG_RESET      (1u << 10)
#define FADT_FLAG_HW_REDUCED (1u << 20)
#define SLEEP_ENABLE         0x20
#define SLEEP_TYPE_SHIFT     2
#define GAS_MEMORY           0
#define GAS_IO               1
#define GAS_ADDRESS          4
#define AML_PACKAGE          0x12
#define AML_BYTE             0x0a

static uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t get32(const uint8_t *p)
{
    return get16(p) | (uint32_t)get16(p + 2) << 16;
}

static uint64_t get64(const uint8_t *p)
{
    return get32(p) | (uint64_t)get32(p + 4) << 32;
}

static bool checksum_is_zero(const uint8_t *p, uint32_t length)
{
    uint8_t sum = 0;

    for (uint32_t i = 0; i < length; i++) {
        sum = (uint8_t)(sum + p[i]);
    }
    return sum == 0;
}

uint32_t acpi_table_length(const void *table)
{
    return get32((const uint8_t *)table + 4);
}

bool acpi_is_intact(const void *table)
{
    return checksum_is_zero(table, acpi_table_length(table));
}

static const uint8_t *checked_table(uint64_t address, const char *signature)
{
    const uint8_t *table = (const uint8_t *)address;

    if (!address || memcmp(table, signature, 4) || !acpi_is_intact(table)) {
        return NULL;
    }
    return table;
}

static const uint8_t *find_dsdt(void)
{
    const uint8_t *fadt = acpi_table("FACP");

    if (!fadt) {
        return NULL;
    }
    if (acpi_table_length(fadt) >= FADT_X_DSDT + 8 && get64(fadt + FADT_X_DSDT)) {
        return checked_table(get64(fadt + FADT_X_DSDT), "DSDT");
    }
    return checked_table(get32(fadt + FADT_DSDT), "DSDT");
}

const void *acpi_table(const char *signature)
{
    const uint8_t *rsdp = (const uint8_t *)boot_info()->rsdp;
    const uint8_t *root = NULL;
    unsigned entry_size = 8;

    if (!rsdp || memcmp(rsdp, "RSD PTR ", 8)) {
        return NULL;
    }
    if (!memcmp(signature, "DSDT", 4)) {
        return find_dsdt();
    }
    if (rsdp[RSDP_REVISION] >= 2) {
        root = checked_table(get64(rsdp + RSDP_XSDT), "XSDT");
    }
    if (!root) {
        root = checked_table(get32(rsdp + RSDP_RSDT), "RSDT");
        entry_size = 4;
    }
    if (!root) {
        return NULL;
    }
    for (uint32_t at = HEADER_SIZE; at < acpi_table_length(root); at += entry_size) {
        uint64_t address = entry_size == 8 ? get64(root + at) : get32(root + at);
        const uint8_t *table = checked_table(address, signature);

        if (table) {
            return table;
        }
    }
    return NULL;
}

/* The n-th MADT entry of that type; NULL behind the last. */
static const uint8_t *madt_entry(unsigned type, unsigned n)
{
    const uint8_t *madt = acpi_table("APIC");

    if (!madt) {
        return NULL;
    }
    for (uint32_t at = MADT_ENTRIES; at + 1 < acpi_table_length(madt) && madt[at + 1] >= 2;
         at += madt[at + 1]) {
        if (madt[at] == type && n-- == 0) {
            return madt + at;
        }
    }
    return NULL;
}

unsigned acpi_processors(uint32_t *ids, unsigned max)
{
    const uint8_t *entry;
    unsigned count = 0;

    for (unsigned n = 0; count < max && (entry = madt_entry(MADT_LOCAL_APIC, n)); n++) {
        if (get32(entry + 4) & 1) {
            ids[count++] = entry[3];
        }
    }
    for (unsigned n = 0; count < max && (entry = madt_entry(MADT_LOCAL_X2APIC, n)); n++) {
        if (get32(entry + 8) & 1) {
            ids[count++] = get32(entry + 4);
        }
    }
    return count;
}

bool acpi_ioapic(uint32_t *address, uint32_t *first_gsi)
{
    const uint8_t *entry = madt_entry(MADT_IOAPIC, 0);

    if (!entry) {
        return false;
    }
    *address = get32(entry + 4);
    *first_gsi = get32(entry + 8);
    return true;
}

bool acpi_is_hardware_reduced(void)
{
    const uint8_t *fadt = acpi_table("FACP");

    return fadt && (get32(fadt + FADT_FLAGS) & FADT_FLAG_HW_REDUCED);
}

/* \_S5 is a name, then a package: opcode, length of one to four bytes, count, first element. */
bool acpi_soft_off_type(uint8_t *type)
{
    const uint8_t *dsdt = acpi_table("DSDT");
    const uint8_t *p;

    if (!dsdt) {
        return false;
    }
    for (uint32_t at = HEADER_SIZE; at + 10 < acpi_table_length(dsdt); at++) {
        p = dsdt + at;
        if (memcmp(p, "_S5_", 4) || p[4] != AML_PACKAGE) {
            continue;
        }
        p += 5;
        p += 1 + (*p >> 6) + 1;
        *type = *p == AML_BYTE ? p[1] : (uint8_t)(*p & 1);
        return true;
    }
    return false;
}

static bool write_register(const uint8_t *address, uint8_t value)
{
    uint64_t at = get64(address + GAS_ADDRESS);

    if (!at) {
        return false;
    }
    if (address[0] == GAS_IO) {
        port_write8((uint16_t)at, value);
        return true;
    }
    if (address[0] == GAS_MEMORY) {
        mmio_write8(at, value);
        return true;
    }
    return false;
}

bool acpi_power_off(void)
{
    const uint8_t *fadt = acpi_table("FACP");
    uint8_t type;

    if (!fadt || acpi_table_length(fadt) < FADT_SLEEP_CONTROL + 12 || !acpi_soft_off_type(&type)) {
        return false;
    }
    return write_register(fadt + FADT_SLEEP_CONTROL,
                          (uint8_t)(type << SLEEP_TYPE_SHIFT | SLEEP_ENABLE));
}

bool acpi_reset(void)
{
    const uint8_t *fadt = acpi_table("FACP");

    if (!fadt || acpi_table_length(fadt) < FADT_RESET_VALUE + 1 ||
        !(get32(fadt + FADT_FLAGS) & FADT_FLAG_RESET)) {
        return false;
    }
    return write_register(fadt + FADT_RESET_REGISTER, fadt[FADT_RESET_VALUE]);
}

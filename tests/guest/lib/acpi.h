/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The little of ACPI that a payload needs: processors and IOAPIC from the MADT, power-off and reset
 * registers from the FADT, the type of the soft-off state from the DSDT.
 */
#ifndef TESTS_GUEST_LIB_ACPI_H
#define TESTS_GUEST_LIB_ACPI_H

#include <stdbool.h>
#include <stdint.h>

/* A table by its four letters, checksum verified; NULL when there is none. "DSDT" works as well. */
const void *acpi_table(const char *signature);
uint32_t acpi_table_length(const void *table);
bool acpi_is_intact(const void *table);

/* APIC ids of the processors that the MADT calls enabled; returns how many. */
unsigned acpi_processors(uint32_t *ids, unsigned max);

/* The first IOAPIC; false if the MADT has none. */
bool acpi_ioapic(uint32_t *address, uint32_t *first_gsi);

bool acpi_is_hardware_reduced(void);

/* SLP_TYP of \_S5; false if the DSDT does not name it. */
bool acpi_soft_off_type(uint8_t *type);

/* False if the FADT gives no register; else the machine has been told, and may take a moment. */
bool acpi_power_off(void);
bool acpi_reset(void);

#endif

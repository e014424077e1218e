/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_ACPI_SAMPLE_H
#define TESTS_SUPPORT_ACPI_SAMPLE_H

/*
 * Two microvms to build ACPI tables for, and ways to find a table in the result: the plain one has
 * a single CPU and no device; the full one has everything, 300 CPUs on two NUMA nodes included.
 */

#include "machine/acpi/microvm.h"

#define SAMPLE_BASE       UINT64_C(0xe0000)
#define SAMPLE_CPUS       300
#define SAMPLE_VIRTIO     40
#define SAMPLE_GENERATION UINT64_C(0x123456780)
#define SAMPLE_VMCLOCK    0xff000u

AcpiMicrovm acpi_sample_plain(void);
AcpiMicrovm acpi_sample_full(void);

/* The n-th address in the XSDT of a set built for SAMPLE_BASE; 0 after the last. */
uint64_t acpi_sample_listed(const GByteArray *set, unsigned n);

/* The table of that signature, followed through RSDP, XSDT and FADT; NULL if there is none. */
const uint8_t *acpi_sample_table(const GByteArray *set, const char *signature);

#endif

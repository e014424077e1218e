/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_BOOT_MPTABLE_H
#define MACHINE_BOOT_MPTABLE_H

/*
 * The tables of Intel's MultiProcessor Specification 1.4, for kernels that run without ACPI:
 *
 *      address               address + 16
 *      +------------------+  +--------+------------+---------+-----------+------------------+
 *      | floating pointer |->| header | processors | ISA bus | I/O APIC  | interrupt wiring |
 *      +------------------+  +--------+------------+---------+-----------+------------------+
 *
 * A kernel looks for the floating pointer on 16-byte boundaries in the first KiB of the EBDA, in
 * the last KiB below 640 KiB and in [0xf0000, 0x100000).  Each pin n of the I/O APIC is described
 * as interrupt n of the ISA bus, edge triggered and active high, the ones above 15 too, since that
 * is how virtio-mmio devices named on the kernel command line are wired.
 */

#include <glib.h>
#include <stddef.h>
#include <stdint.h>

typedef struct MpTableConfig {
    uint64_t address;         /* of the floating pointer: a multiple of 16 below 4 GiB */
    const uint32_t *apic_ids; /* the boot CPU is the first */
    size_t n_cpus;
    uint32_t lapic_address;
    uint8_t ioapic_id;
    uint32_t ioapic_address;
    uint8_t ioapic_pins;
} MpTableConfig;

/* Fails if an APIC id does not fit the eight bits that it has here. */
GByteArray *mptable_build(const MpTableConfig *config, GError **error);

#endif

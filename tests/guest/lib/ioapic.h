/* SPDX-License-Identifier: Apache-2.0 */
/* The first IOAPIC, where the MADT says it is, or at its usual place when there is no MADT. */
#ifndef TESTS_GUEST_LIB_IOAPIC_H
#define TESTS_GUEST_LIB_IOAPIC_H

#include <stdbool.h>
#include <stdint.h>

#define IOAPIC_ID         0x00
#define IOAPIC_VERSION    0x01
#define IOAPIC_REDIRECT   0x10
#define IOAPIC_EDGE       0x00000
#define IOAPIC_MASKED     0x10000
#define IOAPIC_LEVEL      0x08000
#define IOAPIC_REMOTE_IRR 0x04000
#define IOAPIC_LOW_ACTIVE 0x02000

uint32_t ioapic_read(unsigned index);
void ioapic_write(unsigned index, uint32_t value);

unsigned ioapic_pins(void);

uint64_t ioapic_redirection(unsigned pin);

/* flags: vector plus IOAPIC_*; to the CPU with that APIC id, physical mode, fixed delivery. */
void ioapic_route(unsigned gsi, uint32_t flags, uint32_t apic_id);
void ioapic_mask(unsigned gsi);

#endif

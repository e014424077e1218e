/* SPDX-License-Identifier: Apache-2.0 */
/* Index and data window. */
#include "tests/guest/lib/ioapic.h"

#include "tests/guest/lib/acpi.h"
#include "tests/guest/lib/x86.h"

#define IOAPIC_USUAL_ADDRESS 0xfec00000
#define IOAPIC_WINDOW        0x10

static uint32_t base;
static uint32_t first_gsi;

static uint32_t ioapic_base(void)
{
    if (!base && !acpi_ioapic(&base, &first_gsi)) {
        base = IOAPIC_USUAL_ADDRESS;
    }
    return base;
}

uint32_t ioapic_read(unsigned index)
{
    mmio_write32(ioapic_base(), index);
    return mmio_read32(ioapic_base() + IOAPIC_WINDOW);
}

void ioapic_write(unsigned index, uint32_t value)
{
    mmio_write32(ioapic_base(), index);
    mmio_write32(ioapic_base() + IOAPIC_WINDOW, value);
}

unsigned ioapic_pins(void)
{
    return (ioapic_read(IOAPIC_VERSION) >> 16 & 0xff) + 1;
}

uint64_t ioapic_redirection(unsigned pin)
{
    return ioapic_read(IOAPIC_REDIRECT + 2 * pin) |
           (uint64_t)ioapic_read(IOAPIC_REDIRECT + 2 * pin + 1) << 32;
}

void ioapic_route(unsigned gsi, uint32_t flags, uint32_t apic_id)
{
    unsigned pin;

    ioapic_base();
    pin = gsi - first_gsi;
    ioapic_write(IOAPIC_REDIRECT + 2 * pin, flags | IOAPIC_MASKED);
    ioapic_write(IOAPIC_REDIRECT + 2 * pin + 1, apic_id << 24);
    ioapic_write(IOAPIC_REDIRECT + 2 * pin, flags);
}

void ioapic_mask(unsigned gsi)
{
    ioapic_base();
    ioapic_write(IOAPIC_REDIRECT + 2 * (gsi - first_gsi), IOAPIC_MASKED);
}

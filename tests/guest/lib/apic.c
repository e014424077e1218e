/* SPDX-License-Identifier: Apache-2.0 */
/* xAPIC by memory, x2APIC by MSR. */
#include "tests/guest/lib/apic.h"

#include "tests/guest/lib/trap.h"
#include "tests/guest/lib/x86.h"

#define CPUID_1_ECX_X2APIC (1u << 21)

static void spurious_interrupt(TrapFrame *frame)
{
    (void)frame;
}

bool apic_has_x2apic(void)
{
    return (cpuid(1, 0).ecx & CPUID_1_ECX_X2APIC) != 0;
}

bool apic_in_x2apic(void)
{
    return (msr_read(MSR_APIC_BASE) & APIC_BASE_X2APIC) != 0;
}

void apic_enable_x2apic(void)
{
    msr_write(MSR_APIC_BASE, msr_read(MSR_APIC_BASE) | APIC_BASE_ENABLE | APIC_BASE_X2APIC);
}

uint32_t apic_read(unsigned offset)
{
    if (apic_in_x2apic()) {
        return (uint32_t)msr_read(MSR_X2APIC + offset / 16);
    }
    return mmio_read32(APIC_BASE + offset);
}

void apic_write(unsigned offset, uint32_t value)
{
    if (apic_in_x2apic()) {
        msr_write(MSR_X2APIC + offset / 16, value);
    } else {
        mmio_write32(APIC_BASE + offset, value);
    }
}

uint32_t apic_id(void)
{
    uint32_t id = apic_read(APIC_ID);

    return apic_in_x2apic() ? id : id >> 24;
}

void apic_end_of_interrupt(void)
{
    apic_write(APIC_EOI, 0);
}

void apic_send(uint32_t destination, uint32_t icr)
{
    if (apic_in_x2apic()) {
        memory_barrier();
        msr_write(MSR_X2APIC + APIC_ICR / 16, (uint64_t)destination << 32 | icr);
        return;
    }
    apic_write(APIC_ICR_HIGH, destination << 24);
    apic_write(APIC_ICR, icr);
    while (apic_read(APIC_ICR) & APIC_ICR_PENDING) {
        cpu_relax();
    }
}

bool apic_vector_bit(unsigned offset, unsigned vector)
{
    return (apic_read(offset + vector / 32 * 16) >> vector % 32 & 1) != 0;
}

void apic_init(void)
{
    trap_set_handler(VECTOR_SPURIOUS, spurious_interrupt);
    msr_write(MSR_APIC_BASE, msr_read(MSR_APIC_BASE) | APIC_BASE_ENABLE);
    apic_write(APIC_LVT_TIMER, APIC_LVT_MASKED);
    apic_write(APIC_LVT_LINT0, APIC_LVT_MASKED);
    apic_write(APIC_LVT_LINT1, APIC_LVT_MASKED);
    apic_write(APIC_TPR, 0);
    apic_write(APIC_SPURIOUS, APIC_SOFTWARE_ENABLE | VECTOR_SPURIOUS);
}

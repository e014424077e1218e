/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local APIC in both of its modes behind one set of functions; registers are named by their
 * offset in the memory-mapped page, which gives the MSR number of x2APIC mode too.
 */
#ifndef TESTS_GUEST_LIB_APIC_H
#define TESTS_GUEST_LIB_APIC_H

#include <stdbool.h>
#include <stdint.h>

#define APIC_BASE            0xfee00000
#define MSR_APIC_BASE        0x1b
#define MSR_X2APIC           0x800
#define MSR_TSC_DEADLINE     0x6e0
#define APIC_BASE_BSP        0x100
#define APIC_BASE_X2APIC     0x400
#define APIC_BASE_ENABLE     0x800

#define APIC_ID              0x20
#define APIC_VERSION         0x30
#define APIC_TPR             0x80
#define APIC_EOI             0xb0
#define APIC_LDR             0xd0
#define APIC_DFR             0xe0
#define APIC_SPURIOUS        0xf0
#define APIC_ISR             0x100
#define APIC_IRR             0x200
#define APIC_ESR             0x280
#define APIC_ICR             0x300
#define APIC_ICR_HIGH        0x310
#define APIC_LVT_TIMER       0x320
#define APIC_LVT_LINT0       0x350
#define APIC_LVT_LINT1       0x360
#define APIC_LVT_ERROR       0x370
#define APIC_TIMER_INITIAL   0x380
#define APIC_TIMER_CURRENT   0x390
#define APIC_TIMER_DIVIDE    0x3e0
#define APIC_SELF_IPI        0x3f0

#define APIC_SOFTWARE_ENABLE 0x100
#define APIC_LVT_MASKED      0x10000
#define APIC_TIMER_ONE_SHOT  0x00000
#define APIC_TIMER_PERIODIC  0x20000
#define APIC_TIMER_DEADLINE  0x40000
#define APIC_TIMER_DIVIDE_1  0x0b
#define APIC_TIMER_DIVIDE_16 0x03

#define APIC_ICR_FIXED       0x00000
#define APIC_ICR_NMI         0x00400
#define APIC_ICR_INIT        0x00500
#define APIC_ICR_STARTUP     0x00600
#define APIC_ICR_ASSERT      0x04000
#define APIC_ICR_PENDING     0x01000
#define APIC_ICR_SELF        0x40000
#define APIC_ICR_ALL         0x80000
#define APIC_ICR_OTHERS      0xc0000

#define VECTOR_SPURIOUS      0xff

/* Enables the APIC of the running CPU, timer and lines masked, in the mode that it is in. */
void apic_init(void);

bool apic_has_x2apic(void);
bool apic_in_x2apic(void);

/* Never back: the only way out of x2APIC mode is through off. */
void apic_enable_x2apic(void);

uint32_t apic_read(unsigned offset);
void apic_write(unsigned offset, uint32_t value);

uint32_t apic_id(void);
void apic_end_of_interrupt(void);

/* icr without its destination; waits until it has been sent. */
void apic_send(uint32_t destination, uint32_t icr);

/* One bit of ISR, TMR or IRR. */
bool apic_vector_bit(unsigned offset, unsigned vector);

#endif

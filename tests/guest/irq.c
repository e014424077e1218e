/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The road of an interrupt: IOAPIC registers, edges and levels (the serial port's transmitter is
 * the source that a guest can pull by itself), priorities and nesting in the local APIC, interrupts
 * to oneself, both APIC modes.  What is pending or in service at the migrate point must still be.
 */
#include "tests/guest/lib/apic.h"
#include "tests/guest/lib/ioapic.h"
#include "tests/guest/lib/report.h"
#include "tests/guest/lib/serial.h"
#include "tests/guest/lib/start.h"
#include "tests/guest/lib/trap.h"
#include "tests/guest/lib/x86.h"

#define VECTOR_SERIAL        0x61
#define VECTOR_LOW           0x45
#define VECTOR_MIDDLE        0x75
#define VECTOR_HIGH          0x95
#define REDIRECTION_WRITABLE 0xff0000000001afffull
#define PINS_AT_LEAST        24
#define IIR_NONE             0x01
#define IIR_THRE             0x02
#define IIR_MASK             0x0f
#define SETTLE_CYCLES        5000000ul
#define PATIENCE             20000000000ul
#define EVENTS_MAX           8

static bool in_service_is_shown;
static volatile unsigned serial_interrupts;
static volatile unsigned serial_wanted; /* handlers leave the line up until so many have come */
static volatile uint8_t last_iir;
static volatile bool remote_irr_seen;
static volatile unsigned events[EVENTS_MAX];
static volatile unsigned event_count;

static void note_event(unsigned event)
{
    if (event_count < EVENTS_MAX) {
        events[event_count] = event;
    }
    event_count++;
}

static bool wait_for(const volatile unsigned *value, unsigned expected)
{
    uint64_t start = tsc_read();

    interrupts_enable();
    while (*value < expected && tsc_read() - start < PATIENCE) {
        cpu_relax();
    }
    interrupts_disable();
    return *value >= expected;
}

static void settle(void)
{
    uint64_t start = tsc_read();

    interrupts_enable();
    while (tsc_read() - start < SETTLE_CYCLES) {
        cpu_relax();
    }
    interrupts_disable();
}

/* Reading IIR takes the transmitter's interrupt back; not reading it leaves the line up. */
static void on_serial(TrapFrame *frame)
{
    (void)frame;
    serial_interrupts++;
    remote_irr_seen = (ioapic_redirection(SERIAL_IRQ) & IOAPIC_REMOTE_IRR) != 0;
    if (serial_interrupts >= serial_wanted) {
        last_iir = serial_read_register(SERIAL_IIR);
    }
    apic_end_of_interrupt();
}

static void serial_interrupt_on(void)
{
    serial_interrupts = 0;
    serial_write_register(SERIAL_MCR, 0x03 | SERIAL_MCR_OUT2);
    serial_write_register(SERIAL_IER, SERIAL_IER_THRE);
}

static void serial_interrupt_off(void)
{
    serial_write_register(SERIAL_IER, 0);
    serial_read_register(SERIAL_IIR);
}

static void test_ioapic_registers(void)
{
    unsigned pins = ioapic_pins();
    unsigned unmasked = 0;
    uint64_t pattern = REDIRECTION_WRITABLE & 0xa500000000018a5aull;

    report(pins >= PINS_AT_LEAST, "the IOAPIC has %u pins", pins);
    for (unsigned i = 0; i < pins; i++) {
        unmasked += !(ioapic_redirection(i) & IOAPIC_MASKED);
    }
    report_equal(unmasked, 0, "all pins are masked at start");
    ioapic_write(IOAPIC_REDIRECT + 2 * (pins - 1) + 1, (uint32_t)(pattern >> 32));
    ioapic_write(IOAPIC_REDIRECT + 2 * (pins - 1), (uint32_t)pattern);
    report_equal(ioapic_redirection(pins - 1), pattern, "the last redirection entry reads back");
    ioapic_write(IOAPIC_ID, 0x05000000);
    report_equal(ioapic_read(IOAPIC_ID), 0x05000000, "the IOAPIC's id reads back");
}

static void test_edge(const char *when)
{
    trap_set_handler(VECTOR_SERIAL, on_serial);
    ioapic_route(SERIAL_IRQ, VECTOR_SERIAL | IOAPIC_EDGE, apic_id());
    serial_wanted = 1;
    serial_interrupt_on();
    wait_for(&serial_interrupts, 1);
    settle();
    serial_interrupt_off();
    report(serial_interrupts == 1, "an edge gives one interrupt, %s: %u", when, serial_interrupts);
    report((last_iir & IIR_MASK) == IIR_THRE, "the serial port names its cause, %s", when);
    report(!remote_irr_seen, "an edge leaves remote IRR clear, %s", when);
    ioapic_mask(SERIAL_IRQ);
}

static void test_masked_pin(void)
{
    serial_wanted = 1;
    serial_interrupt_on();
    settle();
    report_equal(serial_interrupts, 0, "a masked pin is silent");
    serial_interrupt_off();
}

static void test_level(const char *when)
{
    ioapic_route(SERIAL_IRQ, VECTOR_SERIAL | IOAPIC_LEVEL, apic_id());
    serial_wanted = 4;
    serial_interrupt_on();
    wait_for(&serial_interrupts, 4);
    settle();
    serial_interrupt_off();
    report(serial_interrupts == 4 || (!in_service_is_shown && serial_interrupts == 5),
           "a level comes again after each EOI until it falls, %s: %u", when, serial_interrupts);
    report(remote_irr_seen || !in_service_is_shown, "a level in service shows in remote IRR, %s",
           when);
    report(!(ioapic_redirection(SERIAL_IRQ) & IOAPIC_REMOTE_IRR), "EOI clears remote IRR, %s",
           when);
    ioapic_mask(SERIAL_IRQ);
}

static void send_to_self(unsigned vector)
{
    apic_send(apic_id(), APIC_ICR_FIXED | APIC_ICR_ASSERT | APIC_ICR_SELF | vector);
}

static void on_leaf(TrapFrame *frame)
{
    note_event((unsigned)frame->vector);
    apic_end_of_interrupt();
}

/* In service itself: the higher one interrupts it, the lower one has to wait for its end. */
static void on_middle(TrapFrame *frame)
{
    note_event((unsigned)frame->vector);
    report(apic_vector_bit(APIC_ISR, VECTOR_MIDDLE), "an interrupt in service shows in ISR");
    send_to_self(VECTOR_LOW);
    send_to_self(VECTOR_HIGH);
    settle();
    note_event(0);
    report(apic_vector_bit(APIC_IRR, VECTOR_LOW), "one that has to wait shows in IRR");
    migrate_point();
    report(apic_vector_bit(APIC_ISR, VECTOR_MIDDLE), "ISR survives the migrate point");
    report(apic_vector_bit(APIC_IRR, VECTOR_LOW), "IRR survives the migrate point");
    apic_end_of_interrupt();
}

static void on_probe(TrapFrame *frame)
{
    note_event(apic_vector_bit(APIC_ISR, (unsigned)frame->vector));
    apic_end_of_interrupt();
}

/*
 * Where KVM emulates kernel mode for want of hardware, an interrupt may count as served from the
 * moment it is delivered: nothing is ever in service, and what rests on that cannot be tested.
 */
static bool has_in_service(void)
{
    event_count = 0;
    trap_set_handler(VECTOR_MIDDLE, on_probe);
    send_to_self(VECTOR_MIDDLE);
    wait_for(&event_count, 1);
    if (!events[0]) {
        report_note("KVM here has no interrupts in service: nesting and remote IRR not tested");
    }
    return events[0] != 0;
}

static void test_nesting(void)
{
    event_count = 0;
    trap_set_handler(VECTOR_LOW, on_leaf);
    trap_set_handler(VECTOR_MIDDLE, on_middle);
    trap_set_handler(VECTOR_HIGH, on_leaf);
    send_to_self(VECTOR_MIDDLE);
    wait_for(&event_count, 4);
    settle();
    report(event_count == 4 && events[0] == VECTOR_MIDDLE && events[1] == VECTOR_HIGH &&
               events[2] == 0 && events[3] == VECTOR_LOW,
           "a higher interrupt nests, a lower one waits: %x %x %x %x", events[0], events[1],
           events[2], events[3]);
}

static void test_task_priority(void)
{
    event_count = 0;
    apic_write(APIC_TPR, 0x80);
    send_to_self(VECTOR_LOW);
    settle();
    report_equal(event_count, 0, "task priority holds a lower interrupt back");
    migrate_point();
    settle();
    report_equal(event_count, 0, "task priority still does behind the migrate point");
    apic_write(APIC_TPR, 0);
    report(wait_for(&event_count, 1), "and lets it through when it falls");
}

/* Flag off, interrupt pending: frozen like that it must still come, once. */
static void test_pending_across_migration(void)
{
    event_count = 0;
    send_to_self(VECTOR_HIGH);
    migrate_point();
    report_equal(event_count, 0, "nothing is delivered while interrupts are off");
    wait_for(&event_count, 1);
    settle();
    report_equal(event_count, 1, "an interrupt pending at the migrate point is delivered once");
}

static void test_x2apic(void)
{
    uint32_t id = apic_id();

    if (!apic_has_x2apic()) {
        report_note("no x2APIC in CPUID");
        return;
    }
    apic_enable_x2apic();
    report_equal(apic_id(), id, "the APIC id is the same in x2APIC mode");
    event_count = 0;
    send_to_self(VECTOR_LOW);
    report(wait_for(&event_count, 1), "the ICR works in x2APIC mode");
    event_count = 0;
    apic_write(APIC_SELF_IPI, VECTOR_HIGH);
    report(wait_for(&event_count, 1), "SELF_IPI works in x2APIC mode");
    test_edge("in x2APIC mode");
    test_level("in x2APIC mode");
    migrate_point();
    report(apic_in_x2apic(), "x2APIC mode survives the migrate point");
    test_edge("in x2APIC mode behind the migrate point");
}

void payload_main(void)
{
    uint64_t last;

    in_service_is_shown = has_in_service();
    test_ioapic_registers();
    last = ioapic_redirection(ioapic_pins() - 1);
    test_edge("in xAPIC mode");
    test_masked_pin();
    test_level("in xAPIC mode");
    if (in_service_is_shown) {
        test_nesting();
    }
    trap_set_handler(VECTOR_LOW, on_leaf);
    trap_set_handler(VECTOR_HIGH, on_leaf);
    test_task_priority();
    test_pending_across_migration();
    report_equal(ioapic_redirection(ioapic_pins() - 1), last,
                 "redirection entries survive the migrate points");
    test_edge("in xAPIC mode behind the migrate points");
    test_level("in xAPIC mode behind the migrate points");
    test_x2apic();
}

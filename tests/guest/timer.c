/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local APIC timer in its three modes, and the time stamp counter beside it.  Timers that are
 * armed before the migrate point must fire behind it, and no clock may step back.
 */
#include "tests/guest/lib/apic.h"
#include "tests/guest/lib/report.h"
#include "tests/guest/lib/start.h"
#include "tests/guest/lib/trap.h"
#include "tests/guest/lib/x86.h"

#define VECTOR_TIMER         0x41
#define CPUID_1_ECX_DEADLINE (1u << 24)
#define SHORT_COUNT          200000
#define LONG_COUNT           4000000
#define VERY_LONG_COUNT      1000000000
#define TRIES                2
#define MEASURED_COUNT       20000000
#define PERIODS              10
#define TSC_READS            5000
#define DEADLINE_CYCLES      4000000
#define SETTLE_CYCLES        10000000
#define PATIENCE             20000000000ul

static volatile unsigned fired;
static volatile uint64_t fired_at;

static void on_timer(TrapFrame *frame)
{
    (void)frame;
    fired_at = tsc_read();
    fired++;
    apic_end_of_interrupt();
}

/* Lets interrupts in until `count` have come or patience ends. */
static bool wait_for(unsigned count)
{
    uint64_t start = tsc_read();

    interrupts_enable();
    while (fired < count && tsc_read() - start < PATIENCE) {
        cpu_relax();
    }
    interrupts_disable();
    return fired >= count;
}

static void wait_cycles(uint64_t cycles)
{
    uint64_t start = tsc_read();

    interrupts_enable();
    while (tsc_read() - start < cycles) {
        cpu_relax();
    }
    interrupts_disable();
}

static void arm(uint32_t mode, uint32_t divide, uint32_t count)
{
    fired = 0;
    /* KVM starts an expired timer again when its divider changes, unless it was stopped. */
    apic_write(APIC_TIMER_INITIAL, 0);
    apic_write(APIC_LVT_TIMER, mode | VECTOR_TIMER);
    apic_write(APIC_TIMER_DIVIDE, divide);
    apic_write(APIC_TIMER_INITIAL, count);
}

static void disarm(void)
{
    apic_write(APIC_LVT_TIMER, APIC_LVT_MASKED | VECTOR_TIMER);
    apic_write(APIC_TIMER_INITIAL, 0);
    wait_cycles(SETTLE_CYCLES); /* takes what was pending */
    fired = 0;
}

static void test_one_shot(void)
{
    uint32_t current;

    arm(APIC_TIMER_ONE_SHOT, APIC_TIMER_DIVIDE_1, VERY_LONG_COUNT);
    current = apic_read(APIC_TIMER_CURRENT);
    report(current > 0 && current <= VERY_LONG_COUNT, "a timer that was just armed counts: %u",
           current);
    arm(APIC_TIMER_ONE_SHOT, APIC_TIMER_DIVIDE_1, LONG_COUNT);
    report(wait_for(1), "a one-shot timer fires");
    wait_cycles(DEADLINE_CYCLES);
    report_equal(fired, 1, "a one-shot timer fires once");
    report_equal(apic_read(APIC_TIMER_CURRENT), 0,
                 "a one-shot timer stands at zero once it has fired");
}

/* Cycles until a one-shot timer fires; the least of a few, for a busy host only adds. */
static uint64_t measure(uint32_t divide)
{
    uint64_t least = ~0ul;

    for (unsigned i = 0; i < TRIES; i++) {
        uint64_t start = tsc_read();

        arm(APIC_TIMER_ONE_SHOT, divide, MEASURED_COUNT);
        report(wait_for(1), "a timer with divider code %x fires", divide);
        least = fired_at - start < least ? fired_at - start : least;
    }
    return least;
}

/* Sixteen times slower, but for what it takes to notice. */
static void test_divider(void)
{
    uint64_t undivided = measure(APIC_TIMER_DIVIDE_1);
    uint64_t divided = measure(APIC_TIMER_DIVIDE_16);

    report(divided > 2 * undivided, "the divider slows the timer: %lu cycles, undivided %lu",
           divided, undivided);
}

static void test_periodic(void)
{
    bool is_within = true;

    arm(APIC_TIMER_PERIODIC, APIC_TIMER_DIVIDE_1, SHORT_COUNT);
    for (unsigned i = 0; i < 100; i++) {
        is_within &= apic_read(APIC_TIMER_CURRENT) <= SHORT_COUNT;
    }
    report(is_within, "the current count never exceeds the initial one");
    report(wait_for(PERIODS), "a periodic timer fires again and again");
    disarm();
    wait_cycles(DEADLINE_CYCLES);
    report_equal(fired, 0, "a timer set to zero is silent");
}

static void test_masked(void)
{
    arm(APIC_LVT_MASKED | APIC_TIMER_PERIODIC, APIC_TIMER_DIVIDE_1, SHORT_COUNT);
    wait_cycles(DEADLINE_CYCLES);
    report_equal(fired, 0, "a masked timer is silent");
    disarm();
}

static void test_deadline(void)
{
    uint64_t deadline = tsc_read() + DEADLINE_CYCLES;

    fired = 0;
    apic_write(APIC_LVT_TIMER, APIC_TIMER_DEADLINE | VECTOR_TIMER);
    memory_barrier();
    msr_write(MSR_TSC_DEADLINE, deadline);
    report(wait_for(1), "a deadline fires");
    report(fired_at >= deadline, "not before its time: at %lu, deadline %lu", fired_at, deadline);
    report_equal(msr_read(MSR_TSC_DEADLINE), 0, "a deadline that has passed reads zero");

    fired = 0;
    msr_write(MSR_TSC_DEADLINE, 1);
    report(wait_for(1), "a deadline in the past fires at once");

    fired = 0;
    msr_write(MSR_TSC_DEADLINE, tsc_read() + 100ul * DEADLINE_CYCLES);
    msr_write(MSR_TSC_DEADLINE, 0);
    wait_cycles(110ul * DEADLINE_CYCLES);
    report_equal(fired, 0, "a deadline that was taken back is silent");
}

static void test_tsc(const char *when)
{
    uint64_t last = tsc_read();
    bool is_monotonic = true;

    for (unsigned i = 0; i < TSC_READS; i++) {
        uint64_t now = tsc_read();

        is_monotonic &= now > last;
        last = now;
    }
    report(is_monotonic, "the TSC only goes up, %s", when);
}

static void test_across_migration(bool has_deadline)
{
    uint64_t before = tsc_read();

    arm(APIC_TIMER_ONE_SHOT, APIC_TIMER_DIVIDE_16, 50 * LONG_COUNT);
    migrate_point();
    report(tsc_read() > before, "the TSC has not stepped back over the migrate point");
    report(wait_for(1), "a one-shot timer armed before the migrate point fires behind it");

    arm(APIC_TIMER_PERIODIC, APIC_TIMER_DIVIDE_1, LONG_COUNT);
    migrate_point();
    fired = 0;
    report(wait_for(PERIODS), "a periodic timer armed before the migrate point goes on behind it");
    disarm();

    if (has_deadline) {
        fired = 0;
        apic_write(APIC_LVT_TIMER, APIC_TIMER_DEADLINE | VECTOR_TIMER);
        memory_barrier();
        msr_write(MSR_TSC_DEADLINE, tsc_read() + 100ul * DEADLINE_CYCLES);
        migrate_point();
        report(wait_for(1), "a deadline set before the migrate point fires behind it");

        /* Expired, not delivered: interrupts are off while the machine is frozen. */
        fired = 0;
        msr_write(MSR_TSC_DEADLINE, tsc_read() + 1000);
        migrate_point();
        report(wait_for(1), "a deadline that passed undelivered at the migrate point is not lost");
    }
}

void payload_main(void)
{
    bool has_deadline = (cpuid(1, 0).ecx & CPUID_1_ECX_DEADLINE) != 0;

    trap_set_handler(VECTOR_TIMER, on_timer);
    test_tsc("at start");
    test_one_shot();
    test_divider();
    test_periodic();
    test_masked();
    if (has_deadline) {
        test_deadline();
    } else {
        report_note("no TSC deadline in CPUID");
    }
    test_across_migration(has_deadline);
    test_tsc("after the migrate points");
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All processors come up, know who they are, count together without losing a step, hear each
 * other's interrupts and a device's, awake and asleep, and agree about the time.  They keep running
 * across the migrate point.
 *
 * Command line: cpus=N, x2apic (all of it in x2APIC mode)
 */
#include "tests/guest/lib/smp.h"
#include "tests/guest/lib/apic.h"
#include "tests/guest/lib/boot_info.h"
#include "tests/guest/lib/cpu.h"
#include "tests/guest/lib/ioapic.h"
#include "tests/guest/lib/report.h"
#include "tests/guest/lib/serial.h"
#include "tests/guest/lib/start.h"
#include "tests/guest/lib/trap.h"
#include "tests/guest/lib/x86.h"

#define VECTOR_PING   0x50
#define VECTOR_PONG   0x51
#define VECTOR_NMI    2
#define VECTOR_SERIAL 0x52
#define NOBODY        (~0u)
#define WAKE_CYCLES   100000000ul
#define COUNT_EACH    5000
#define PATIENCE      20000000000ul

typedef struct Worker {
    volatile uint64_t spins;
    volatile unsigned pings;
    volatile unsigned nmis;
    volatile uint32_t apic_id;
    volatile uint32_t cpuid_apic_id;
    volatile uint64_t tsc;
    volatile bool is_boot_cpu;
    volatile bool is_ready;
} Worker;

static Worker workers[CPU_MAX];
static volatile unsigned pongs;
static volatile unsigned answers;
static volatile unsigned serial_heard_by;
static volatile bool stop;
static volatile bool go;
static uint64_t shared_count;
static uint32_t boot_apic_id;

static void on_ping(TrapFrame *frame)
{
    (void)frame;
    workers[cpu_current()->index].pings++;
    __atomic_fetch_add(&answers, 1, __ATOMIC_SEQ_CST);
    apic_end_of_interrupt();
    apic_send(boot_apic_id, APIC_ICR_FIXED | APIC_ICR_ASSERT | VECTOR_PONG);
}

static void on_pong(TrapFrame *frame)
{
    (void)frame;
    pongs++;
    apic_end_of_interrupt();
}

static void on_nmi(TrapFrame *frame)
{
    (void)frame;
    workers[cpu_current()->index].nmis++;
}

static void identify(void *argument)
{
    Worker *w = argument;

    w->apic_id = apic_id();
    w->cpuid_apic_id = cpuid(1, 0).ebx >> 24;
    w->is_boot_cpu = (msr_read(MSR_APIC_BASE) & APIC_BASE_BSP) != 0;
}

static void enter_x2apic(void *argument)
{
    (void)argument;
    apic_enable_x2apic();
}

static void count(void *argument)
{
    (void)argument;
    while (!go) {
        cpu_relax();
    }
    for (unsigned i = 0; i < COUNT_EACH; i++) {
        __atomic_fetch_add(&shared_count, 1, __ATOMIC_SEQ_CST);
    }
}

static void spin(void *argument)
{
    Worker *w = argument;

    interrupts_enable();
    while (!stop) {
        w->spins++;
        w->is_ready = true;
    }
    interrupts_disable();
}

static void sleep_until_ping(void *argument)
{
    Worker *w = argument;
    unsigned before = w->pings;

    w->is_ready = true;
    while (w->pings == before) {
        interrupts_wait();
    }
}

static void answer_tsc(void *argument)
{
    Worker *w = argument;

    w->tsc = tsc_read();
}

static void start_on_all(unsigned cpus, void (*work)(void *))
{
    for (unsigned i = 1; i < cpus; i++) {
        workers[i].is_ready = false;
        smp_call(i, work, &workers[i]);
    }
}

static void wait_for_all(unsigned cpus)
{
    for (unsigned i = 1; i < cpus; i++) {
        smp_wait(i);
    }
}

/* The processor that looks may change beneath the guest, and the next one be a little behind. */
static bool is_over(uint64_t start)
{
    return (int64_t)(tsc_read() - start) >= (int64_t)PATIENCE;
}

/* True when *value reaches expected before patience ends; takes interrupts meanwhile. */
static bool comes_true(const volatile unsigned *value, unsigned expected)
{
    uint64_t start = tsc_read();

    interrupts_enable();
    while (*value != expected && !is_over(start)) {
        cpu_relax();
    }
    interrupts_disable();
    return *value == expected;
}

/* Takes interrupts for a while, or until the CPU is idle. */
static void listen_until_idle(unsigned index, uint64_t cycles)
{
    uint64_t start = tsc_read();

    interrupts_enable();
    while (cpu_at(index)->work && tsc_read() - start < cycles) {
        cpu_relax();
    }
    interrupts_disable();
}

/* One ping each has been answered; more for who took it between STI and HLT (see blk_verify.c). */
static void wake_all(unsigned cpus)
{
    for (unsigned i = 1; i < cpus; i++) {
        listen_until_idle(i, WAKE_CYCLES);
        while (cpu_at(i)->work) {
            pongs = 0;
            apic_send(cpu_at(i)->apic_id, APIC_ICR_FIXED | APIC_ICR_ASSERT | VECTOR_PING);
            comes_true(&pongs, 1);
            listen_until_idle(i, WAKE_CYCLES);
        }
    }
}

static void wait_until_ready(unsigned cpus)
{
    for (unsigned i = 1; i < cpus; i++) {
        while (!workers[i].is_ready) {
            cpu_relax();
        }
    }
}

static void test_identity(unsigned cpus)
{
    start_on_all(cpus, identify);
    identify(&workers[0]);
    wait_for_all(cpus);
    for (unsigned i = 0; i < cpus; i++) {
        const Worker *w = &workers[i];
        bool is_unique = true;

        for (unsigned j = 0; j < i; j++) {
            is_unique &= workers[j].apic_id != w->apic_id;
        }
        report(w->apic_id == cpu_at(i)->apic_id && is_unique,
               "cpu %u has the APIC id that the MADT gives it, and nobody else has it", i);
        report_equal(w->cpuid_apic_id, w->apic_id, "CPUID gives the same APIC id");
        report(w->is_boot_cpu == (i == 0), "only the first cpu is the boot processor");
    }
}

static void test_counting(unsigned cpus)
{
    start_on_all(cpus, count);
    go = true;
    count(NULL);
    wait_for_all(cpus);
    report_equal(shared_count, (uint64_t)cpus * COUNT_EACH, "locked increments are never lost");
}

static void test_ping(unsigned cpus, const char *state)
{
    for (unsigned i = 1; i < cpus; i++) {
        unsigned before = workers[i].pings;

        pongs = 0;
        apic_send(cpu_at(i)->apic_id, APIC_ICR_FIXED | APIC_ICR_ASSERT | VECTOR_PING);
        report(comes_true(&pongs, 1) && workers[i].pings == before + 1,
               "cpu %u answers an interrupt while %s: %u times, and once is heard of it: %u", i,
               state, workers[i].pings - before, pongs);
    }
}

static void test_broadcast(unsigned cpus)
{
    /* Pongs that arrive together are one interrupt, so they cannot be counted. */
    answers = 0;
    apic_send(0, APIC_ICR_OTHERS | APIC_ICR_ASSERT | VECTOR_PING);
    report(comes_true(&answers, cpus - 1), "all other cpus take a broadcast");
    for (unsigned i = 1; i < cpus; i++) {
        apic_send(cpu_at(i)->apic_id, APIC_ICR_NMI | APIC_ICR_ASSERT);
        report(comes_true(&workers[i].nmis, 1), "cpu %u takes an NMI", i);
    }
}

static void on_serial(TrapFrame *frame)
{
    (void)frame;
    serial_read_register(SERIAL_IIR);
    serial_heard_by = cpu_current()->index;
    apic_end_of_interrupt();
}

/* The others spin with interrupts on; this one only listens when it is its turn. */
static void test_routing(unsigned cpus, const char *when)
{
    for (unsigned i = 0; i < cpus; i++) {
        uint64_t start = tsc_read();

        serial_heard_by = NOBODY;
        ioapic_route(SERIAL_IRQ, VECTOR_SERIAL | IOAPIC_EDGE, cpu_at(i)->apic_id);
        serial_write_register(SERIAL_MCR, 0x03 | SERIAL_MCR_OUT2);
        serial_write_register(SERIAL_IER, SERIAL_IER_THRE);
        interrupts_enable();
        while (serial_heard_by == NOBODY && !is_over(start)) {
            cpu_relax();
        }
        interrupts_disable();
        serial_write_register(SERIAL_IER, 0);
        report(serial_heard_by == i,
               "a device's interrupt reaches cpu %u when it is sent there, %s", i, when);
    }
    ioapic_mask(SERIAL_IRQ);
}

static void test_spinning(unsigned cpus)
{
    uint64_t before[CPU_MAX];

    stop = false;
    start_on_all(cpus, spin);
    wait_until_ready(cpus);
    test_ping(cpus, "busy");
    test_broadcast(cpus);
    test_routing(cpus, "at start");
    migrate_point();
    test_routing(cpus, "after the migrate point");
    for (unsigned i = 1; i < cpus; i++) {
        before[i] = workers[i].spins;
    }
    test_ping(cpus, "busy, after the migrate point");
    for (unsigned i = 1; i < cpus; i++) {
        uint64_t start = tsc_read();

        while (workers[i].spins == before[i] && !is_over(start)) {
            cpu_relax();
        }
        report(workers[i].spins != before[i], "cpu %u still counts after the migrate point", i);
    }
    stop = true;
    wait_for_all(cpus);
}

static void test_clocks(unsigned cpus, const char *when)
{
    for (unsigned i = 1; i < cpus; i++) {
        uint64_t before = tsc_read();
        uint64_t after;

        smp_call(i, answer_tsc, &workers[i]);
        smp_wait(i);
        after = tsc_read();
        report(before <= workers[i].tsc && workers[i].tsc <= after,
               "cpu %u reads a time stamp between two of the boot processor's, %s", i, when);
    }
}

void payload_main(void)
{
    unsigned expected = (unsigned)boot_option("cpus", 1);
    unsigned cpus;

    boot_apic_id = apic_id();
    trap_set_handler(VECTOR_PING, on_ping);
    trap_set_handler(VECTOR_PONG, on_pong);
    trap_set_handler(VECTOR_NMI, on_nmi);
    trap_set_handler(VECTOR_SERIAL, on_serial);
    cpus = smp_start();
    report_equal(cpus, expected, "all processors come up");
    if (boot_flag("x2apic")) {
        start_on_all(cpus, enter_x2apic);
        wait_for_all(cpus);
        enter_x2apic(NULL);
    }
    test_identity(cpus);
    test_counting(cpus);
    test_clocks(cpus, "at start");
    start_on_all(cpus, sleep_until_ping);
    wait_until_ready(cpus);
    test_ping(cpus, "halted");
    wake_all(cpus);
    test_spinning(cpus);
    test_clocks(cpus, "after the migrate point");
}

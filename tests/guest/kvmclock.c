/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KVM's own clock: the page that it fills, the time computed from it, and that this time goes on,
 * never back, over the migrate point, with the page still being kept up.
 */
#include "tests/guest/lib/report.h"
#include "tests/guest/lib/start.h"
#include "tests/guest/lib/x86.h"

#define KVM_LEAF           0x40000000
#define KVM_FEATURES       0x40000001
#define KVM_SIGNATURE_EBX  0x4b4d564b /* "KVMK" */
#define FEATURE_CLOCK2     (1u << 3)
#define MSR_WALL_CLOCK     0x4b564d00
#define MSR_SYSTEM_TIME    0x4b564d01
#define SYSTEM_TIME_ENABLE 1
#define READS              2000
#define YEAR_2020          1577836800u

typedef struct ClockPage {
    volatile uint32_t version;
    uint32_t padding;
    volatile uint64_t tsc;
    volatile uint64_t nanoseconds;
    volatile uint32_t multiplier;
    volatile int8_t shift;
    volatile uint8_t flags;
    uint8_t reserved[2];
} ClockPage;

typedef struct WallClock {
    volatile uint32_t version;
    volatile uint32_t seconds;
    volatile uint32_t nanoseconds;
} WallClock;

static ClockPage page __attribute__((aligned(64)));
static WallClock wall __attribute__((aligned(64)));

static uint64_t nanoseconds_now(void)
{
    uint32_t version;
    uint64_t result;

    do {
        uint64_t delta;

        version = page.version & ~1u;
        memory_barrier();
        delta = tsc_read() - page.tsc;
        delta = page.shift >= 0 ? delta << page.shift : delta >> -page.shift;
        result = page.nanoseconds + (uint64_t)(((unsigned __int128)delta * page.multiplier) >> 32);
        memory_barrier();
    } while (version != page.version);
    return result;
}

static void test_forward(const char *when)
{
    uint64_t last = nanoseconds_now();
    bool is_forward = true;

    for (unsigned i = 0; i < READS; i++) {
        uint64_t now = nanoseconds_now();

        is_forward &= now >= last;
        last = now;
    }
    report(is_forward, "the clock goes forward, %s", when);
}

void payload_main(void)
{
    uint64_t before, after;

    if (cpuid(KVM_LEAF, 0).ebx != KVM_SIGNATURE_EBX ||
        !(cpuid(KVM_FEATURES, 0).eax & FEATURE_CLOCK2)) {
        report_skip("no kvm-clock in CPUID");
    }
    msr_write(MSR_WALL_CLOCK, (uint64_t)&wall);
    report(wall.version && !(wall.version & 1), "the wall clock is filled in");
    report(wall.seconds > YEAR_2020, "boot time is not in the past century: %u", wall.seconds);
    msr_write(MSR_SYSTEM_TIME, (uint64_t)&page | SYSTEM_TIME_ENABLE);
    report(page.version && !(page.version & 1) && page.multiplier, "the clock page is filled in");
    test_forward("at start");

    before = nanoseconds_now();
    migrate_point();
    after = nanoseconds_now();
    report(after > before, "the clock has not gone back: %lu ns after %lu ns", after, before);
    report_equal(msr_read(MSR_SYSTEM_TIME), (uint64_t)&page | SYSTEM_TIME_ENABLE,
                 "the clock page is still registered");
    test_forward("after the migrate point");
}

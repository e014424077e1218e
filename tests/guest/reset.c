/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine that is reset starts over in place: the payload is loaded afresh, devices and
 * processors are as after power-on, the disk keeps its bytes, and so does the clock chip.  One of
 * those two is the payload's memory across resets: it counts the boots.
 *
 * Command line: by=acpi, by=i8042 or by=triple (how), times=N (how often, 2 unless told), cpus=N,
 * diskless (count in the clock chip).
 */
#include "tests/guest/lib/acpi.h"
#include "tests/guest/lib/apic.h"
#include "tests/guest/lib/boot_info.h"
#include "tests/guest/lib/cmos.h"
#include "tests/guest/lib/ioapic.h"
#include "tests/guest/lib/report.h"
#include "tests/guest/lib/smp.h"
#include "tests/guest/lib/start.h"
#include "tests/guest/lib/string.h"
#include "tests/guest/lib/virtio_blk.h"
#include "tests/guest/lib/x86.h"

#define MAGIC          0x1f2e3d4c5b6a7988ull
#define COUNTER_SECTOR 8
#define PRISTINE       0x600dda7aul
#define DIRTY          0xbadda7aul
#define VECTOR_ANY     0x66
#define I8042_COMMAND  0x64
#define I8042_RESET    0xfe
#define DR7_AT_START   0x400
#define PATIENCE       20000000000ul

typedef struct Counter {
    uint64_t magic;
    uint64_t boots;
    uint8_t rest[BLK_SECTOR - 2 * sizeof(uint64_t)];
} Counter;

static Blk blk;
static Counter counter __attribute__((aligned(512)));
static volatile uint64_t in_data = PRISTINE;
static volatile uint64_t in_bss;

static void spin_forever(void *argument)
{
    (void)argument;
    interrupts_enable();
    for (;;) {
        cpu_relax();
    }
}

static void test_fresh(bool is_diskless)
{
    VirtioDevice device;
    unsigned cpus = (unsigned)boot_option("cpus", 1);
    unsigned unmasked = 0;

    report_equal(in_data, PRISTINE, ".data is as it was loaded");
    report_equal(in_bss, 0, ".bss is zero");
    report_equal(dr7_read(), DR7_AT_START, "DR7 is as after power-on");
    report_equal(cr8_read(), 0, "the task priority is zero");
    report_equal(apic_read(APIC_TIMER_INITIAL), 0, "the APIC timer stands");
    report(!apic_in_x2apic(), "the APIC is in xAPIC mode");
    report(msr_read(MSR_APIC_BASE) & APIC_BASE_BSP, "this is the boot processor");
    for (unsigned i = 0; i < ioapic_pins(); i++) {
        unmasked += !(ioapic_redirection(i) & IOAPIC_MASKED);
    }
    report_equal(unmasked, 0, "all IOAPIC pins are masked");
    if (!is_diskless) {
        report(virtio_find(&device, VIRTIO_ID_BLOCK, 0) && !virtio_status(&device),
               "the block device is reset");
    }
    report_equal(smp_start(), cpus, "all processors come up");
}

/* Leaves as much behind as it can for the reset to clear away. */
static void make_dirty(void)
{
    in_data = DIRTY;
    in_bss = DIRTY;
    dr0_write((uint64_t)&in_bss);
    dr7_write(0x00000401);
    cr8_write(7);
    apic_write(APIC_LVT_TIMER, APIC_LVT_MASKED | APIC_TIMER_PERIODIC | VECTOR_ANY);
    apic_write(APIC_TIMER_INITIAL, 1000000);
    ioapic_route(ioapic_pins() - 1, VECTOR_ANY, apic_id());
    for (unsigned i = 1; i < boot_option("cpus", 1); i++) {
        smp_call(i, spin_forever, NULL);
    }
    if (apic_has_x2apic()) {
        apic_enable_x2apic();
    }
}

/* False when it cannot; otherwise *boots is 1 at the first. */
static bool count_on_disk(uint64_t *boots)
{
    if (!report(blk_open(&blk, 0, 0), "there is a block device") ||
        blk_do(&blk, BLK_READ, COUNTER_SECTOR, &counter, sizeof(counter)) != BLK_OK) {
        return false;
    }
    if (counter.magic != MAGIC) {
        memset(&counter, 0, sizeof(counter));
        counter.magic = MAGIC;
    }
    *boots = ++counter.boots;
    return report(blk_do(&blk, BLK_WRITE, COUNTER_SECTOR, &counter, sizeof(counter)) == BLK_OK,
                  "the boot is counted");
}

/* The first byte says that the second is ours. */
static bool count_in_cmos(uint64_t *boots)
{
    uint8_t count = cmos_read(CMOS_COUNTER) == (uint8_t)MAGIC ? cmos_read(CMOS_COUNTER + 1) : 0;

    cmos_write(CMOS_COUNTER, (uint8_t)MAGIC);
    cmos_write(CMOS_COUNTER + 1, ++count);
    *boots = count;
    return report(cmos_read(CMOS_COUNTER + 1) == count, "the boot is counted");
}

static void triple_fault(void)
{
    TablePointer nothing = {0, 0};

    __asm__ volatile("lidt %0\n\tud2" : : "m"(nothing));
}

static void reset(void)
{
    const char *by = boot_word("by", 0);
    uint64_t start = tsc_read();

    print("RESET\n");
    if (string_starts_with(by, "acpi")) {
        if (!acpi_reset()) {
            report(false, "the FADT has a reset register");
            return;
        }
    } else if (string_starts_with(by, "i8042")) {
        port_write8(I8042_COMMAND, I8042_RESET);
    } else {
        triple_fault();
    }
    while (tsc_read() - start < PATIENCE) {
        cpu_relax();
    }
    report(false, "the machine resets");
}

void payload_main(void)
{
    uint64_t times = boot_option("times", 2);
    bool is_diskless = boot_flag("diskless");
    uint64_t boots;

    test_fresh(is_diskless);
    if (!(is_diskless ? count_in_cmos(&boots) : count_on_disk(&boots)) || report_failures()) {
        return;
    }
    print("BOOT %lu\n", boots);
    if (boots <= times) {
        make_dirty();
        reset();
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A block device keeps what is written to it: many requests in flight, in one and in two pieces,
 * by each kind of ring, flushed, read back and compared; mistakes are answered, not punished.
 * Requests that are in flight at the migrate point end behind it, each once.
 *
 * Command line: sectors=N (capacity), serial=TEXT, readonly (the device must refuse writes), packed
 * (the device must offer packed rings), queues=N (so many).  What is in use last stays in use over
 * the migrate point.
 */
#include "tests/guest/lib/apic.h"
#include "tests/guest/lib/boot_info.h"
#include "tests/guest/lib/ioapic.h"
#include "tests/guest/lib/report.h"
#include "tests/guest/lib/start.h"
#include "tests/guest/lib/string.h"
#include "tests/guest/lib/trap.h"
#include "tests/guest/lib/virtio_blk.h"
#include "tests/guest/lib/x86.h"

#define VECTOR_BLK      0x55
#define REQUESTS        12
#define REQUEST_BYTES   4096u
#define REQUEST_SECTORS (REQUEST_BYTES / BLK_SECTOR)
#define WORDS           (REQUEST_BYTES / sizeof(uint64_t))
#define TYPE_UNKNOWN    0x7777
#define FIRST_SECTOR    64
#define LAST_AREA       4096
#define VECTOR_OVERDUE  0x41
/* Of sixteen bus cycles: two seconds. */
#define OVERDUE_COUNT  125000000u
#define ONE_BY_ONE     200u
#define RING_ROUNDS    3
#define ZEROED_SECTORS 4

static Blk blk;
static volatile bool is_overdue;
static BlkRequest requests[REQUESTS];
static uint64_t buffers[REQUESTS][WORDS] __attribute__((aligned(4096)));

static uint64_t pattern(uint64_t sector, unsigned word, unsigned round)
{
    return (sector * WORDS + word + round * 0x1000003ul) * 0x9e3779b97f4a7c15;
}

static uint64_t sector_of(unsigned i)
{
    return FIRST_SECTOR + i * REQUEST_SECTORS;
}

static void fill(unsigned i, unsigned round)
{
    for (unsigned w = 0; w < WORDS; w++) {
        buffers[i][w] = pattern(sector_of(i), w, round);
    }
}

static bool is_filled(unsigned i, unsigned round)
{
    for (unsigned w = 0; w < WORDS; w++) {
        if (buffers[i][w] != pattern(sector_of(i), w, round)) {
            return false;
        }
    }
    return true;
}

static void submit_all(uint32_t type)
{
    /* Only the sum must be sectors; a disk that is opened for direct access has to cope. */
    static const uint32_t splits[] = {0, BLK_SECTOR, 100, REQUEST_BYTES - 1};

    for (unsigned i = 0; i < REQUESTS; i++) {
        requests[i] = (BlkRequest){
            .header = {.type = type, .sector = sector_of(i)},
            .data = buffers[i],
            .length = REQUEST_BYTES,
            .split = splits[i % ARRAY_LENGTH(splits)],
        };
        blk_submit(&blk, &requests[i]);
    }
    blk_kick(&blk);
}

static void report_all(uint32_t type, const char *when)
{
    bool is_right = blk_wait_all(&blk);

    for (unsigned i = 0; i < REQUESTS; i++) {
        uint32_t expected = type == BLK_READ ? REQUEST_BYTES + 1 : 1;

        is_right &= requests[i].is_done && requests[i].status == BLK_OK &&
                    requests[i].used_length == expected;
    }
    report(is_right, "%u %s in flight end well, %s", REQUESTS,
           type == BLK_READ ? "reads" : "writes", when);
}

/* What reads that were submitted give is what was written. */
static void report_read(unsigned round, const char *when)
{
    bool is_right = true;

    report_all(BLK_READ, when);
    for (unsigned i = 0; i < REQUESTS; i++) {
        is_right &= is_filled(i, round);
    }
    report(is_right, "what was written is read, %s", when);
}

static void submit_reads(void)
{
    memset(buffers, 0, sizeof(buffers));
    submit_all(BLK_READ);
}

static void read_back(unsigned round, const char *when)
{
    submit_reads();
    report_read(round, when);
}

/*
 * Nothing is taken from the ring before the interrupt: by event index, a driver that polls faster
 * than the device announces is rightly told nothing.
 */
static void read_back_by_interrupt(unsigned round, const char *when)
{
    unsigned before = virtio_interrupts();

    submit_reads();
    report(virtio_wait_interrupt(before), "reads are announced by an interrupt, %s", when);
    report_read(round, when);
}

static void write_and_read(unsigned round, const char *when)
{
    for (unsigned i = 0; i < REQUESTS; i++) {
        fill(i, round);
    }
    submit_all(BLK_WRITE);
    report_all(BLK_WRITE, when);
    if (blk.device.features & BLK_FEATURE_FLUSH) {
        report_equal(blk_do(&blk, BLK_FLUSH, 0, NULL, 0), BLK_OK, "flush");
    }
    read_back(round, when);
}

static void test_identity(void)
{
    const char *serial = boot_word("serial", 0);
    char id[BLK_ID_BYTES + 1] = {0};

    report_equal(blk_sectors(&blk), boot_option("sectors", 0), "the capacity is the image's");
    report_equal(blk_do(&blk, BLK_GET_ID, 0, id, BLK_ID_BYTES), BLK_OK, "the device tells its id");
    if (serial) {
        report(string_starts_with(serial, id) && id[0], "the id is the serial that was given: %s",
               id);
    }
}

static void test_mistakes(void)
{
    uint64_t sectors = blk_sectors(&blk);

    report_equal(blk_do(&blk, BLK_READ, sectors, buffers[0], BLK_SECTOR), BLK_IO_ERROR,
                 "a read behind the end is an error");
    report_equal(blk_do(&blk, BLK_READ, sectors - 1, buffers[0], 2 * BLK_SECTOR), BLK_IO_ERROR,
                 "a read across the end is an error");
    report_equal(blk_do(&blk, BLK_READ, ~0ul / BLK_SECTOR, buffers[0], BLK_SECTOR), BLK_IO_ERROR,
                 "a read at the end of all numbers is an error");
    report_equal(blk_do(&blk, TYPE_UNKNOWN, 0, NULL, 0), BLK_UNSUPPORTED,
                 "an unknown request is unsupported");
    report_equal(blk_do(&blk, BLK_READ, sectors - 1, buffers[0], BLK_SECTOR), BLK_OK,
                 "the last sector can be read, and the device still works");
}

static void test_zeroes(uint32_t type, uint64_t feature, const char *what)
{
    BlkRange range = {.sector = sector_of(1), .count = ZEROED_SECTORS};
    bool is_zero = true;

    if (!(blk.device.features & feature)) {
        report_note("%s is not offered", what);
        return;
    }
    report(blk_do(&blk, type, 0, &range, sizeof(range)) == BLK_OK, "%s ends well", what);
    report(blk_do(&blk, BLK_READ, sector_of(1), buffers[1], REQUEST_BYTES) == BLK_OK,
           "reading after %s", what);
    for (unsigned w = 0; w < ZEROED_SECTORS * BLK_SECTOR / sizeof(uint64_t); w++) {
        is_zero &= buffers[1][w] == 0;
    }
    if (type == BLK_WRITE_ZEROES) {
        report(is_zero, "%s leaves zeroes", what);
    }
    report(buffers[1][WORDS - 1] == pattern(sector_of(1), WORDS - 1, 2),
           "%s leaves the neighbours alone", what);
}

static void test_readonly(void)
{
    report(blk.device.offered & BLK_FEATURE_READ_ONLY, "a read-only device says so");
    report_equal(blk_do(&blk, BLK_WRITE, 0, buffers[0], BLK_SECTOR), BLK_IO_ERROR,
                 "a read-only device refuses a write");
    report_equal(blk_do(&blk, BLK_READ, 0, buffers[0], BLK_SECTOR), BLK_OK,
                 "a read-only device can be read");
}

static bool open_device(uint64_t more_features)
{
    return blk_open(&blk, 0,
                    BLK_FEATURE_READ_ONLY | BLK_FEATURE_FLUSH | BLK_FEATURE_DISCARD |
                        BLK_FEATURE_WRITE_ZEROES | more_features);
}

static void on_overdue(TrapFrame *frame)
{
    (void)frame;
    is_overdue = true;
    apic_end_of_interrupt();
}

/*
 * The rig's emulated host forgets on the way into a guest that STI holds interrupts back for one more
 * instruction, so one can be taken before HLT, which then sleeps on.  That it was taken shows in the
 * interrupt status, which nobody but its handler clears.
 */
static bool slept_needlessly(void)
{
    return boot_flag("emulated-host") &&
           !mmio_read32(blk.device.base + VIRTIO_MMIO_INTERRUPT_STATUS);
}

/* Says who slept: the device, or the road of its interrupt. */
static void report_overdue(unsigned i, bool is_done, const char *when)
{
    const VirtQueue *q = &blk.queues[blk.queue];

    report(false, "request %u %s, %s", i,
           is_done ? "ended, but nobody was interrupted" : "never ended", when);
    report_note("status %x, interrupt status %x, irq pending %u, redirection 0x%lx",
                virtio_status(&blk.device),
                mmio_read32(blk.device.base + VIRTIO_MMIO_INTERRUPT_STATUS),
                apic_vector_bit(APIC_IRR, VECTOR_BLK), ioapic_redirection(blk.device.irq));
    report_note("available %u, device's event %u, used %u, driver's event %u", q->available.index,
                q->used.available_event, q->used.index, q->available.used_event);
}

/*
 * One after the other, asleep in between: many enough that the monitor has long changed to whatever
 * faster way it has for kicks and interrupts.
 */
static void test_one_by_one(const char *when)
{
    unsigned good = 0;

    trap_set_handler(VECTOR_OVERDUE, on_overdue);
    apic_write(APIC_TIMER_DIVIDE, APIC_TIMER_DIVIDE_16);
    apic_write(APIC_LVT_TIMER, APIC_TIMER_ONE_SHOT | VECTOR_OVERDUE);
    is_overdue = false;
    for (unsigned i = 0; i < ONE_BY_ONE && !is_overdue; i++) {
        bool is_done;

        requests[0] = (BlkRequest){
            .header = {.type = BLK_READ, .sector = FIRST_SECTOR + i % REQUEST_SECTORS},
            .data = buffers[0],
            .length = BLK_SECTOR,
        };
        apic_write(APIC_TIMER_INITIAL, OVERDUE_COUNT);
        blk_submit(&blk, &requests[0]);
        blk_kick(&blk);
        is_done = blk_sleep(&blk, &is_overdue);
        good += is_done && requests[0].status == BLK_OK;
        if (is_overdue && is_done && slept_needlessly()) {
            report_note("request %u was announced between STI and HLT", i);
            is_overdue = false;
        } else if (is_overdue) {
            report_overdue(i, is_done, when);
        }
    }
    apic_write(APIC_LVT_TIMER, APIC_LVT_MASKED);
    apic_write(APIC_TIMER_INITIAL, 0);
    report(good == ONE_BY_ONE, "%u of %u single reads end with an interrupt, %s", good, ONE_BY_ONE,
           when);
}

/* Enough rounds for each ring to wrap around more than once. */
static void test_ring(uint64_t features, const char *what)
{
    report(open_device(features), "the device starts with %s", what);
    report((blk.device.features & features) == features, "%s is offered", what);
    for (unsigned i = 0; i < RING_ROUNDS; i++) {
        write_and_read(2, what);
    }
    test_one_by_one(what);
}

static void test_more_rings(void)
{
    test_ring(VIRTIO_FEATURE_EVENT_INDEX, "event index");
    if (!boot_flag("packed")) {
        return;
    }
    test_ring(VIRTIO_FEATURE_PACKED, "packed ring");
    test_ring(VIRTIO_FEATURE_PACKED | VIRTIO_FEATURE_EVENT_INDEX, "packed ring, event index");
    test_ring(VIRTIO_FEATURE_PACKED | VIRTIO_FEATURE_INDIRECT, "packed ring, indirect");
}

static void test_queues(unsigned queues)
{
    report(open_device(BLK_FEATURE_QUEUES), "the device starts with all its queues");
    if (!report_equal(blk.queue_count, queues, "as many as it was given")) {
        return;
    }
    for (unsigned i = 0; i < queues; i++) {
        blk_use_queue(&blk, queues - 1 - i);
        write_and_read(2, "on each queue");
        test_one_by_one("on each queue");
    }
}

static void test_migration(void)
{
    for (unsigned i = 0; i < REQUESTS; i++) {
        fill(i, 3);
    }
    submit_all(BLK_WRITE);
    migrate_point();
    report_all(BLK_WRITE, "over the migrate point");
    read_back_by_interrupt(3, "after the migrate point");
    test_one_by_one("after the migrate point");
}

void payload_main(void)
{
    if (!report(open_device(0), "there is a block device")) {
        return;
    }
    virtio_count_interrupts(&blk.device, VECTOR_BLK);
    test_identity();
    if (boot_flag("readonly")) {
        test_readonly();
        return;
    }
    write_and_read(1, "direct descriptors");
    read_back_by_interrupt(1, "direct descriptors");
    test_mistakes();
    report(open_device(VIRTIO_FEATURE_INDIRECT), "the device can be reset and started again");
    report(blk.device.features & VIRTIO_FEATURE_INDIRECT, "indirect descriptors are offered");
    write_and_read(2, "indirect descriptors");
    test_more_rings();
    if (boot_option("queues", 0)) {
        test_queues((unsigned)boot_option("queues", 0));
    }
    test_zeroes(BLK_WRITE_ZEROES, BLK_FEATURE_WRITE_ZEROES, "write zeroes");
    test_zeroes(BLK_DISCARD, BLK_FEATURE_DISCARD, "discard");
    test_migration();
    report(!(virtio_status(&blk.device) & VIRTIO_STATUS_NEEDS_RESET), "the device is content");
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * As many virtio devices as were asked for, each with registers and an interrupt of its own: every
 * random number device is started, asked, and must be heard on its own line and on no other.
 *
 * Command line: devices=N
 */
#include "tests/guest/lib/apic.h"
#include "tests/guest/lib/boot_info.h"
#include "tests/guest/lib/ioapic.h"
#include "tests/guest/lib/report.h"
#include "tests/guest/lib/start.h"
#include "tests/guest/lib/trap.h"
#include "tests/guest/lib/virtio.h"
#include "tests/guest/lib/x86.h"

#define DEVICES_MAX  64
#define VECTOR_FIRST 0x40
#define BYTES        16u
#define PATIENCE     20000000000ul

static VirtioDevice devices[DEVICES_MAX];
static VirtQueue queues[DEVICES_MAX];
static uint8_t bytes[DEVICES_MAX][BYTES];
static volatile unsigned interrupts[DEVICES_MAX];

static void on_interrupt(TrapFrame *frame)
{
    unsigned n = (unsigned)frame->vector - VECTOR_FIRST;

    mmio_write32(devices[n].base + VIRTIO_MMIO_INTERRUPT_ACK,
                 mmio_read32(devices[n].base + VIRTIO_MMIO_INTERRUPT_STATUS));
    interrupts[n]++;
    apic_end_of_interrupt();
}

static bool start_device(unsigned n)
{
    VirtioDevice *d = &devices[n];

    if (!virtio_start(d, 0) || !virtqueue_init(&queues[n], d, 0)) {
        return false;
    }
    trap_set_handler(VECTOR_FIRST + n, on_interrupt);
    ioapic_route(d->irq, (VECTOR_FIRST + n) | IOAPIC_EDGE, apic_id());
    virtio_driver_ok(d);
    return true;
}

static bool is_alone(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (devices[i].base == devices[n].base || devices[i].irq == devices[n].irq) {
            return false;
        }
    }
    return true;
}

/* True if exactly this device was heard, once or more. */
static bool ask_device(unsigned n, unsigned count)
{
    VirtBuffer buffer = {bytes[n], BYTES, true};
    uint64_t start = tsc_read();
    uint32_t length;
    uint16_t head;
    bool is_quiet = true;

    for (unsigned i = 0; i < count; i++) {
        interrupts[i] = 0;
    }
    virtqueue_add(&queues[n], &buffer, 1);
    virtqueue_kick(&queues[n]);
    if (!virtqueue_wait(&queues[n], &head, &length) || !length) {
        return false;
    }
    interrupts_enable();
    while (!interrupts[n] && tsc_read() - start < PATIENCE) {
        cpu_relax();
    }
    interrupts_disable();
    for (unsigned i = 0; i < count; i++) {
        is_quiet &= i == n || !interrupts[i];
    }
    return interrupts[n] && is_quiet;
}

static void ask_all(unsigned count, const char *when)
{
    for (unsigned n = 0; n < count; n++) {
        report(ask_device(n, count), "device %u at 0x%lx answers on interrupt %u, %s", n,
               devices[n].base, devices[n].irq, when);
    }
}

void payload_main(void)
{
    unsigned expected = (unsigned)boot_option("devices", 1);
    unsigned count = 0;

    while (count < DEVICES_MAX && virtio_find(&devices[count], VIRTIO_ID_RNG, count)) {
        report(is_alone(count), "device %u shares neither registers nor interrupt", count);
        count++;
    }
    if (!report_equal(count, expected, "all devices are there")) {
        return;
    }
    for (unsigned n = 0; n < count; n++) {
        if (!report(start_device(n), "device %u starts", n)) {
            return;
        }
    }
    ask_all(count, "at start");
    migrate_point();
    ask_all(count, "after the migrate point");
}

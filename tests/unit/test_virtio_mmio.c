/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/mmio.h"

#include "devices/virtio/transport.h"
#include "migration/vmstate.h"
#include "tests/support/virtio_probe.h"
#include "tests/unit/suite.h"
#include "util/bytes.h"

#include <string.h>

#define BASE      0xf0100000
#define RAM_BYTES MIB

enum {
    MAGIC = 0x00,
    VERSION = 0x04,
    DEVICE_ID = 0x08,
    FEATURES = 0x10,
    FEATURES_SELECT = 0x14,
    DRIVER_FEATURES = 0x20,
    DRIVER_FEATURES_SELECT = 0x24,
    QUEUE_SELECT = 0x30,
    QUEUE_MAX = 0x34,
    QUEUE_SIZE = 0x38,
    QUEUE_READY = 0x44,
    QUEUE_NOTIFY = 0x50,
    INTERRUPT_STATUS = 0x60,
    INTERRUPT_ACK = 0x64,
    STATUS = 0x70,
    QUEUE_DESC = 0x80,
    QUEUE_DRIVER = 0x90,
    QUEUE_DEVICE = 0xa0,
    SHM_SELECT = 0xac,
    SHM_LEN = 0xb0,
    QUEUE_RESET = 0xc0,
    GENERATION = 0xfc,
    CONFIG = 0x100,
};

#define INTERRUPTS 2000

typedef struct Bench {
    GuestMemory *mem;
    Bus *bus;
    VirtioProbe *probe;
    Device *mmio;
    unsigned edges;
    bool high;
} Bench;

static void bench_irq(void *opaque, unsigned pin, bool high)
{
    Bench *b = opaque;

    ck_assert_uint_eq(pin, 17);
    b->edges += high && !b->high ? 1 : 0;
    b->high = high;
}

static void bench_free(Bench *b)
{
    device_free(b->mmio);
    device_free(b->probe ? &b->probe->base.base : NULL);
    bus_free(b->bus);
    guest_mem_free(b->mem);
    g_free(b);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Bench, bench_free)

static Bench *bench_new(bool with_device)
{
    Bench *b = g_new0(Bench, 1);
    const IrqLine irq = {.set = bench_irq, .opaque = b, .pin = 17};
    g_autoptr(GError) error = NULL;

    b->mem = guest_mem_new(NULL);
    b->bus = bus_new("mmio");
    ck_assert(guest_mem_add_plain(b->mem, RAM_BYTES, &error));
    if (with_device) {
        b->probe = virtio_probe_new(b->mem, NULL, NULL);
        ck_assert(device_realize(&b->probe->base.base, &error));
    }
    b->mmio = virtio_mmio_new("slot0", with_device ? &b->probe->base : NULL, &irq);
    ck_assert(device_realize(b->mmio, &error));
    ck_assert(bus_map(b->bus,
                      &(BusWindow){.base = BASE,
                                   .size = VIRTIO_MMIO_BYTES,
                                   .owner = b->mmio->id,
                                   .ops = &virtio_mmio_bus_ops,
                                   .opaque = b->mmio},
                      &error));
    return b;
}

static uint64_t get(Bench *b, uint64_t offset, unsigned size)
{
    uint64_t value;

    ck_assert(bus_read(b->bus, BASE + offset, size, &value));
    return value;
}

static uint32_t in(Bench *b, uint64_t offset)
{
    return (uint32_t)get(b, offset, 4);
}

static void out(Bench *b, uint64_t offset, uint32_t value)
{
    ck_assert(bus_write(b->bus, BASE + offset, 4, value));
}

/* What a driver does, by the register; the rings are at fixed places. */
static void start(Bench *b)
{
    out(b, STATUS, 0);
    out(b, STATUS, VIRTIO_STATUS_ACKNOWLEDGE);
    out(b, STATUS, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
    out(b, DRIVER_FEATURES_SELECT, 1);
    out(b, DRIVER_FEATURES, 1 | 1 << 8); /* VERSION_1, RING_RESET */
    out(b, DRIVER_FEATURES_SELECT, 0);
    out(b, DRIVER_FEATURES, 0);
    out(b, STATUS, 11);
    ck_assert_uint_eq(in(b, STATUS), 11);
    out(b, QUEUE_SELECT, 0);
    out(b, QUEUE_SIZE, 8);
    out(b, QUEUE_DESC, 0x1000);
    out(b, QUEUE_DESC + 4, 0);
    out(b, QUEUE_DRIVER, 0x2000);
    out(b, QUEUE_DRIVER + 4, 0);
    out(b, QUEUE_DEVICE, 0x3000);
    out(b, QUEUE_DEVICE + 4, 0);
    memset(guest_mem_ptr(b->mem, GPA(0x1000), 0x3000, GUEST_WRITE, NULL), 0, 0x3000);
    out(b, QUEUE_READY, 1);
    ck_assert_uint_eq(in(b, QUEUE_READY), 1);
    out(b, STATUS, 15);
}

static void offer(Bench *b, uint16_t index)
{
    uint8_t *desc = guest_mem_ptr(b->mem, GPA(0x1000), 16, GUEST_WRITE, NULL);

    store_le64(desc, 0x4000);
    store_le32(desc + 8, 4);
    store_le16(desc + 12, 2);
    store_le16(guest_mem_ptr(b->mem, GPA(0x2002), 2, GUEST_WRITE, NULL), index);
}

static uint16_t given_back(Bench *b)
{
    return load_le16(guest_mem_ptr(b->mem, GPA(0x3002), 2, GUEST_READ, NULL));
}

START_TEST(a_driver_finds_and_runs_the_device)
{
    g_autoptr(Bench) b = bench_new(true);

    ck_assert_uint_eq(in(b, MAGIC), 0x74726976);
    ck_assert_uint_eq(in(b, VERSION), 2);
    ck_assert_uint_eq(in(b, DEVICE_ID), 42);
    out(b, FEATURES_SELECT, 1);
    ck_assert_uint_eq(in(b, FEATURES) & 1, 1);
    ck_assert_uint_eq(in(b, QUEUE_MAX), PROBE_QUEUE_SIZE);
    out(b, QUEUE_SELECT, 99);
    ck_assert_uint_eq(in(b, QUEUE_MAX), 0);
    start(b);
    offer(b, 1);
    out(b, QUEUE_NOTIFY, 0);
    ck_assert_uint_eq(given_back(b), 1);
    ck_assert_uint_eq(b->edges, 1);
    ck_assert_uint_eq(in(b, INTERRUPT_STATUS), VIRTIO_INTERRUPT_QUEUE);
    out(b, INTERRUPT_ACK, VIRTIO_INTERRUPT_QUEUE);
    ck_assert_uint_eq(in(b, INTERRUPT_STATUS), 0);
}
END_TEST

START_TEST(writing_an_address_replaces_the_old_one)
{
    g_autoptr(Bench) b = bench_new(true);

    out(b, QUEUE_DESC, 0xffffffff);
    out(b, QUEUE_DESC + 4, 0xffffffff);
    out(b, QUEUE_DRIVER + 4, 0xffffffff);
    out(b, QUEUE_DEVICE, 0xffffffff);
    start(b); /* a second driver; its queue becomes ready only with its own addresses */
}
END_TEST

START_TEST(writing_status_zero_resets_all_of_it)
{
    g_autoptr(Bench) b = bench_new(true);

    start(b);
    offer(b, 1);
    out(b, QUEUE_NOTIFY, 0);
    ck_assert_uint_eq(in(b, INTERRUPT_STATUS), 1);
    out(b, STATUS, 0);
    ck_assert_uint_eq(in(b, STATUS), 0);
    ck_assert_uint_eq(in(b, INTERRUPT_STATUS), 0);
    ck_assert_uint_eq(in(b, QUEUE_READY), 0);
    start(b);
    offer(b, 1);
    out(b, QUEUE_NOTIFY, 0);
    ck_assert_uint_eq(given_back(b), 1);
}
END_TEST

START_TEST(a_mistake_of_the_driver_shows_in_status_and_interrupts)
{
    g_autoptr(Bench) b = bench_new(true);

    start(b);
    offer(b, 200);
    out(b, QUEUE_NOTIFY, 0);
    ck_assert_uint_eq(in(b, STATUS), 15 | VIRTIO_STATUS_NEEDS_RESET);
    ck_assert_uint_eq(in(b, INTERRUPT_STATUS), VIRTIO_INTERRUPT_CONFIG);
    ck_assert_uint_eq(b->edges, 1);
}
END_TEST

START_TEST(a_queue_reset_is_over_when_the_write_returns)
{
    g_autoptr(Bench) b = bench_new(true);

    start(b);
    out(b, QUEUE_RESET, 1);
    ck_assert_uint_eq(in(b, QUEUE_RESET), 0);
    ck_assert_uint_eq(in(b, QUEUE_READY), 0);
}
END_TEST

START_TEST(there_is_no_shared_memory)
{
    g_autoptr(Bench) b = bench_new(true);

    for (unsigned id = 0; id < 3; id++) {
        out(b, SHM_SELECT, id);
        for (unsigned offset = 0; offset < 16; offset += 4) {
            ck_assert_uint_eq(in(b, SHM_LEN + offset), UINT32_MAX);
        }
    }
}
END_TEST

START_TEST(configuration_takes_every_width)
{
    g_autoptr(Bench) b = bench_new(true);

    memcpy(b->probe->config, "\1\2\3\4\5\6\7\10", 8);
    ck_assert(get(b, CONFIG, 8) == UINT64_C(0x0807060504030201));
    ck_assert(get(b, CONFIG + 4, 4) == 0x08070605);
    ck_assert(get(b, CONFIG + 6, 2) == 0x0807);
    ck_assert(get(b, CONFIG + 7, 1) == 8);
    ck_assert(get(b, CONFIG + 8, 4) == UINT32_MAX);
    ck_assert(bus_write(b->bus, BASE + CONFIG + 2, 1, 0xee));
    ck_assert_uint_eq(b->probe->config[2], 0xee);
    virtio_config_begin(&b->probe->base);
    virtio_config_end(&b->probe->base);
    ck_assert_uint_eq(in(b, GENERATION), 1);
}
END_TEST

START_TEST(registers_answer_only_to_four_bytes_at_their_place)
{
    g_autoptr(Bench) b = bench_new(true);

    ck_assert(get(b, MAGIC, 1) == 0);
    ck_assert(get(b, MAGIC, 2) == 0);
    ck_assert(get(b, MAGIC, 8) == 0);
    ck_assert(get(b, MAGIC + 2, 4) == 0);
    ck_assert(bus_write(b->bus, BASE + STATUS, 1, 1));
    ck_assert(bus_write(b->bus, BASE + STATUS, 8, 1));
    ck_assert_uint_eq(in(b, STATUS), 0);
}
END_TEST

START_TEST(every_offset_and_width_is_harmless)
{
    g_autoptr(Bench) b = bench_new(_i);

    if (_i) {
        start(b);
    }
    for (unsigned size = 1; size <= 8; size *= 2) {
        for (uint64_t offset = 0; offset + size <= VIRTIO_MMIO_BYTES; offset++) {
            ck_assert(bus_write(b->bus, BASE + offset, size, UINT64_MAX));
            get(b, offset, size);
        }
    }
}
END_TEST

START_TEST(an_empty_slot_has_device_id_zero)
{
    g_autoptr(Bench) b = bench_new(false);

    ck_assert_uint_eq(in(b, MAGIC), 0x74726976);
    ck_assert_uint_eq(in(b, DEVICE_ID), 0);
    out(b, STATUS, 1);
    ck_assert_uint_eq(in(b, STATUS), 0);
}
END_TEST

static gpointer interrupt_often(gpointer opaque)
{
    Bench *b = opaque;
    const VirtioTransport *to = &b->probe->base.transport;

    for (unsigned i = 0; i < INTERRUPTS; i++) {
        to->interrupt(to->opaque, VIRTIO_INTERRUPT_QUEUE, 0);
    }
    return NULL;
}

/* Two queues that are served by two threads: neither edge may drown in the other. */
START_TEST(interrupts_of_two_threads_are_an_edge_each)
{
    g_autoptr(Bench) b = bench_new(true);
    GThread *other = g_thread_new("other queue", interrupt_often, b);

    interrupt_often(b);
    g_thread_join(other);
    ck_assert_uint_eq(b->edges, 2 * INTERRUPTS);
    ck_assert(!b->high);
}
END_TEST

START_TEST(a_restored_transport_raises_its_interrupt_again)
{
    g_autoptr(Bench) b = bench_new(true);
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    g_autoptr(GError) error = NULL;
    const VmStateDesc *desc = b->mmio->ops->vmstate;

    start(b);
    offer(b, 1);
    out(b, QUEUE_NOTIFY, 0);
    ck_assert(vmstate_save(desc, b->mmio, bytes, &error));

    g_autoptr(Bench) other = bench_new(true);

    ck_assert(vmstate_load(desc, other->mmio, bytes->data, bytes->len, &error));
    ck_assert_uint_eq(other->edges, 0);
    device_resume(other->mmio);
    ck_assert_uint_eq(other->edges, 1);
    ck_assert_uint_eq(in(other, INTERRUPT_STATUS), VIRTIO_INTERRUPT_QUEUE);
    device_reset(other->mmio);
    device_resume(other->mmio);
    ck_assert_uint_eq(other->edges, 1);
    ck_assert(vmstate_check(desc, &error));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("virtio_mmio");

    tcase_add_test(tc, a_driver_finds_and_runs_the_device);
    tcase_add_test(tc, writing_an_address_replaces_the_old_one);
    tcase_add_test(tc, writing_status_zero_resets_all_of_it);
    tcase_add_test(tc, a_mistake_of_the_driver_shows_in_status_and_interrupts);
    tcase_add_test(tc, a_queue_reset_is_over_when_the_write_returns);
    tcase_add_test(tc, there_is_no_shared_memory);
    tcase_add_test(tc, configuration_takes_every_width);
    tcase_add_test(tc, registers_answer_only_to_four_bytes_at_their_place);
    tcase_add_loop_test(tc, every_offset_and_width_is_harmless, 0, 2);
    tcase_add_test(tc, an_empty_slot_has_device_id_zero);
    tcase_add_test(tc, a_restored_transport_raises_its_interrupt_again);
    tcase_add_test(tc, interrupts_of_two_threads_are_an_edge_each);
    return suite_run("virtio_mmio", tc);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/virtio.h"

#include "migration/vmstate.h"
#include "tests/support/virtio_driver.h"
#include "tests/support/virtio_probe.h"
#include "tests/unit/suite.h"
#include "util/bytes.h"
#include "util/loop.h"

#include <stdatomic.h>
#include <string.h>

#define RAM_BYTES  MIB
#define HEAP       0x4000
#define QUEUE_SIZE 8
#define OK_STATUS  (VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER | VIRTIO_STATUS_FEATURES_OK)

typedef struct Bench {
    GuestMemory *mem;
    VirtioProbe *probe;
    VirtDriver *driver;
    Loop *loop; /* what the host hands out; NULL: none */
    unsigned loops_asked;
    /* any vCPU asks */
    atomic_uint ioeventfds;
    atomic_uint ioeventfd_queue;
    VirtioHost host;
} Bench;

static Loop *bench_serving_loop(void *opaque, VirtioDevice *dev)
{
    Bench *b = opaque;

    (void)dev;
    b->loops_asked++;
    return b->loop;
}

static void bench_request_ioeventfd(void *opaque, VirtioDevice *dev, unsigned queue, int fd)
{
    Bench *b = opaque;

    ck_assert_int_eq(fd, dev->queue[queue].kick_fd);
    b->ioeventfd_queue = queue;
    b->ioeventfds++;
}

static void bench_free(Bench *b)
{
    device_free(&b->probe->base.base);
    virt_driver_free(b->driver);
    loop_free(b->loop);
    guest_mem_free(b->mem);
    g_free(b);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Bench, bench_free)

static Bench *bench_new(bool threaded)
{
    Bench *b = g_new0(Bench, 1);
    g_autoptr(GError) error = NULL;

    b->mem = guest_mem_new(NULL);
    ck_assert(guest_mem_add_plain(b->mem, RAM_BYTES, &error));
    b->host.opaque = b;
    b->host.request_ioeventfd = bench_request_ioeventfd;
    if (threaded) {
        b->loop = loop_new_thread("io", &error);
        ck_assert_ptr_nonnull(b->loop);
        b->host.serving_loop = bench_serving_loop;
    }
    b->probe = virtio_probe_new(b->mem, &b->host, NULL);
    ck_assert(device_realize(&b->probe->base.base, &error));
    b->driver = virt_driver_new(&b->probe->base, b->mem, HEAP);
    return b;
}

static void noop(void *opaque)
{
    (void)opaque;
}

/* What the serving thread wrote before is seen after. */
static void settle(Bench *b)
{
    if (b->loop) {
        loop_call(b->loop, noop, NULL);
    }
}

typedef struct HeldCount {
    const Bench *bench;
    guint count;
} HeldCount;

static void count_held(void *opaque)
{
    HeldCount *held = opaque;

    held->count = held->bench->probe->held->len;
}

/* The serving thread has taken a request that the probe holds; without a thread it has at once. */
static void wait_for_held(Bench *b)
{
    HeldCount held = {.bench = b};

    while (b->loop && held.count == 0) {
        loop_call(b->loop, count_held, &held);
    }
}

/* The serving thread answers when it gets to it; the test case's time limit bounds the wait. */
static void take_one(Bench *b, unsigned queue)
{
    uint32_t id;
    uint32_t len;

    while (!virt_driver_take(b->driver, queue, &id, &len)) {
        g_thread_yield();
    }
}

static void offer(Bench *b, unsigned queue)
{
    const VirtBuffer chain = {0x100, 16, true};

    ck_assert_int_ge(virt_driver_add(b->driver, queue, &chain, 1), 0);
}

/* --- negotiation --- */

START_TEST(features_are_offered_in_two_halves)
{
    g_autoptr(Bench) b = bench_new(false);
    const VirtioDevice *dev = &b->probe->base;

    ck_assert_uint_eq(virtio_get_host_features(dev, 0), (1U << 3) | (1U << 4) | (3U << 28));
    ck_assert_uint_eq(virtio_get_host_features(dev, 1), 1 | (1 << 2) | (1 << 8));
    ck_assert_uint_eq(virtio_get_host_features(dev, 2), 0);
    ck_assert_uint_eq(virtio_get_host_features(dev, UINT32_MAX), 0);
}
END_TEST

START_TEST(features_that_do_not_fit_are_refused)
{
    g_autoptr(Bench) b = bench_new(false);
    VirtioDevice *dev = &b->probe->base;

    ck_assert(virt_driver_negotiate(b->driver, PROBE_FEATURE));
    ck_assert(!virt_driver_negotiate(b->driver, VIRTIO_BIT(5)));
    ck_assert(!virt_driver_negotiate(b->driver, PROBE_REFUSED));
    ck_assert(!virt_driver_negotiate(b->driver, VIRTIO_BIT(33)));

    virtio_set_status(dev, 0);
    virtio_set_driver_features(dev, 0, (uint32_t)PROBE_FEATURE); /* without VERSION_1 */
    virtio_set_status(dev, OK_STATUS);
    ck_assert_uint_eq(virtio_get_status(dev), VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);

    virtio_set_driver_features(dev, 1, 1);
    virtio_set_driver_features(dev, 2, 1); /* bits that do not exist */
    virtio_set_status(dev, OK_STATUS);
    ck_assert_uint_eq(virtio_get_status(dev), VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
}
END_TEST

START_TEST(features_stand_once_they_are_agreed)
{
    g_autoptr(Bench) b = bench_new(false);
    VirtioDevice *dev = &b->probe->base;

    ck_assert(virt_driver_negotiate(b->driver, PROBE_FEATURE));
    virtio_set_driver_features(dev, 0, 0);
    ck_assert(virtio_has_feature(dev, PROBE_FEATURE));
    virtio_set_status(dev, 0);
    ck_assert(!virtio_has_feature(dev, PROBE_FEATURE));
}
END_TEST

START_TEST(status_bits_stay_until_a_reset)
{
    g_autoptr(Bench) b = bench_new(false);
    VirtioDevice *dev = &b->probe->base;

    ck_assert(virt_driver_start(b->driver, 0, QUEUE_SIZE));
    virtio_set_status(dev, VIRTIO_STATUS_ACKNOWLEDGE);
    ck_assert_uint_eq(virtio_get_status(dev), OK_STATUS | VIRTIO_STATUS_DRIVER_OK);
    virtio_set_status(dev, 0xff); /* NEEDS_RESET is the device's to set */
    ck_assert_uint_eq(virtio_get_status(dev),
                      OK_STATUS | VIRTIO_STATUS_DRIVER_OK | VIRTIO_STATUS_FAILED);
    ck_assert_uint_eq(b->probe->activations, 1);
    virtio_set_status(dev, 0);
    ck_assert_uint_eq(virtio_get_status(dev), 0);
    ck_assert_uint_eq(b->probe->deactivations, 1);
    ck_assert(!virtio_get_queue_ready(dev, 0));
}
END_TEST

START_TEST(a_driver_that_skips_steps_breaks_the_device)
{
    g_autoptr(Bench) b = bench_new(false);
    VirtioDevice *dev = &b->probe->base;

    virtio_set_status(dev, VIRTIO_STATUS_DRIVER_OK);
    ck_assert_uint_eq(virtio_get_status(dev), VIRTIO_STATUS_NEEDS_RESET);
    ck_assert_str_eq(dev->last_error, "the driver starts without FEATURES_OK");
    ck_assert_uint_eq(b->probe->activations, 0);

    virtio_set_status(dev, 0);
    virtio_set_queue_ready(dev, 0, true);
    ck_assert_str_eq(dev->last_error, "queue 0: enabled before FEATURES_OK");
    virtio_set_status(dev, 0);
    ck_assert_uint_eq(virtio_get_status(dev), 0);
}
END_TEST

START_TEST(queue_registers_are_replaced_and_then_frozen)
{
    g_autoptr(Bench) b = bench_new(false);
    VirtioDevice *dev = &b->probe->base;
    VirtQueue *q = &dev->queue[0];

    ck_assert(virt_driver_negotiate(b->driver, 0));
    virtio_set_queue_address(dev, 0, VIRTQ_AREA_DESC, 0, 0xffffffff);
    virtio_set_queue_address(dev, 0, VIRTQ_AREA_DESC, 1, 0x12);
    virtio_set_queue_address(dev, 0, VIRTQ_AREA_DESC, 0, 0x1000);
    ck_assert(q->desc_address == UINT64_C(0x1200001000));
    virt_driver_set_up_queue(b->driver, 0, QUEUE_SIZE);

    uint64_t desc = q->desc_address;

    virtio_set_queue_address(dev, 0, VIRTQ_AREA_DESC, 0, 0);
    virtio_set_queue_size(dev, 0, 4);
    ck_assert(q->desc_address == desc);
    ck_assert_uint_eq(q->size, QUEUE_SIZE);
    ck_assert_uint_eq(virtio_get_queue_max(dev, 0), PROBE_QUEUE_SIZE);
}
END_TEST

START_TEST(queues_that_do_not_exist_are_harmless)
{
    g_autoptr(Bench) b = bench_new(false);
    VirtioDevice *dev = &b->probe->base;

    for (uint32_t index = PROBE_QUEUES; index != 1;
         index = index == PROBE_QUEUES ? UINT32_MAX : 1) {
        ck_assert_uint_eq(virtio_get_queue_max(dev, index), 0);
        virtio_set_queue_size(dev, index, 8);
        virtio_set_queue_address(dev, index, VIRTQ_AREA_DRIVER, 0, 8);
        virtio_set_queue_ready(dev, index, true);
        ck_assert(!virtio_get_queue_ready(dev, index));
        virtio_reset_queue(dev, index);
        virtio_kick(dev, index);
    }
    ck_assert(!virtio_is_broken(dev));
}
END_TEST

/* --- configuration space --- */

START_TEST(configuration_is_read_and_written_in_bounds)
{
    g_autoptr(Bench) b = bench_new(false);
    VirtioDevice *dev = &b->probe->base;

    memcpy(b->probe->config, "\1\2\3\4\5\6\7\10", 8);
    ck_assert(virtio_config_read(dev, 0, 1) == 1);
    ck_assert(virtio_config_read(dev, 2, 2) == 0x0403);
    ck_assert(virtio_config_read(dev, 4, 4) == 0x08070605);
    ck_assert(virtio_config_read(dev, 0, 8) == UINT64_C(0x0807060504030201));
    ck_assert(virtio_config_read(dev, 5, 4) == UINT32_MAX);
    ck_assert(virtio_config_read(dev, UINT64_MAX, 8) == UINT64_MAX);
    virtio_config_write(dev, 1, 2, 0xbbaa);
    virtio_config_write(dev, 3, 2, 0xdddd); /* half of it is read-only */
    virtio_config_write(dev, 8, 4, 0);
    ck_assert_mem_eq(b->probe->config, "\1\xaa\xbb\4\5\6\7\10", 8);
}
END_TEST

START_TEST(a_change_of_configuration_is_announced)
{
    g_autoptr(Bench) b = bench_new(false);
    VirtioDevice *dev = &b->probe->base;

    virtio_config_begin(dev);
    b->probe->config[7] = 1;
    virtio_config_end(dev);
    ck_assert_uint_eq(virtio_config_generation(dev), 1);
    ck_assert_uint_eq(virt_driver_config_interrupts(b->driver), 0); /* nobody listens yet */
    ck_assert(virt_driver_start(b->driver, 0, QUEUE_SIZE));
    virtio_config_begin(dev);
    virtio_config_end(dev);
    ck_assert_uint_eq(virtio_config_generation(dev), 2);
    ck_assert_uint_eq(virt_driver_config_interrupts(b->driver), 1);
}
END_TEST

/* --- serving --- */

START_TEST(a_loop_serves_and_is_asked_for_once)
{
    g_autoptr(Bench) b = bench_new(true);

    for (unsigned round = 0; round < 3; round++) {
        ck_assert(virt_driver_start(b->driver, 0, QUEUE_SIZE));
        offer(b, 0);
        virtio_kick(&b->probe->base, 0);
        take_one(b, 0);
    }
    ck_assert_uint_eq(b->loops_asked, 1);
}
END_TEST

START_TEST(an_ioeventfd_is_asked_for_once_a_queue_is_busy)
{
    g_autoptr(Bench) b = bench_new(true);

    ck_assert(virt_driver_start(b->driver, 0, QUEUE_SIZE));
    for (unsigned n = 1; n <= 3 * VIRTIO_KICKS_BEFORE_IOEVENTFD; n++) {
        offer(b, 1);
        virtio_kick(&b->probe->base, 1);
        take_one(b, 1);
        ck_assert_uint_eq(b->ioeventfds, n < VIRTIO_KICKS_BEFORE_IOEVENTFD ? 0 : 1);
    }
    ck_assert_uint_eq(b->ioeventfd_queue, 1);
}
END_TEST

START_TEST(what_was_offered_before_the_start_is_served)
{
    g_autoptr(Bench) b = bench_new(_i);

    ck_assert(virt_driver_negotiate(b->driver, 0));
    virt_driver_set_up_queue(b->driver, 0, QUEUE_SIZE);
    offer(b, 0);
    virtio_kick(&b->probe->base, 0); /* too early */
    settle(b);

    uint32_t id;
    uint32_t len;

    ck_assert(!virt_driver_take(b->driver, 0, &id, &len));
    virt_driver_go(b->driver);
    take_one(b, 0);
}
END_TEST

START_TEST(a_drained_device_has_nothing_in_flight_and_keeps_kicks)
{
    g_autoptr(Bench) b = bench_new(_i);
    Device *dev = &b->probe->base.base;
    g_autoptr(GError) error = NULL;
    uint32_t id;
    uint32_t len;

    b->probe->hold = true;
    ck_assert(virt_driver_start(b->driver, 0, QUEUE_SIZE));
    offer(b, 0);
    virtio_kick(&b->probe->base, 0);
    wait_for_held(b); /* a kick that nobody has seen is kept for later */
    ck_assert(device_drain(dev, &error));
    take_one(b, 0);
    ck_assert_uint_eq(b->probe->held->len, 0);
    ck_assert_uint_eq(b->probe->base.queue[0].in_flight, 0);
    b->probe->hold = false;

    unsigned runs = b->probe->runs;

    offer(b, 0);
    virtio_kick(&b->probe->base, 0);
    settle(b);
    ck_assert(!virt_driver_take(b->driver, 0, &id, &len));
    ck_assert_uint_eq(b->probe->runs, runs);
    ck_assert(device_drain(dev, &error)); /* again is harmless */
    device_resume(dev);
    take_one(b, 0);
    device_resume(dev);
    offer(b, 0);
    virtio_kick(&b->probe->base, 0);
    take_one(b, 0);
}
END_TEST

START_TEST(a_reset_returns_when_requests_are_finished)
{
    g_autoptr(Bench) b = bench_new(_i);

    b->probe->hold = true;
    ck_assert(virt_driver_start(b->driver, 0, QUEUE_SIZE));
    offer(b, 0);
    offer(b, 0);
    virtio_kick(&b->probe->base, 0);
    virtio_set_status(&b->probe->base, 0);
    ck_assert_uint_eq(b->probe->held->len, 0);
    ck_assert_uint_eq(b->probe->deactivations, 1);
    ck_assert(!b->probe->base.active);
}
END_TEST

START_TEST(a_queue_can_be_reset_alone)
{
    g_autoptr(Bench) b = bench_new(_i);
    VirtioDevice *dev = &b->probe->base;

    ck_assert(virt_driver_start(b->driver, VIRTIO_FEATURE_RING_RESET, QUEUE_SIZE));
    for (unsigned round = 0; round < 3; round++) {
        offer(b, 0);
        virtio_kick(dev, 0);
        take_one(b, 0);
        virtio_reset_queue(dev, 0);
        ck_assert(!virtio_get_queue_ready(dev, 0));
        virtio_kick(dev, 0); /* into the void */
        offer(b, 1);
        virtio_kick(dev, 1);
        take_one(b, 1);
        virt_driver_set_up_queue(b->driver, 0, QUEUE_SIZE / 2);
    }
    ck_assert_uint_eq(b->probe->activations, 1);
    ck_assert(!virtio_is_broken(dev));
    virtio_set_queue_ready(dev, 1, false);
    ck_assert(!virtio_get_queue_ready(dev, 1));
    ck_assert(virt_driver_start(b->driver, 0, QUEUE_SIZE)); /* without the feature */
    virtio_reset_queue(dev, 0);
    ck_assert(virtio_get_queue_ready(dev, 0));
}
END_TEST

START_TEST(a_device_may_end_while_it_serves)
{
    g_autoptr(Bench) b = bench_new(_i);

    b->probe->hold = true;
    ck_assert(virt_driver_start(b->driver, 0, QUEUE_SIZE));
    offer(b, 0);
    virtio_kick(&b->probe->base, 0);
}
END_TEST

typedef struct Guest {
    Bench *b;
    unsigned seed;
    GThread *thread;
} Guest;

/* A vCPU that does not care what the others do. */
static void *wild_vcpu(void *opaque)
{
    Guest *guest = opaque;
    VirtioDevice *dev = &guest->b->probe->base;
    g_autoptr(GRand) rand = g_rand_new_with_seed(guest->seed);

    for (unsigned n = 0; n < 2000; n++) {
        uint32_t index = (uint32_t)g_rand_int_range(rand, 0, PROBE_QUEUES);
        uint32_t address = (uint32_t)g_rand_int_range(rand, 0, 64) << 8;

        switch (g_rand_int_range(rand, 0, 16)) {
        case 0:
            virtio_set_status(dev, 0);
            break;
        case 1:
            virtio_set_driver_features(dev, 0, (uint32_t)VIRTIO_FEATURE_EVENT_IDX);
            virtio_set_driver_features(dev, 1, g_rand_boolean(rand) ? 1 | 1 << 8 : 1);
            virtio_set_status(dev, OK_STATUS);
            break;
        case 2:
            virtio_set_status(dev, OK_STATUS | VIRTIO_STATUS_DRIVER_OK);
            break;
        case 3:
        case 4:
            virtio_set_queue_size(dev, index, 8);
            virtio_set_queue_address(dev, index, VIRTQ_AREA_DESC, 0, address);
            virtio_set_queue_address(dev, index, VIRTQ_AREA_DRIVER, 0, address + 0x80);
            virtio_set_queue_address(dev, index, VIRTQ_AREA_DEVICE, 0, address + 0x100);
            virtio_set_queue_ready(dev, index, true);
            break;
        case 5:
            virtio_reset_queue(dev, index);
            break;
        case 6:
            virtio_config_write(dev, 0, 4, n);
            break;
        default:
            virtio_kick(dev, index);
            virtio_get_status(dev);
            break;
        }
    }
    return NULL;
}

START_TEST(many_vcpus_at_once_hurt_only_themselves)
{
    g_autoptr(Bench) b = bench_new(_i);
    Guest guests[4];
    g_autoptr(GError) error = NULL;

    for (unsigned i = 0; i < G_N_ELEMENTS(guests); i++) {
        guests[i] = (Guest){.b = b, .seed = i};
        guests[i].thread = g_thread_new("vcpu", wild_vcpu, &guests[i]);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(guests); i++) {
        g_thread_join(guests[i].thread);
    }
    ck_assert(device_drain(&b->probe->base.base, &error));
    device_reset(&b->probe->base.base);
    b->driver->heap = HEAP;
    ck_assert(virt_driver_start(b->driver, 0, QUEUE_SIZE));
    offer(b, 0);
    virtio_kick(&b->probe->base, 0);
    take_one(b, 0);
}
END_TEST

/* --- state --- */

static GByteArray *save(Bench *b)
{
    GByteArray *out = g_byte_array_new();
    g_autoptr(GError) error = NULL;

    ck_assert(device_drain(&b->probe->base.base, &error));
    ck_assert(vmstate_save(&virtio_probe_vmstate, b->probe, out, &error));
    return out;
}

static bool load(Bench *b, const GByteArray *bytes, GError **error)
{
    device_reset(&b->probe->base.base);
    return vmstate_load(&virtio_probe_vmstate, b->probe, bytes->data, bytes->len, error);
}

static const uint64_t layouts[] = {
    0,
    VIRTIO_FEATURE_EVENT_IDX,
    VIRTIO_FEATURE_RING_PACKED,
    VIRTIO_FEATURE_RING_PACKED | VIRTIO_FEATURE_EVENT_IDX,
};

START_TEST(a_restored_device_goes_on_where_it_was)
{
    g_autoptr(Bench) b = bench_new(_i % 2);
    g_autoptr(GError) error = NULL;
    VirtioDevice *dev = &b->probe->base;

    ck_assert(virt_driver_start(b->driver, layouts[_i / 2] | PROBE_FEATURE, QUEUE_SIZE));
    for (unsigned n = 0; n < 3 * QUEUE_SIZE + 3; n++) {
        offer(b, 0);
        virtio_kick(dev, 0);
        take_one(b, 0);
    }
    virtio_config_write(dev, 0, 4, 0x11223344);

    g_autoptr(GByteArray) first = save(b);

    /* Offered, and the kick is lost with the old process. */
    offer(b, 0);

    /* Another process: same memory, a fresh device. */
    VirtioProbe *fresh = virtio_probe_new(b->mem, &b->host, NULL);

    device_free(&b->probe->base.base);
    b->probe = fresh;
    ck_assert(device_realize(&fresh->base.base, &error));
    virt_driver_adopt(b->driver, &fresh->base);
    ck_assert(load(b, first, &error));
    ck_assert_uint_eq(fresh->activations, 0); /* only resume starts anything */

    g_autoptr(GByteArray) second = save(b);

    ck_assert_uint_eq(first->len, second->len);
    ck_assert_mem_eq(first->data, second->data, first->len);
    device_resume(&fresh->base.base);
    take_one(b, 0);
    for (unsigned n = 0; n < 3 * QUEUE_SIZE; n++) {
        offer(b, 0);
        virtio_kick(&fresh->base, 0);
        take_one(b, 0);
    }
    ck_assert(!virtio_is_broken(&fresh->base));
    ck_assert(virtio_config_read(&fresh->base, 0, 4) == 0x11223344);
}
END_TEST

START_TEST(a_live_device_must_be_reset_before_a_load)
{
    g_autoptr(Bench) b = bench_new(false);
    g_autoptr(GError) error = NULL;

    ck_assert(virt_driver_start(b->driver, 0, QUEUE_SIZE));

    g_autoptr(GByteArray) bytes = save(b);

    ck_assert(!vmstate_load(&virtio_probe_vmstate, b->probe, bytes->data, bytes->len, &error));
    ck_assert_str_eq(error->message, "base.status: the device was not reset before a load");
    g_clear_error(&error);
    ck_assert(load(b, bytes, &error));
    device_resume(&b->probe->base.base);
    offer(b, 0);
    virtio_kick(&b->probe->base, 0);
    take_one(b, 0);
}
END_TEST

START_TEST(a_broken_device_is_still_broken_after_a_restore)
{
    g_autoptr(Bench) b = bench_new(false);
    g_autoptr(GError) error = NULL;

    ck_assert(virt_driver_start(b->driver, 0, QUEUE_SIZE));
    virtio_break(&b->probe->base, "by a test");

    g_autoptr(GByteArray) bytes = save(b);

    ck_assert(load(b, bytes, &error));
    ck_assert(virtio_is_broken(&b->probe->base));
    ck_assert_uint_ne(virtio_get_status(&b->probe->base) & VIRTIO_STATUS_NEEDS_RESET, 0);
}
END_TEST

START_TEST(state_that_cannot_be_is_refused_with_its_path)
{
    g_autoptr(Bench) b = bench_new(false);
    VirtioDevice *dev = &b->probe->base;
    VirtQueue *q = &dev->queue[1];
    const char *const why[] = {
        "base.queue[1].size: 300, expected 1..256",
        "base.queue[1].last_avail: 9, last_used: 0, but 0 are in flight",
        "base.queue[1].size: 6 is not a power of two",
        "base.queue[1].driver_address: guest range 0xfffffff0 +0x16 is not in one block of RAM",
        "base.features: 0x8000000000000000 are not offered here",
        "base.status: 0x4 is ready without FEATURES_OK",
        "base.status: 0x5f has unknown bits",
        "base.features: 0x100000010 do not go together",
        "base.queue[0].ready: set before FEATURES_OK",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(why); i++) {
        g_autoptr(GError) error = NULL;

        b->driver->heap = HEAP;
        ck_assert(virt_driver_start(b->driver, 0, QUEUE_SIZE));
        q->size = i == 0 ? 300 : i == 2 ? 6 : q->size;
        q->last_avail = i == 1 ? 9 : q->last_avail;
        q->driver_address = i == 3 ? 0xfffffff0 : q->driver_address;
        dev->features = i == 4 ? VIRTIO_BIT(63) | VIRTIO_FEATURE_VERSION_1 : dev->features;
        dev->status = i == 5 ? 4 : i == 6 ? 0x5f : i == 8 ? 1 : dev->status;
        dev->features = i == 7 ? PROBE_REFUSED | VIRTIO_FEATURE_VERSION_1 : dev->features;

        g_autoptr(GByteArray) bytes = save(b);

        ck_assert(!load(b, bytes, &error));
        ck_assert_str_eq(error->message, why[i]);
        device_reset(&dev->base);
    }
}
END_TEST

START_TEST(requests_in_flight_are_not_saved)
{
    g_autoptr(Bench) b = bench_new(false);
    g_autoptr(GByteArray) out = g_byte_array_new();
    g_autoptr(GError) error = NULL;

    b->probe->hold = true;
    ck_assert(virt_driver_start(b->driver, 0, QUEUE_SIZE));
    offer(b, 0);
    virtio_kick(&b->probe->base, 0);
    ck_assert(!vmstate_save(&virtio_probe_vmstate, b->probe, out, &error));
    ck_assert_str_eq(error->message, "base.queue[0].in_flight: 1 requests are not finished");
}
END_TEST

START_TEST(every_flip_and_truncation_is_refused_or_harmless)
{
    g_autoptr(Bench) b = bench_new(false);
    uint32_t id;
    uint32_t len;

    ck_assert(virt_driver_start(b->driver, layouts[_i], QUEUE_SIZE));
    offer(b, 0);

    g_autoptr(GByteArray) bytes = save(b);
    guint whole = bytes->len;

    for (guint at = 0; at < whole; at++) {
        const uint8_t flips[] = {1, 0x80, 0xff};

        for (size_t i = 0; i < G_N_ELEMENTS(flips); i++) {
            g_autoptr(GError) error = NULL;

            bytes->data[at] ^= flips[i];

            bool ok = load(b, bytes, &error);

            bytes->data[at] ^= flips[i];
            if (ok != (error == NULL)) {
                ck_abort_msg("byte %u: result and error disagree", at);
            }
            if (ok) { /* whatever it is now, it runs and can be reset */
                device_resume(&b->probe->base.base);
                virtio_kick(&b->probe->base, 0);
                virt_driver_take(b->driver, 0, &id, &len);
            }
        }
        bytes->len = at;

        g_autoptr(GError) error = NULL;

        if (load(b, bytes, &error)) {
            ck_abort_msg("cut off at %u: accepted", at);
        }
        bytes->len = whole;
    }
}
END_TEST

START_TEST(tables_are_in_order)
{
    g_autoptr(GError) error = NULL;

    ck_assert(vmstate_check(&virtio_probe_vmstate, &error));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("virtio");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, features_are_offered_in_two_halves);
    tcase_add_test(tc, features_that_do_not_fit_are_refused);
    tcase_add_test(tc, features_stand_once_they_are_agreed);
    tcase_add_test(tc, status_bits_stay_until_a_reset);
    tcase_add_test(tc, a_driver_that_skips_steps_breaks_the_device);
    tcase_add_test(tc, queue_registers_are_replaced_and_then_frozen);
    tcase_add_test(tc, queues_that_do_not_exist_are_harmless);
    tcase_add_test(tc, configuration_is_read_and_written_in_bounds);
    tcase_add_test(tc, a_change_of_configuration_is_announced);
    tcase_add_test(tc, a_loop_serves_and_is_asked_for_once);
    tcase_add_test(tc, an_ioeventfd_is_asked_for_once_a_queue_is_busy);
    tcase_add_loop_test(tc, what_was_offered_before_the_start_is_served, 0, 2);
    tcase_add_loop_test(tc, a_drained_device_has_nothing_in_flight_and_keeps_kicks, 0, 2);
    tcase_add_loop_test(tc, a_reset_returns_when_requests_are_finished, 0, 2);
    tcase_add_loop_test(tc, a_queue_can_be_reset_alone, 0, 2);
    tcase_add_loop_test(tc, a_device_may_end_while_it_serves, 0, 2);
    tcase_add_loop_test(tc, many_vcpus_at_once_hurt_only_themselves, 0, 2);
    tcase_add_loop_test(tc, a_restored_device_goes_on_where_it_was, 0, 8);
    tcase_add_test(tc, a_live_device_must_be_reset_before_a_load);
    tcase_add_test(tc, a_broken_device_is_still_broken_after_a_restore);
    tcase_add_test(tc, state_that_cannot_be_is_refused_with_its_path);
    tcase_add_test(tc, requests_in_flight_are_not_saved);
    tcase_add_loop_test(tc, every_flip_and_truncation_is_refused_or_harmless, 0, 4);
    tcase_add_test(tc, tables_are_in_order);
    return suite_run("virtio", tc);
}

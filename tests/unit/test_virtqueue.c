/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/queue.h"

#include "devices/virtio/iov.h"
#include "tests/support/virtio_driver.h"
#include "tests/support/virtio_probe.h"
#include "tests/unit/suite.h"
#include "util/bytes.h"

#include <string.h>

#define RAM_BYTES  MIB
#define HEAP       0x4000
#define QUEUE_SIZE 8

typedef struct Bench {
    GuestMemory *mem;
    VirtioProbe *probe;
    VirtDriver *driver;
} Bench;

static void bench_fini(Bench *b)
{
    device_free(&b->probe->base.base);
    virt_driver_free(b->driver);
    guest_mem_free(b->mem);
}
#define auto_bench __attribute__((cleanup(bench_fini))) Bench

static Bench bench_new(uint64_t features)
{
    Bench b = {.mem = guest_mem_new(NULL)};
    g_autoptr(GError) error = NULL;

    ck_assert(guest_mem_add_plain(b.mem, RAM_BYTES, &error));
    b.probe = virtio_probe_new(b.mem, NULL, NULL);
    ck_assert(device_realize(&b.probe->base.base, &error));
    b.driver = virt_driver_new(&b.probe->base, b.mem, HEAP);
    ck_assert(virt_driver_start(b.driver, features, QUEUE_SIZE));
    return b;
}

static uint64_t text_at(Bench *b, const char *text)
{
    uint64_t at = virt_driver_alloc(b->driver, strlen(text), 1);

    memcpy(virt_driver_ptr(b->driver, at, strlen(text)), text, strlen(text));
    return at;
}

/* The layouts and options that every benign test goes through. */
static const uint64_t modes[] = {
    0,
    VIRTIO_FEATURE_EVENT_IDX,
    VIRTIO_FEATURE_INDIRECT_DESC,
    VIRTIO_FEATURE_RING_PACKED,
    VIRTIO_FEATURE_RING_PACKED | VIRTIO_FEATURE_EVENT_IDX,
    VIRTIO_FEATURE_RING_PACKED | VIRTIO_FEATURE_INDIRECT_DESC,
};

static Bench bench_mode(int mode)
{
    Bench b = bench_new(modes[mode]);

    b.driver->indirect = modes[mode] & VIRTIO_FEATURE_INDIRECT_DESC;
    return b;
}

START_TEST(a_chain_comes_back_with_its_bytes)
{
    auto_bench b = bench_mode(_i);
    uint64_t hello = text_at(&b, "hello ");
    uint64_t world = text_at(&b, "world");
    uint64_t room = virt_driver_alloc(b.driver, 32, 1);
    const VirtBuffer chain[] = {
        {hello, 6, false},
        {world, 5, false},
        {room, 3, true},
        {room + 3, 29, true},
    };
    uint32_t id;
    uint32_t len;
    int sent = virt_driver_add(b.driver, 0, chain, G_N_ELEMENTS(chain));

    ck_assert_int_ge(sent, 0);
    ck_assert(virt_driver_kick(b.driver, 0));
    ck_assert(virt_driver_take(b.driver, 0, &id, &len));
    ck_assert_int_eq((int)id, sent);
    ck_assert_uint_eq(len, 11);
    ck_assert_mem_eq(virt_driver_ptr(b.driver, room, 11), "hello world", 11);
    ck_assert(!virt_driver_take(b.driver, 0, &id, &len));
    ck_assert_uint_eq(virt_driver_interrupts(b.driver), 1);
}
END_TEST

START_TEST(what_goes_through_a_queue_is_counted)
{
    auto_bench b = bench_mode(_i);
    const VirtqCount *count = &b.probe->base.queue[0].count;
    const VirtBuffer chain[] = {
        {text_at(&b, "hello"), 5, false},
        {virt_driver_alloc(b.driver, 32, 1), 32, true},
    };
    uint32_t id;
    uint32_t len;

    for (unsigned i = 1; i <= 3; i++) {
        ck_assert_int_ge(virt_driver_add(b.driver, 0, chain, G_N_ELEMENTS(chain)), 0);
        virt_driver_kick(b.driver, 0);
        ck_assert(virt_driver_take(b.driver, 0, &id, &len));
        ck_assert_uint_eq(atomic_load(&count->requests), i);
        ck_assert_uint_eq(atomic_load(&count->bytes_read), i * 5);
        ck_assert_uint_eq(atomic_load(&count->bytes_written), i * 5);
    }
    ck_assert_uint_gt(atomic_load(&count->total_ns), 0);
}
END_TEST

START_TEST(rings_go_round_many_times)
{
    auto_bench b = bench_mode(_i);
    uint64_t out = virt_driver_alloc(b.driver, 4, 4);
    uint64_t in = virt_driver_alloc(b.driver, 4, 4);
    const VirtBuffer chain[] = {{out, 4, false}, {in, 4, true}};
    uint64_t heap = b.driver->heap;

    for (uint32_t n = 0; n < 70000; n++) {
        uint32_t id;
        uint32_t len;

        b.driver->heap = heap; /* indirect tables again and again */
        store_le32(virt_driver_ptr(b.driver, out, 4), n);
        /* Plain ifs: an assertion of check costs more than the whole round. */
        if (virt_driver_add(b.driver, 0, chain, 2) < 0 || !virt_driver_kick(b.driver, 0) ||
            !virt_driver_take(b.driver, 0, &id, &len) ||
            load_le32(virt_driver_ptr(b.driver, in, 4)) != n) {
            ck_abort_msg("round %u failed", n);
        }
    }
    ck_assert(!virtio_is_broken(&b.probe->base));
}
END_TEST

START_TEST(chains_may_come_back_in_another_order)
{
    auto_bench b = bench_mode(_i);
    uint64_t room = virt_driver_alloc(b.driver, 64, 1);
    int sent[3];

    b.probe->hold = true;
    for (unsigned i = 0; i < 3; i++) {
        const VirtBuffer chain[] = {{text_at(&b, "abc") + i, 1, false}, {room + i, 1, true}};

        sent[i] = virt_driver_add(b.driver, 0, chain, 2);
    }
    virt_driver_kick(b.driver, 0);
    ck_assert_uint_eq(b.probe->held->len, 3);
    virtio_probe_release(b.probe); /* the newest first */
    for (unsigned i = 3; i > 0; i--) {
        uint32_t id;
        uint32_t len;

        ck_assert(virt_driver_take(b.driver, 0, &id, &len));
        ck_assert_int_eq((int)id, sent[i - 1]);
    }
    ck_assert_mem_eq(virt_driver_ptr(b.driver, room, 3), "abc", 3);
}
END_TEST

START_TEST(an_unpopped_chain_is_popped_again)
{
    auto_bench b = bench_mode(_i);
    VirtQueue *q = &b.probe->base.queue[1];
    VirtChain first = {0};
    VirtChain second = {0};
    uint64_t room = virt_driver_alloc(b.driver, 16, 1);

    /* From every place in the ring, so that undoing wraps too. */
    for (unsigned n = 0; n < 3 * QUEUE_SIZE; n++) {
        uint32_t id;
        uint32_t len;

        ck_assert_int_ge(
            virt_driver_add(b.driver, 1, (VirtBuffer[]){{room, 7, true}, {room, 9, true}}, 2), 0);
        ck_assert(virtq_pop(q, &first));
        virtq_unpop(q, &first);
        ck_assert_uint_eq(q->in_flight, 0);
        ck_assert(virtq_pop(q, &second));
        ck_assert_uint_eq(first.id, second.id);
        ck_assert_uint_eq(second.in_bytes, 16);
        virtq_push(q, &second, 16);
        ck_assert(virt_driver_take(b.driver, 1, &id, &len));
    }
    virt_chain_clear(&first);
    virt_chain_clear(&second);
}
END_TEST

START_TEST(no_interrupt_comes_when_none_is_wanted)
{
    auto_bench b = bench_mode(_i);
    uint64_t room = virt_driver_alloc(b.driver, 1, 1);
    const VirtBuffer chain = {room, 1, true};
    uint32_t id;
    uint32_t len;

    virt_driver_want_interrupts(b.driver, 0, false);
    virt_driver_add(b.driver, 0, &chain, 1);
    virt_driver_kick(b.driver, 0);
    ck_assert(virt_driver_take(b.driver, 0, &id, &len));
    ck_assert_uint_eq(virt_driver_interrupts(b.driver), 0);
    virt_driver_want_interrupts(b.driver, 0, true);
    virt_driver_add(b.driver, 0, &chain, 1);
    virt_driver_kick(b.driver, 0);
    ck_assert_uint_eq(virt_driver_interrupts(b.driver), 1);
}
END_TEST

/* Event index: the interrupt comes exactly when the chain that was named comes back. */
START_TEST(an_event_index_is_met_at_its_place)
{
    auto_bench b = bench_mode(_i);
    uint64_t room = virt_driver_alloc(b.driver, 1, 1);
    const VirtBuffer chain = {room, 1, true};
    VirtDriverQueue *dq = &b.driver->queue[0];
    uint32_t id;
    uint32_t len;

    if (!dq->event_idx) {
        return;
    }
    for (unsigned start = 0; start < 2 * QUEUE_SIZE; start++) {
        unsigned before = virt_driver_interrupts(b.driver);
        uint16_t place = (uint16_t)(dq->next_used + 2); /* the third from here */
        bool wrap = dq->used_wrap;

        if (dq->packed) {
            if (place >= QUEUE_SIZE) {
                place = (uint16_t)(place - QUEUE_SIZE);
                wrap = !wrap;
            }
            store_le16(virt_driver_ptr(b.driver, dq->driver, 2),
                       (uint16_t)(place | (wrap ? 0x8000 : 0)));
            store_le16(virt_driver_ptr(b.driver, dq->driver + 2, 2), 2);
        } else {
            store_le16(virt_driver_ptr(b.driver, dq->driver + 4 + 2 * QUEUE_SIZE, 2), place);
        }
        for (unsigned i = 0; i < 5; i++) {
            virt_driver_add(b.driver, 0, &chain, 1);
            virtio_kick(&b.probe->base, 0);
            ck_assert(virt_driver_take(b.driver, 0, &id, &len));
            ck_assert_uint_eq(virt_driver_interrupts(b.driver), before + (i >= 2 ? 1 : 0));
        }
    }
}
END_TEST

START_TEST(kicks_are_wanted_only_when_the_queue_was_emptied)
{
    auto_bench b = bench_mode(_i);
    VirtQueue *q = &b.probe->base.queue[1];
    uint64_t room = virt_driver_alloc(b.driver, 1, 1);
    const VirtBuffer chain = {room, 1, true};

    virtq_want_kicks(q, false);
    virt_driver_add(b.driver, 1, &chain, 1);
    if (!b.driver->queue[1].event_idx) {
        ck_assert(!virt_driver_kick(b.driver, 1));
    }
    ck_assert(virtq_want_kicks(q, true)); /* and says that something came in between */
}
END_TEST

START_TEST(a_buffer_may_cross_from_one_block_into_the_next)
{
    g_autoptr(GuestMemory) mem = guest_mem_new(NULL);
    g_autoptr(GError) error = NULL;
    const RamBackendConfig config = {.id = "two", .kind = RAM_ANONYMOUS, .size = 2 * MIB};
    RamBackend *backend = guest_mem_add_backend(mem, &config, &error);

    /* Neighbours for the guest, swapped for the host. */
    ck_assert(guest_mem_add_block(mem, backend, MIB, GPA(0), MIB, &error));
    ck_assert(guest_mem_add_block(mem, backend, 0, GPA(MIB), MIB, &error));

    VirtioProbe *probe = virtio_probe_new(mem, NULL, NULL);
    VirtDriver *driver = virt_driver_new(&probe->base, mem, HEAP);
    const VirtBuffer chain = {MIB - 10, 30, true};
    VirtChain got = {0};

    ck_assert(virt_driver_start(driver, 0, QUEUE_SIZE));
    virt_driver_add(driver, 1, &chain, 1);
    ck_assert(virtq_pop(&probe->base.queue[1], &got));
    ck_assert_uint_eq(got.num_in, 2);
    ck_assert_uint_eq(got.in_bytes, 30);
    ck_assert_uint_eq(got.iov[0].iov_len, 10);
    ck_assert_uint_eq(virt_chain_write(&got, 0, "0123456789abcdefghij", 20), 20);

    char back[20];

    ck_assert(guest_mem_read(mem, GPA(MIB - 10), back, 20, &error));
    ck_assert_mem_eq(back, "0123456789abcdefghij", 20);
    virtq_push(&probe->base.queue[1], &got, 20);
    virt_chain_clear(&got);
    device_free(&probe->base.base);
    virt_driver_free(driver);
}
END_TEST

/* --- hostile rings: each breaks the device with its own words --- */

static void check_broken(Bench *b, const char *why)
{
    VirtioDevice *dev = &b->probe->base;

    virtio_kick(dev, 0);
    ck_assert(virtio_is_broken(dev));
    ck_assert_str_eq(dev->last_error, why);
    ck_assert_uint_ne(virtio_get_status(dev) & VIRTIO_STATUS_NEEDS_RESET, 0);
    ck_assert_uint_eq(virt_driver_config_interrupts(b->driver), 1);

    /* It stays quiet, and a reset mends it. */
    virtio_kick(dev, 0);
    ck_assert(virt_driver_start(b->driver, 0, QUEUE_SIZE));
    ck_assert(!virtio_is_broken(dev));
}

static void raw_desc(Bench *b, unsigned index, VirtBuffer buffer, uint16_t flags, uint16_t next)
{
    uint16_t tail[2] = {flags, next};

    virt_driver_put_desc(b->driver, b->driver->queue[0].desc + index * 16ULL, buffer.address,
                         buffer.len, tail);
}

static void raw_publish(Bench *b, uint16_t head, uint16_t index)
{
    const VirtDriverQueue *q = &b->driver->queue[0];

    store_le16(virt_driver_ptr(b->driver, q->driver + 4, 2), head);
    store_le16(virt_driver_ptr(b->driver, q->driver + 2, 2), index);
}

#define BUFFER ((VirtBuffer){.address = 0x100, .len = 16})

START_TEST(split_refuses_a_loop)
{
    auto_bench b = bench_new(0);

    raw_desc(&b, 0, BUFFER, 1, 1);
    raw_desc(&b, 1, BUFFER, 1, 0);
    raw_publish(&b, 0, 1);
    check_broken(&b, "queue 0: a chain from descriptor 0 that does not end");
}
END_TEST

START_TEST(split_refuses_a_head_out_of_range)
{
    auto_bench b = bench_new(0);

    raw_publish(&b, QUEUE_SIZE, 1);
    check_broken(&b, "queue 0: descriptor 8 of a table of 8");
}
END_TEST

START_TEST(split_refuses_a_next_out_of_range)
{
    auto_bench b = bench_new(0);

    raw_desc(&b, 0, BUFFER, 1, 0xffff);
    raw_publish(&b, 0, 1);
    check_broken(&b, "queue 0: descriptor 65535 of a table of 8");
}
END_TEST

START_TEST(split_refuses_an_index_that_jumps)
{
    auto_bench b = bench_new(0);

    raw_publish(&b, 0, QUEUE_SIZE + 1);
    check_broken(&b, "queue 0: 9 chains announced in a ring of 8");
}
END_TEST

START_TEST(split_refuses_a_buffer_of_no_bytes)
{
    auto_bench b = bench_new(0);

    raw_desc(&b, 0, (VirtBuffer){.address = 0x100}, 0, 0);
    raw_publish(&b, 0, 1);
    check_broken(&b, "queue 0: a buffer of no bytes at 0x100");
}
END_TEST

START_TEST(split_refuses_a_buffer_outside_ram)
{
    auto_bench b = bench_new(0);

    raw_desc(&b, 0, (VirtBuffer){.address = RAM_BYTES - 8, .len = 16}, 0, 0);
    raw_publish(&b, 0, 1);
    check_broken(&b, "queue 0: guest range 0x100000 +0x8 is not in one block of RAM");
    raw_desc(&b, 0, (VirtBuffer){.address = UINT64_MAX - 3, .len = UINT32_MAX}, 0, 0);
    raw_publish(&b, 0, 1);
    virtio_kick(&b.probe->base, 0);
    ck_assert(virtio_is_broken(&b.probe->base));
}
END_TEST

START_TEST(split_refuses_readable_behind_writable)
{
    auto_bench b = bench_new(0);

    raw_desc(&b, 0, BUFFER, 1 | 2, 1);
    raw_desc(&b, 1, BUFFER, 0, 0);
    raw_publish(&b, 0, 1);
    check_broken(&b, "queue 0: a readable buffer behind a writable one");
}
END_TEST

START_TEST(split_refuses_indirect_without_the_feature)
{
    auto_bench b = bench_new(0);

    raw_desc(&b, 0, BUFFER, 4, 0);
    raw_publish(&b, 0, 1);
    check_broken(&b, "queue 0: an indirect descriptor without the feature");
}
END_TEST

START_TEST(split_refuses_bad_indirect_tables)
{
    auto_bench b = bench_new(VIRTIO_FEATURE_INDIRECT_DESC);
    uint64_t table = virt_driver_alloc(b.driver, 64, 16);
    VirtioDevice *dev = &b.probe->base;
    const struct {
        VirtBuffer table;
        uint16_t flags;
        uint16_t inner_flags;
        uint16_t inner_next;
        const char *why;
    } cases[] = {
        {{table, 0, 0}, 4, 0, 0, "queue 0: an indirect table of 0 bytes"},
        {{table, 20, 0}, 4, 0, 0, "queue 0: an indirect table of 20 bytes"},
        {{table, 16, 0}, 4 | 1, 0, 0, "queue 0: an indirect descriptor with a next one"},
        {{table, 16, 0}, 4, 4, 0, "queue 0: an indirect table inside an indirect table"},
        {{table, 16, 0}, 4, 1, 1, "queue 0: a chain from descriptor 0 that does not end"},
        {{table, 32, 0}, 4, 1, 7, "queue 0: descriptor 7 of a table of 2"},
        {{table, 32, 0}, 4, 1, 0, "queue 0: a chain from descriptor 0 that does not end"},
        {{RAM_BYTES - 16, 32, 0},
         4,
         0,
         0,
         "queue 0: guest range 0xffff0 +0x20 is not in one block of RAM"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        uint16_t tail[2] = {cases[i].inner_flags, cases[i].inner_next};

        ck_assert(virt_driver_start(b.driver, VIRTIO_FEATURE_INDIRECT_DESC, QUEUE_SIZE));
        virt_driver_put_desc(b.driver, table, 0x100, 16, tail);
        raw_desc(&b, 0, cases[i].table, cases[i].flags, 0);
        raw_publish(&b, 0, 1);
        virtio_kick(dev, 0);
        ck_assert(virtio_is_broken(dev));
        ck_assert_str_eq(dev->last_error, cases[i].why);
    }
}
END_TEST

START_TEST(a_chain_has_a_bounded_number_of_pieces)
{
    auto_bench b = bench_new(VIRTIO_FEATURE_INDIRECT_DESC | modes[_i]);
    g_autofree VirtBuffer *buffers = g_new0(VirtBuffer, VIRTQ_MAX_SEGMENTS + 1);

    for (unsigned i = 0; i <= VIRTQ_MAX_SEGMENTS; i++) {
        buffers[i] = (VirtBuffer){.address = 0x100, .len = 1};
    }
    b.driver->indirect = true;
    virt_driver_add(b.driver, 0, buffers, VIRTQ_MAX_SEGMENTS);
    virtio_kick(&b.probe->base, 0);
    ck_assert(!virtio_is_broken(&b.probe->base));
    virt_driver_add(b.driver, 0, buffers, VIRTQ_MAX_SEGMENTS + 1);
    virtio_kick(&b.probe->base, 0);
    ck_assert_str_eq(b.probe->base.last_error, "queue 0: a chain of more than 1024 pieces");
}
END_TEST

START_TEST(a_guest_cannot_have_more_in_flight_than_the_ring_holds)
{
    auto_bench b = bench_new(0);

    b.probe->hold = true;
    raw_desc(&b, 0, BUFFER, 0, 0);
    for (uint16_t n = 1; n <= QUEUE_SIZE; n++) {
        raw_publish(&b, 0, n);
        store_le16(virt_driver_ptr(b.driver, b.driver->queue[0].driver + 4 + 2 * (n % 8u), 2), 0);
        virtio_kick(&b.probe->base, 0);
        ck_assert(!virtio_is_broken(&b.probe->base));
    }
    raw_publish(&b, 0, QUEUE_SIZE + 1);
    virtio_kick(&b.probe->base, 0);
    ck_assert_str_eq(b.probe->base.last_error, "queue 0: more than 8 slots in flight");
    ck_assert_uint_eq(b.probe->held->len, QUEUE_SIZE);
}
END_TEST

START_TEST(packed_refuses_a_chain_without_an_end)
{
    auto_bench b = bench_new(VIRTIO_FEATURE_RING_PACKED);

    for (unsigned i = 0; i < QUEUE_SIZE; i++) {
        raw_desc(&b, i, BUFFER, 0, 0x80 | 1);
    }
    check_broken(&b, "queue 0: a chain at place 0 that does not end");
}
END_TEST

START_TEST(packed_refuses_indirect_inside_a_chain)
{
    auto_bench b = bench_new(VIRTIO_FEATURE_RING_PACKED | VIRTIO_FEATURE_INDIRECT_DESC);

    raw_desc(&b, 1, BUFFER, 0, 0x80 | 4);
    raw_desc(&b, 0, BUFFER, 0, 0x80 | 1);
    check_broken(&b, "queue 0: an indirect descriptor inside a chain");
}
END_TEST

START_TEST(packed_refuses_bad_indirect_tables)
{
    auto_bench b = bench_new(VIRTIO_FEATURE_RING_PACKED | VIRTIO_FEATURE_INDIRECT_DESC);
    uint64_t table = virt_driver_alloc(b.driver, 64, 16);

    virt_driver_put_desc(b.driver, table, 0x100, 16, (uint16_t[2]){0, 4});
    raw_desc(&b, 0, (VirtBuffer){.address = table, .len = 16}, 0, 0x80 | 4);
    check_broken(&b, "queue 0: an indirect table inside an indirect table");
}
END_TEST

START_TEST(queues_that_cannot_be_are_refused)
{
    auto_bench b = bench_new(0);
    VirtioDevice *dev = &b.probe->base;
    const struct {
        uint64_t features;
        uint32_t size;
        uint64_t desc;
        uint64_t driver;
        uint64_t device;
        const char *why;
    } cases[] = {
        {0, 0, 0, 0, 0, "queue 0: size: 0, expected 1..256"},
        {0, 512, 0, 0, 0, "queue 0: size: 512, expected 1..256"},
        {0, 0x10008, 0, 0, 0, "queue 0: size: 0, expected 1..256"},
        {0, 7, 0, 0, 0, "queue 0: size: 7 is not a power of two"},
        {0, 8, 8, 0, 0, "queue 0: desc_address: 0x8 is not a multiple of 16"},
        {0, 8, 0, 1, 0, "queue 0: driver_address: 0x1 is not a multiple of 2"},
        {0, 8, 0, 0, 2, "queue 0: device_address: 0x2 is not a multiple of 4"},
        {0, 8, RAM_BYTES - 64, 0, 0,
         "queue 0: desc_address: guest range 0xfffc0 +0x80 is not in one block of RAM"},
        {VIRTIO_FEATURE_RING_PACKED, 8, 0, 2, 0,
         "queue 0: driver_address: 0x2 is not a multiple of 4"},
        {0, 8, 0, 0, UINT64_C(0xffffffff00000000),
         "queue 0: device_address: guest range 0xffffffff00000000 +0x46 is not in one block of RAM"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        ck_assert(virt_driver_negotiate(b.driver, cases[i].features));
        virtio_set_queue_size(dev, 0, cases[i].size);
        for (unsigned half = 0; half < 2; half++) {
            virtio_set_queue_address(dev, 0, VIRTQ_AREA_DESC, half,
                                     (uint32_t)(cases[i].desc >> (32 * half)));
            virtio_set_queue_address(dev, 0, VIRTQ_AREA_DRIVER, half,
                                     (uint32_t)(cases[i].driver >> (32 * half)));
            virtio_set_queue_address(dev, 0, VIRTQ_AREA_DEVICE, half,
                                     (uint32_t)(cases[i].device >> (32 * half)));
        }
        virtio_set_queue_ready(dev, 0, true);
        ck_assert(!virtio_get_queue_ready(dev, 0));
        ck_assert(virtio_is_broken(dev));
        ck_assert_str_eq(dev->last_error, cases[i].why);
    }
}
END_TEST

START_TEST(a_packed_ring_of_any_size_works)
{
    auto_bench b = bench_new(0);
    uint64_t room = virt_driver_alloc(b.driver, 4, 1);

    ck_assert(virt_driver_start(b.driver, VIRTIO_FEATURE_RING_PACKED, 7));
    for (unsigned n = 0; n < 100; n++) {
        uint32_t id;
        uint32_t len;

        virt_driver_add(b.driver, 0, (VirtBuffer[]){{room, 1, true}, {room + 1, 2, true}}, 2);
        virt_driver_kick(b.driver, 0);
        ck_assert(virt_driver_take(b.driver, 0, &id, &len));
    }
}
END_TEST

/* --- both layouts must do the same with the same requests --- */

typedef struct Request {
    VirtBuffer buffers[5];
    unsigned count;
    uint8_t token;
} Request;

static Request random_request(GRand *rand, uint64_t area)
{
    Request r = {.count = (unsigned)g_rand_int_range(rand, 1, 6)};
    unsigned readable = (unsigned)g_rand_int_range(rand, 0, (gint32)r.count + 1);

    r.token = (uint8_t)g_rand_int(rand);
    for (unsigned i = 0; i < r.count; i++) {
        r.buffers[i].address = area + i * 64;
        r.buffers[i].len = (uint32_t)g_rand_int_range(rand, 1, 65);
        r.buffers[i].writable = i >= readable;
    }
    return r;
}

static void digest(GChecksum *sum, Bench *b, const Request *r, uint32_t len)
{
    for (unsigned i = 0; i < r->count; i++) {
        g_checksum_update(sum, virt_driver_ptr(b->driver, r->buffers[i].address, 64), 64);
    }
    g_checksum_update(sum, (const uint8_t *)&len, sizeof(len));
}

static char *run_random(uint64_t features, uint32_t seed)
{
    auto_bench b = bench_new(features);
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    uint64_t area = virt_driver_alloc(b.driver, 5 * 64, 64);
    uint64_t heap = b.driver->heap;

    for (unsigned n = 0; n < 3000; n++) {
        Request r = random_request(rand, area);
        bool indirect = g_rand_boolean(rand);
        bool wanted = g_rand_boolean(rand);
        uint32_t id;
        uint32_t len;

        b.driver->heap = heap;
        b.driver->indirect = indirect && (features & VIRTIO_FEATURE_INDIRECT_DESC);
        memset(virt_driver_ptr(b.driver, area, 5 * 64), r.token, 5 * 64);
        *(uint8_t *)virt_driver_ptr(b.driver, area, 1) = (uint8_t)n;
        virt_driver_want_interrupts(b.driver, 0, wanted);
        ck_assert_int_ge(virt_driver_add(b.driver, 0, r.buffers, r.count), 0);
        virt_driver_kick(b.driver, 0);
        ck_assert(virt_driver_take(b.driver, 0, &id, &len));
        digest(sum, &b, &r, len);
    }
    ck_assert(!virtio_is_broken(&b.probe->base));
    g_checksum_update(sum, (const uint8_t *)&b.driver->queue_interrupts, sizeof(unsigned));
    return g_strdup(g_checksum_get_string(sum));
}

START_TEST(split_and_packed_do_the_same_with_random_requests)
{
    g_autofree char *reference = run_random(modes[0], (uint32_t)_i);

    for (size_t i = 1; i < G_N_ELEMENTS(modes); i++) {
        g_autofree char *other = run_random(modes[i], (uint32_t)_i);

        ck_assert_str_eq(other, reference);
    }
}
END_TEST

START_TEST(scattered_memory_is_copied_within_bounds)
{
    char a[4] = "abcd";
    char b[1] = "e";
    char c[5] = "fghij";
    const struct iovec iov[] = {{a, 4}, {NULL, 0}, {b, 1}, {c, 5}};
    char out[16] = {0};
    struct iovec part[4];

    ck_assert_uint_eq(iov_bytes(iov, 4), 10);
    ck_assert_uint_eq(iov_read(iov, 4, 3, out, 16), 7);
    ck_assert_mem_eq(out, "defghij", 7);
    ck_assert_uint_eq(iov_read(iov, 4, 10, out, 1), 0);
    ck_assert_uint_eq(iov_write(iov, 4, 2, "XYZW", 4), 4);
    ck_assert_mem_eq(a, "abXY", 4);
    ck_assert_mem_eq(c, "Wghij", 5);
    ck_assert_uint_eq(iov_fill(iov, 4, 9, '!', 100), 1);
    ck_assert_mem_eq(c, "Wghi!", 5);
    ck_assert_uint_eq(iov_slice(iov, 4, 3, 4, part), 3);
    ck_assert_ptr_eq(part[0].iov_base, a + 3);
    ck_assert_uint_eq(part[2].iov_len, 2);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("virtqueue");
    const int all = G_N_ELEMENTS(modes);

    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, a_chain_comes_back_with_its_bytes, 0, all);
    tcase_add_loop_test(tc, what_goes_through_a_queue_is_counted, 0, all);
    tcase_add_loop_test(tc, rings_go_round_many_times, 0, all);
    tcase_add_loop_test(tc, chains_may_come_back_in_another_order, 0, all);
    tcase_add_loop_test(tc, an_unpopped_chain_is_popped_again, 0, all);
    tcase_add_loop_test(tc, no_interrupt_comes_when_none_is_wanted, 0, all);
    tcase_add_loop_test(tc, an_event_index_is_met_at_its_place, 0, all);
    tcase_add_loop_test(tc, kicks_are_wanted_only_when_the_queue_was_emptied, 0, all);
    tcase_add_test(tc, a_buffer_may_cross_from_one_block_into_the_next);
    tcase_add_test(tc, split_refuses_a_loop);
    tcase_add_test(tc, split_refuses_a_head_out_of_range);
    tcase_add_test(tc, split_refuses_a_next_out_of_range);
    tcase_add_test(tc, split_refuses_an_index_that_jumps);
    tcase_add_test(tc, split_refuses_a_buffer_of_no_bytes);
    tcase_add_test(tc, split_refuses_a_buffer_outside_ram);
    tcase_add_test(tc, split_refuses_readable_behind_writable);
    tcase_add_test(tc, split_refuses_indirect_without_the_feature);
    tcase_add_test(tc, split_refuses_bad_indirect_tables);
    tcase_add_loop_test(tc, a_chain_has_a_bounded_number_of_pieces, 0, all);
    tcase_add_test(tc, a_guest_cannot_have_more_in_flight_than_the_ring_holds);
    tcase_add_test(tc, packed_refuses_a_chain_without_an_end);
    tcase_add_test(tc, packed_refuses_indirect_inside_a_chain);
    tcase_add_test(tc, packed_refuses_bad_indirect_tables);
    tcase_add_test(tc, queues_that_cannot_be_are_refused);
    tcase_add_test(tc, a_packed_ring_of_any_size_works);
    tcase_add_loop_test(tc, split_and_packed_do_the_same_with_random_requests, 0, 8);
    tcase_add_test(tc, scattered_memory_is_copied_within_bounds);
    return suite_run("virtqueue", tc);
}

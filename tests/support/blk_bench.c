/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/blk_bench.h"

#include "tests/unit/suite.h"

const uint64_t blk_bench_rings[BLK_BENCH_RINGS] = {
    0,
    VIRTIO_FEATURE_EVENT_IDX,
    VIRTIO_FEATURE_RING_PACKED,
    VIRTIO_FEATURE_RING_PACKED | VIRTIO_FEATURE_EVENT_IDX | VIRTIO_FEATURE_INDIRECT_DESC,
};

static VirtioBlkConfig config_with(const char *text)
{
    g_autoptr(PropBag) bag = props_parse(text, NULL, NULL);
    g_autoptr(GError) error = NULL;
    VirtioBlkConfig config = {0};

    ck_assert_msg(props_apply(&virtio_blk_props, bag, &config, &error), "%s",
                  error ? error->message : "");
    return config;
}

VirtioDevice *blk_bench_device(GuestMemory *mem, Loop *loop, BlockBackend *drive, const char *text)
{
    VirtioBlkConfig config = config_with(text);
    VirtioDevice *dev = virtio_blk_new("disk0", mem, NULL, loop, drive, &config);

    props_clear(&virtio_blk_props, &config);
    return dev;
}

void blk_bench_init_with(BlkBench *f, const char *text, FakeBlock *fake)
{
    g_autoptr(GError) error = NULL;

    *f = (BlkBench){.mem = guest_mem_new(NULL), .loop = loop_new("test"), .fake = fake};
    ck_assert(guest_mem_add_plain(f->mem, MEMORY_BYTES, NULL));
    f->dev = blk_bench_device(f->mem, f->loop, &f->fake->base, text);
    f->driver = virt_driver_new(f->dev, f->mem, HEAP);
    ck_assert_msg(device_realize(&f->dev->base, &error), "%s", error ? error->message : "");
}

void blk_bench_init(BlkBench *f, const char *text)
{
    blk_bench_init_with(f, text, fake_block_new(DISK_BYTES));
}

void blk_bench_fini(BlkBench *f)
{
    virt_driver_free(f->driver);
    device_free(&f->dev->base);
    block_close(&f->fake->base);
    loop_free(f->loop);
    guest_mem_free(f->mem);
}

static void quit_loop(void *opaque)
{
    loop_quit(opaque);
}

/* Everything that is posted or readable now is served. */
void blk_bench_settle(BlkBench *f)
{
    for (unsigned i = 0; i < 3; i++) {
        loop_post(f->loop, quit_loop, f->loop);
        loop_run(f->loop);
    }
}

void blk_bench_start(BlkBench *f, uint64_t features)
{
    ck_assert(virt_driver_start(f->driver, features, 16));
    blk_bench_settle(f);
}

BlkBenchRequest blk_bench_make(BlkBench *f, uint32_t type, uint64_t sector, uint32_t data_len)
{
    BlkBenchRequest r = {.header = virt_driver_alloc(f->driver, 16, 16),
                         .data = virt_driver_alloc(f->driver, MAX(data_len, 1), 16),
                         .data_len = data_len,
                         .status = virt_driver_alloc(f->driver, 1, 1)};
    uint8_t *header = virt_driver_ptr(f->driver, r.header, 16);

    store_le32(header, type);
    store_le64(header + 8, sector);
    *(uint8_t *)virt_driver_ptr(f->driver, r.status, 1) = S_UNTOUCHED;
    return r;
}

void blk_bench_add(BlkBench *f, unsigned queue, const BlkBenchRequest *r, bool data_writable)
{
    VirtBuffer buffers[3];
    unsigned count = 0;

    buffers[count++] = (VirtBuffer){r->header, 16, false};
    if (r->data_len > 0) {
        buffers[count++] = (VirtBuffer){r->data, r->data_len, data_writable};
    }
    buffers[count++] = (VirtBuffer){r->status, 1, true};
    ck_assert_int_ge(virt_driver_add(f->driver, queue, buffers, count), 0);
}

uint8_t blk_bench_status(BlkBench *f, const BlkBenchRequest *r)
{
    return *(uint8_t *)virt_driver_ptr(f->driver, r->status, 1);
}

uint8_t *blk_bench_data(BlkBench *f, const BlkBenchRequest *r)
{
    return virt_driver_ptr(f->driver, r->data, MAX(r->data_len, 1));
}

void blk_bench_kick(BlkBench *f, unsigned queue)
{
    virt_driver_kick(f->driver, queue);
    blk_bench_settle(f);
}

unsigned blk_bench_take_all(BlkBench *f, unsigned queue)
{
    uint32_t id;
    uint32_t len;
    unsigned count = 0;

    while (virt_driver_take(f->driver, queue, &id, &len)) {
        count++;
    }
    return count;
}

/* One request from beginning to end. */
uint8_t blk_bench_run(BlkBench *f, uint32_t type, uint64_t sector, uint32_t data_len, uint8_t fill)
{
    BlkBenchRequest r = blk_bench_make(f, type, sector, data_len);

    memset(blk_bench_data(f, &r), fill, MAX(data_len, 1));
    blk_bench_add(f, 0, &r, type == T_IN || type == T_GET_ID);
    blk_bench_kick(f, 0);
    ck_assert_uint_eq(blk_bench_take_all(f, 0), 1);
    return blk_bench_status(f, &r);
}

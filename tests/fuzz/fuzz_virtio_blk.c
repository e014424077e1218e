/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The input is a guest: two bytes choose features and how the disk behaves, the rest is its memory,
 * rings included.  Whatever it is, the device must answer, stay inside that memory and let itself
 * be drained, saved and reset.
 */
#include "devices/virtio/blk.h"
#include "devices/virtio/blk_space.h"
#include "devices/virtio/transport.h"
#include "migration/vmstate.h"
#include "tests/support/fake_block.h"
#include "util/bytes.h"

#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MEMORY_BYTES (64 * KIB)
#define DISK_BYTES   (16 * KIB)
#define QUEUES       2u
#define QUEUE_SIZE   8u
#define QUEUE_BYTES  512u
#define ROUNDS       3u

/* The first byte of the input. */
#define PACKED   1u
#define EVENTS   2u
#define INDIRECT 4u
#define RANGES   8u
#define BLOCKS_4 16u

/* The second byte. */
#define HOLD   1u
#define FAIL   2u
#define STOP   4u
#define NEWEST 8u

static void quit_loop(void *opaque)
{
    loop_quit(opaque);
}

static void settle(Loop *loop)
{
    for (unsigned i = 0; i < 2; i++) {
        loop_post(loop, quit_loop, loop);
        loop_run(loop);
    }
}

static void hear(void *opaque, const BlockErrorInfo *info)
{
    *(unsigned *)opaque += info->error != 0;
}

static uint64_t wanted_features(uint8_t choice)
{
    uint64_t features = VIRTIO_FEATURE_VERSION_1 | BLK_FEATURE_FLUSH | BLK_FEATURE_MQ;

    features |= choice & PACKED ? VIRTIO_FEATURE_RING_PACKED : 0;
    features |= choice & EVENTS ? VIRTIO_FEATURE_EVENT_IDX : 0;
    features |= choice & INDIRECT ? VIRTIO_FEATURE_INDIRECT_DESC : 0;
    features |= choice & RANGES ? BLK_FEATURE_DISCARD | BLK_FEATURE_WRITE_ZEROES : 0;
    return features;
}

static void start(VirtioDevice *dev, uint64_t features)
{
    virtio_set_status(dev, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
    virtio_set_driver_features(dev, 0, (uint32_t)features);
    virtio_set_driver_features(dev, 1, (uint32_t)(features >> 32));
    virtio_set_status(dev, VIRTIO_STATUS_FEATURES_OK);
    for (unsigned i = 0; i < QUEUES; i++) {
        virtio_set_queue_size(dev, i, QUEUE_SIZE);
        virtio_set_queue_address(dev, i, VIRTQ_AREA_DESC, 0, i * QUEUE_BYTES);
        virtio_set_queue_address(dev, i, VIRTQ_AREA_DRIVER, 0, i * QUEUE_BYTES + 128);
        virtio_set_queue_address(dev, i, VIRTQ_AREA_DEVICE, 0, i * QUEUE_BYTES + 256);
        virtio_set_queue_ready(dev, i, true);
    }
    virtio_set_status(dev, VIRTIO_STATUS_DRIVER_OK);
}

/* What a host may do at any time: let requests end, drain, save, go on. */
static void play(VirtioDevice *dev, FakeBlock *fake, Loop *loop, uint8_t behaviour)
{
    for (unsigned round = 0; round < ROUNDS; round++) {
        g_autoptr(GByteArray) wire = g_byte_array_new();

        for (unsigned i = 0; i < QUEUES; i++) {
            virtio_kick(dev, i);
        }
        settle(loop);
        if (fake->held && (behaviour & NEWEST)) {
            fake_block_finish_newest(fake, fake->fail_with);
        } else if (fake->held) {
            fake_block_finish_oldest(fake, fake->fail_with);
        }
        if (device_drain(&dev->base, NULL) &&
            vmstate_save(dev->base.ops->vmstate, dev, wire, NULL)) {
            g_assert(wire->len > 0);
        }
        fake->fail_with = 0;
        device_resume(&dev->base);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }

    g_autoptr(GuestMemory) mem = guest_mem_new(NULL);
    g_autoptr(Loop) loop = loop_new("fuzz");
    FakeBlock *fake = fake_block_new(DISK_BYTES);
    unsigned errors = 0;
    const VirtioBlkConfig config = {
        .num_queues = QUEUES,
        .queue_size = QUEUE_SIZE,
        .logical_block_size = data[0] & BLOCKS_4 ? 4096 : 512,
        .physical_block_size = 4096,
        .discard = true,
        .write_zeroes = true,
        .packed = true,
    };

    if (!guest_mem_add_plain(mem, MEMORY_BYTES, NULL)) {
        return 0;
    }
    guest_mem_write(mem, GPA(0), data + 2, MIN(size - 2, MEMORY_BYTES), NULL);
    fake->hold = data[1] & HOLD;
    fake->fail_with = data[1] & FAIL ? EIO : 0;
    fake->base.on_read_error = data[1] & STOP ? BLOCK_ERROR_STOP : BLOCK_ERROR_REPORT;
    fake->base.on_write_error = fake->base.on_read_error;
    fake->base.error_hook = (BlockErrorHook){.raise = hear, .opaque = &errors};

    VirtioDevice *dev = virtio_blk_new("disk", mem, NULL, loop, &fake->base, &config);

    if (device_realize(&dev->base, NULL)) {
        start(dev, wanted_features(data[0]));
        play(dev, fake, loop, data[1]);
        device_reset(&dev->base);
        g_assert(fake->base.in_flight == 0);
    }
    device_free(&dev->base);
    block_close(&fake->base);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Header, data in one or two pieces, status byte: the shape of every block request. */
#include "tests/guest/lib/virtio_blk.h"

#include "tests/guest/lib/x86.h"

#include <stddef.h>

#define STATUS_NONE   0xff
#define CONFIG_QUEUES 34
#define BUFFERS_MAX   4

static unsigned blk_config_queues(const Blk *blk)
{
    unsigned count = mmio_read16(blk->device.base + VIRTIO_MMIO_CONFIG + CONFIG_QUEUES);

    return count < BLK_QUEUES_MAX ? count : BLK_QUEUES_MAX;
}

bool blk_open(Blk *blk, unsigned n, uint64_t wanted_features)
{
    if (!virtio_find(&blk->device, VIRTIO_ID_BLOCK, n) ||
        !virtio_start(&blk->device, wanted_features)) {
        return false;
    }
    blk->queue = 0;
    blk->queue_count = 1;
    if (blk->device.features & BLK_FEATURE_QUEUES) {
        blk->queue_count = blk_config_queues(blk);
    }
    for (unsigned i = 0; i < blk->queue_count; i++) {
        if (!virtqueue_init(&blk->queues[i], &blk->device, i)) {
            return false;
        }
    }
    virtio_driver_ok(&blk->device);
    return true;
}

uint64_t blk_sectors(const Blk *blk)
{
    uint64_t config = blk->device.base + VIRTIO_MMIO_CONFIG;

    return mmio_read32(config) | (uint64_t)mmio_read32(config + 4) << 32;
}

void blk_use_queue(Blk *blk, unsigned queue)
{
    blk->queue = queue;
}

static bool device_writes_data(uint32_t type)
{
    return type == BLK_READ || type == BLK_GET_ID;
}

void blk_submit(Blk *blk, BlkRequest *request)
{
    bool is_input = device_writes_data(request->header.type);
    uint32_t split = request->split;
    VirtBuffer buffers[BUFFERS_MAX];
    unsigned count = 0;

    request->status = STATUS_NONE;
    request->is_done = false;
    buffers[count++] = (VirtBuffer){&request->header, sizeof(request->header), false};
    if (split && split < request->length) {
        buffers[count++] = (VirtBuffer){request->data, split, is_input};
        buffers[count++] =
            (VirtBuffer){(uint8_t *)request->data + split, request->length - split, is_input};
    } else if (request->length) {
        buffers[count++] = (VirtBuffer){request->data, request->length, is_input};
    }
    buffers[count++] = (VirtBuffer){&request->status, 1, true};
    blk->in_flight[virtqueue_add(&blk->queues[blk->queue], buffers, count)] = request;
    blk->in_flight_count++;
}

void blk_kick(Blk *blk)
{
    virtqueue_kick(&blk->queues[blk->queue]);
}

static void finish(Blk *blk, uint16_t head, uint32_t length)
{
    blk->in_flight[head]->used_length = length;
    blk->in_flight[head]->is_done = true;
    blk->in_flight[head] = NULL;
    blk->in_flight_count--;
}

bool blk_wait_all(Blk *blk)
{
    while (blk->in_flight_count) {
        uint32_t length;
        uint16_t head;

        if (!virtqueue_wait(&blk->queues[blk->queue], &head, &length)) {
            return false;
        }
        finish(blk, head, length);
    }
    return true;
}

bool blk_sleep(Blk *blk, const volatile bool *is_overdue)
{
    uint32_t length;
    uint16_t head;

    if (!virtqueue_sleep(&blk->queues[blk->queue], is_overdue, &head, &length)) {
        return false;
    }
    finish(blk, head, length);
    return true;
}

uint8_t blk_do(Blk *blk, uint32_t type, uint64_t sector, void *data, uint32_t length)
{
    BlkRequest request = {
        .header = {.type = type, .sector = sector}, .data = data, .length = length};

    blk_submit(blk, &request);
    blk_kick(blk);
    return blk_wait_all(blk) ? request.status : STATUS_NONE;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of a virtio device survives a save: the negotiation and, of each queue, its registers and
 * positions.  The rings themselves are in guest memory.  A device is saved drained, so nothing is
 * in flight but what the device holds and saves itself; it is loaded after a reset, and started
 * again by resume.
 */
#include "devices/virtio/virtio.h"
#include "migration/vmstate.h"
#include "util/error.h"

#include <inttypes.h>

static const VmStateField queue_fields[] = {
    VMSTATE_FIELD_U16(VirtQueue, size, 1),
    VMSTATE_FIELD_BOOL(VirtQueue, ready, 1),
    VMSTATE_FIELD_U64(VirtQueue, desc_address, 1),
    VMSTATE_FIELD_U64(VirtQueue, driver_address, 1),
    VMSTATE_FIELD_U64(VirtQueue, device_address, 1),
    VMSTATE_FIELD_U16(VirtQueue, last_avail, 1),
    VMSTATE_FIELD_U16(VirtQueue, last_used, 1),
    VMSTATE_FIELD_BOOL(VirtQueue, avail_wrap, 1),
    VMSTATE_FIELD_BOOL(VirtQueue, used_wrap, 1),
    VMSTATE_FIELD_U16(VirtQueue, unsignalled, 1),
    VMSTATE_FIELD_U32(VirtQueue, in_flight, 1),
};

static bool queue_pre_save(void *opaque, GError **error)
{
    const VirtQueue *q = opaque;

    if (q->in_flight != 0 && !q->dev->ops->saves_requests) {
        return fail(error, VMM_ERROR_STATE, "in_flight: %" PRIu32 " requests are not finished",
                    q->in_flight);
    }
    return true;
}

/*
 * What lies between the two positions is in flight: places in a packed ring, whose wrap bits differ
 * while one of the positions is a round ahead, and counts in a split one.
 */
static uint32_t distance(const VirtQueue *q)
{
    if (q->avail_wrap != q->used_wrap) {
        return (uint32_t)q->last_avail + q->size - q->last_used;
    }
    return (uint16_t)(q->last_avail - q->last_used);
}

static bool queue_post_load(void *opaque, uint32_t version, GError **error)
{
    const VirtQueue *q = opaque;

    (void)version;
    if (q->ready && (q->size == 0 || q->size > q->max_size)) {
        return fail(error, VMM_ERROR_WIRE, "size: %u, expected 1..%u", q->size, q->max_size);
    }
    if (q->in_flight > (q->ready && q->dev->ops->saves_requests ? q->size : 0)) {
        return fail(error, VMM_ERROR_WIRE, "in_flight: %" PRIu32 " are too many", q->in_flight);
    }
    if (distance(q) != q->in_flight) {
        return fail(error, VMM_ERROR_WIRE,
                    "last_avail: %u, last_used: %u, but %" PRIu32 " are in flight", q->last_avail,
                    q->last_used, q->in_flight);
    }
    return true;
}

static const VmStateDesc queue_vmstate = {
    .name = "virtqueue",
    .version = 1,
    .min_version = 1,
    .fields = queue_fields,
    .num_fields = G_N_ELEMENTS(queue_fields),
    .pre_save = queue_pre_save,
    .post_load = queue_post_load,
};

static const VmStateField virtio_fields[] = {
    VMSTATE_FIELD_U8(VirtioDevice, status, 1),
    VMSTATE_FIELD_U64(VirtioDevice, features, 1),
    VMSTATE_FIELD_BOOL(VirtioDevice, broken, 1),
    VMSTATE_FIELD_U32(VirtioDevice, generation, 1),
    VMSTATE_FIELD_STRUCTS_BEHIND(VirtioDevice, queue, num_queues, VIRTIO_MAX_QUEUES, VirtQueue,
                                 &queue_vmstate, 1),
};

static bool check_negotiation(const VirtioDevice *dev, GError **error)
{
    uint64_t foreign = dev->features & ~dev->host_features;

    if (dev->status & VIRTIO_STATUS_FEATURES_OK) {
        if (foreign != 0) {
            return fail(error, VMM_ERROR_WIRE, "features: 0x%" PRIx64 " are not offered here",
                        foreign);
        }
        if (!virtio_has_feature(dev, VIRTIO_FEATURE_VERSION_1) ||
            (dev->ops->check_features && !dev->ops->check_features(dev, dev->features))) {
            return fail(error, VMM_ERROR_WIRE, "features: 0x%" PRIx64 " do not go together",
                        dev->features);
        }
    } else if (dev->status & VIRTIO_STATUS_DRIVER_OK) {
        return fail(error, VMM_ERROR_WIRE, "status: 0x%x is ready without FEATURES_OK",
                    dev->status);
    }
    if (dev->status & ~VIRTIO_STATUS_SETTABLE) {
        return fail(error, VMM_ERROR_WIRE, "status: 0x%x has unknown bits", dev->status);
    }
    return true;
}

/* vCPUs are parked and nothing serves: no lock is needed. */
static bool virtio_post_load(void *opaque, uint32_t version, GError **error)
{
    VirtioDevice *dev = opaque;

    (void)version;
    if (dev->started) {
        return fail(error, VMM_ERROR_STATE, "status: the device was not reset before a load");
    }
    if (!check_negotiation(dev, error)) {
        return false;
    }
    for (unsigned i = 0; i < dev->num_queues; i++) {
        VirtQueue *q = &dev->queue[i];

        if (!q->ready) {
            continue;
        }
        if (!(dev->status & VIRTIO_STATUS_FEATURES_OK)) {
            return fail(error, VMM_ERROR_WIRE, "queue[%u].ready: set before FEATURES_OK", i);
        }
        if (!virtq_enable(q, dev->mem, dev->features, error)) {
            g_prefix_error(error, "queue[%u].", i);
            return false;
        }
    }
    return true;
}

const VmStateDesc virtio_vmstate = {
    .name = "virtio",
    .version = 1,
    .min_version = 1,
    .fields = virtio_fields,
    .num_fields = G_N_ELEMENTS(virtio_fields),
    .post_load = virtio_post_load,
};

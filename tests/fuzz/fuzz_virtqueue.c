/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that may do anything: the input chooses features, queue size and addresses, and is the
 * content of guest memory.
 *
 *     byte 0     bit 0 packed, 1 event index, 2 indirect, 3 hold requests, 4 save and load midway
 *     byte 1     queue size
 *     bytes 2-7  the three ring addresses, in units of 4 bytes
 *     the rest   guest memory from 0 on
 */
#include "devices/virtio/transport.h"
#include "migration/vmstate.h"
#include "tests/support/virtio_probe.h"
#include "util/bytes.h"

#define RAM_BYTES  (64 * KIB)
#define HEAD_BYTES 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void interrupt(void *opaque, VirtioInterrupt kind, unsigned queue)
{
    (void)kind;
    (void)queue;
    *(unsigned *)opaque += 1;
}

static void set_address(VirtioDevice *dev, VirtqArea area, const uint8_t *at)
{
    for (uint32_t queue = 0; queue < PROBE_QUEUES; queue++) {
        virtio_set_queue_address(dev, queue, area, 0, load_le16(at) * 4U);
    }
}

static void set_up(VirtioDevice *dev, const uint8_t *head)
{
    uint64_t features = VIRTIO_FEATURE_VERSION_1 | VIRTIO_FEATURE_RING_RESET;

    features |= head[0] & 1 ? VIRTIO_FEATURE_RING_PACKED : 0;
    features |= head[0] & 2 ? VIRTIO_FEATURE_EVENT_IDX : 0;
    features |= head[0] & 4 ? VIRTIO_FEATURE_INDIRECT_DESC : 0;
    virtio_set_driver_features(dev, 0, (uint32_t)features);
    virtio_set_driver_features(dev, 1, (uint32_t)(features >> 32));
    virtio_set_status(dev, VIRTIO_STATUS_FEATURES_OK);
    set_address(dev, VIRTQ_AREA_DESC, head + 2);
    set_address(dev, VIRTQ_AREA_DRIVER, head + 4);
    set_address(dev, VIRTQ_AREA_DEVICE, head + 6);
    for (uint32_t queue = 0; queue < PROBE_QUEUES; queue++) {
        virtio_set_queue_size(dev, queue, head[1]);
        virtio_set_queue_ready(dev, queue, true);
    }
    virtio_set_status(dev, VIRTIO_STATUS_FEATURES_OK | VIRTIO_STATUS_DRIVER_OK);
}

/* What a drained device saved, it must accept again. */
static void save_and_load(VirtioProbe *probe)
{
    g_autoptr(GByteArray) state = g_byte_array_new();
    bool ok = device_drain(&probe->base.base, NULL) &&
              vmstate_save(&virtio_probe_vmstate, probe, state, NULL);

    g_assert(ok);
    device_reset(&probe->base.base);
    ok = vmstate_load(&virtio_probe_vmstate, probe, state->data, state->len, NULL);
    g_assert(ok);
    device_resume(&probe->base.base);
}

static void drive(VirtioProbe *probe, const uint8_t *head)
{
    VirtioDevice *dev = &probe->base;

    probe->hold = head[0] & 8;
    set_up(dev, head);
    for (unsigned round = 0; round < 3; round++) {
        virtio_kick(dev, round % PROBE_QUEUES);
        if (round == 1 && (head[0] & 16)) {
            save_and_load(probe);
        }
    }
    virtio_reset_queue(dev, 0);
    virtio_kick(dev, 0);
    virtio_set_status(dev, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GuestMemory) mem = guest_mem_new(NULL);
    unsigned interrupts = 0;
    const VirtioTransport transport = {.interrupt = interrupt, .opaque = &interrupts};

    if (size < HEAD_BYTES || size > HEAD_BYTES + RAM_BYTES ||
        !guest_mem_add_plain(mem, RAM_BYTES, NULL) ||
        !guest_mem_write(mem, GPA(0), data + HEAD_BYTES, size - HEAD_BYTES, NULL)) {
        return 0;
    }

    VirtioProbe *probe = virtio_probe_new(mem, NULL, NULL);
    bool ok = device_realize(&probe->base.base, NULL);

    g_assert(ok);
    virtio_attach(&probe->base, &transport);
    drive(probe, data);
    device_free(&probe->base.base);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Echoes, or holds on to what it was given. */
#include "tests/support/virtio_probe.h"

#include "migration/vmstate.h"
#include "util/bytes.h"

typedef struct ProbeRequest {
    VirtChain chain;
    VirtQueue *q;
} ProbeRequest;

static void probe_request_free(void *opaque)
{
    ProbeRequest *request = opaque;

    virt_chain_clear(&request->chain);
    g_free(request);
}

static void probe_echo(VirtQueue *q, const VirtChain *chain)
{
    uint8_t data[512];
    uint64_t done = 0;

    while (done < chain->in_bytes) {
        uint64_t n = virt_chain_read(chain, done, data, MIN(sizeof(data), chain->in_bytes - done));

        if (n == 0) {
            break;
        }
        done += virt_chain_write(chain, done, data, n);
    }
    virtq_push(q, chain, (uint32_t)done);
}

static bool probe_handle_queue(VirtioDevice *dev, VirtQueue *q)
{
    VirtioProbe *probe = (VirtioProbe *)dev;

    probe->runs++;
    for (;;) {
        ProbeRequest *request = g_new0(ProbeRequest, 1);

        request->q = q;
        if (!virtq_pop(q, &request->chain)) {
            probe_request_free(request);
            return true;
        }
        if (probe->hold) {
            g_ptr_array_add(probe->held, request);
            continue;
        }
        probe_echo(q, &request->chain);
        probe_request_free(request);
    }
}

void virtio_probe_release(VirtioProbe *probe)
{
    while (probe->held->len > 0) {
        ProbeRequest *request = g_ptr_array_index(probe->held, probe->held->len - 1);

        probe_echo(request->q, &request->chain);
        g_ptr_array_set_size(probe->held, (gint)probe->held->len - 1);
    }
    for (unsigned i = 0; i < probe->base.num_queues; i++) {
        virtq_notify(&probe->base.queue[i]);
    }
}

static bool probe_check_features(const VirtioDevice *dev, uint64_t features)
{
    (void)dev;
    return !(features & PROBE_REFUSED);
}

static void probe_config_write(VirtioDevice *dev, unsigned offset, unsigned size, uint64_t value)
{
    VirtioProbe *probe = (VirtioProbe *)dev;

    if (range_fits(offset, size, 4)) {
        store_le(probe->config + offset, size, value);
    }
}

static void probe_activate(VirtioDevice *dev)
{
    ((VirtioProbe *)dev)->activations++;
}

static bool probe_drain(VirtioDevice *dev, GError **error)
{
    (void)error;
    virtio_probe_release((VirtioProbe *)dev);
    return true;
}

static void probe_deactivate(VirtioDevice *dev)
{
    virtio_probe_release((VirtioProbe *)dev);
    ((VirtioProbe *)dev)->deactivations++;
}

static void probe_reset(VirtioDevice *dev)
{
    ((VirtioProbe *)dev)->resets++;
}

static void probe_finalize(VirtioDevice *dev)
{
    g_ptr_array_unref(((VirtioProbe *)dev)->held);
}

static const VirtioOps probe_virtio_ops = {
    .device_id = 42,
    .finalize = probe_finalize,
    .check_features = probe_check_features,
    .config_write = probe_config_write,
    .activate = probe_activate,
    .deactivate = probe_deactivate,
    .handle_queue = probe_handle_queue,
    .drain = probe_drain,
    .reset = probe_reset,
};

static const VmStateField probe_fields[] = {
    VMSTATE_FIELD_STRUCT(VirtioProbe, base, VirtioDevice, &virtio_vmstate, 1),
    VMSTATE_FIELD_BYTES(VirtioProbe, config, 1),
    VMSTATE_FIELD_U32(VirtioProbe, notes, 1),
};

const VmStateDesc virtio_probe_vmstate = {
    .name = "virtio-probe",
    .version = 1,
    .min_version = 1,
    .fields = probe_fields,
    .num_fields = G_N_ELEMENTS(probe_fields),
};

static const DeviceOps probe_ops = {
    .name = "virtio-probe",
    VIRTIO_DEVICE_OPS,
    .vmstate = &virtio_probe_vmstate,
};

VirtioProbe *virtio_probe_new(GuestMemory *mem, const VirtioHost *host, Loop *loop)
{
    const VirtioInit init = {
        .ops = &probe_virtio_ops,
        .mem = mem,
        .host = host,
        .loop = loop,
        .num_queues = PROBE_QUEUES,
        .queue_size = PROBE_QUEUE_SIZE,
        .features = PROBE_FEATURE | PROBE_REFUSED | VIRTIO_FEATURE_RING_PACKED,
    };
    VirtioProbe *probe = virtio_device_alloc(&probe_ops, "probe0", sizeof(*probe), &init);

    virtio_set_config(&probe->base, probe->config, sizeof(probe->config));
    probe->base.wants_loop = true;
    probe->held = g_ptr_array_new_with_free_func(probe_request_free);
    return probe;
}

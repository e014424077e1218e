/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_VIRTIO_PROBE_H
#define TESTS_SUPPORT_VIRTIO_PROBE_H

/*
 * The simplest virtio device with everything that the core offers: each chain comes back with its
 * readable bytes copied to its writable part, at once or (hold) when the device is told to.
 */

#include "devices/virtio/virtio.h"

#define PROBE_QUEUES     2
#define PROBE_QUEUE_SIZE 256
#define PROBE_FEATURE    VIRTIO_BIT(3)
#define PROBE_REFUSED    VIRTIO_BIT(4) /* offered, but check_features says no */

typedef struct VirtioProbe {
    VirtioDevice base;
    uint8_t config[8]; /* the first four bytes are writable */

    /* serving thread; tests look after a drain or without a loop */
    bool hold;
    GPtrArray *held; /* requests, given back by drain or probe_release */
    unsigned activations;
    unsigned deactivations;
    unsigned runs;
    unsigned resets;
    uint32_t notes; /* state of its own */
} VirtioProbe;

VirtioProbe *virtio_probe_new(GuestMemory *mem, const VirtioHost *host, Loop *loop);

/* Serving thread: gives back what is held, the newest first. */
void virtio_probe_release(VirtioProbe *probe);

extern const VmStateDesc virtio_probe_vmstate;

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEVICES_VIRTIO_RNG_H
#define DEVICES_VIRTIO_RNG_H

/* virtio-rng: fills what the guest offers with random bytes, as fast as it is allowed to. */

#include "devices/virtio/virtio.h"
#include "util/fd_set.h"

typedef struct VirtioRngConfig {
    const char *filename;  /* rng-random; NULL is rng-builtin, the host kernel's generator */
    const FdSets *fd_sets; /* what filename may name; may be NULL */
    uint64_t max_bytes;    /* in each period; 0 = no limit */
    uint32_t period_ms;
} VirtioRngConfig;

/* host and loop as in VirtioInit. */
VirtioDevice *virtio_rng_new(const char *id, GuestMemory *mem, const VirtioHost *host, Loop *loop,
                             const VirtioRngConfig *config);

extern const VmStateDesc virtio_rng_vmstate; /* for state_tables.c */

#endif

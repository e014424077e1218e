/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEVICES_VIRTIO_BLK_H
#define DEVICES_VIRTIO_BLK_H

/*
 * virtio-blk: requests of the guest become requests to a block back end.
 *
 * Needs a loop.  The drive stays its owner's and must outlive the device; while the device has it,
 * nobody else sends requests to it.
 *
 * Where a drive's error policy is `stop`, a request that failed waits in here: the machine stops
 * the VM (it heard of the error through the drive's hook), which drains the device, and resume
 * sends the request again.  A state is only saved without such requests.
 */

#include "devices/backend/block.h"
#include "devices/virtio/virtio.h"
#include "util/props.h"

typedef struct VirtioBlkConfig {
    char *drive;
    char *serial; /* at most 20 bytes; NULL: empty */
    char *iothread;
    uint64_t num_queues;
    uint64_t queue_size;
    uint64_t bootindex;
    uint64_t logical_block_size;
    uint64_t physical_block_size;
    uint64_t min_io_size;
    uint64_t opt_io_size;
    OnOffAuto write_cache; /* auto: as the drive's cache mode says */
    bool config_wce;       /* the guest may choose */
    bool discard;
    bool write_zeroes;
    bool packed;
} VirtioBlkConfig;

extern const PropTable virtio_blk_props;

/*
 * config was made by virtio_blk_props (the words that name other objects, drive and iothread, are
 * for the caller); drive and loop are what they name.
 */
VirtioDevice *virtio_blk_new(const char *id, GuestMemory *mem, const VirtioHost *host, Loop *loop,
                             BlockBackend *drive, const VirtioBlkConfig *config);

extern const VmStateDesc virtio_blk_vmstate; /* for state_tables.c */

#endif

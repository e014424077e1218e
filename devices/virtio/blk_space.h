/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEVICES_VIRTIO_BLK_SPACE_H
#define DEVICES_VIRTIO_BLK_SPACE_H

/* What a virtio-blk device tells its driver before any request: features, configuration space. */

#include "devices/virtio/blk.h"

#define BLK_SERIAL_BYTES         20u

#define BLK_FEATURE_SEG_MAX      VIRTIO_BIT(2)
#define BLK_FEATURE_RO           VIRTIO_BIT(5)
#define BLK_FEATURE_BLK_SIZE     VIRTIO_BIT(6)
#define BLK_FEATURE_FLUSH        VIRTIO_BIT(9)
#define BLK_FEATURE_TOPOLOGY     VIRTIO_BIT(10)
#define BLK_FEATURE_CONFIG_WCE   VIRTIO_BIT(11)
#define BLK_FEATURE_MQ           VIRTIO_BIT(12)
#define BLK_FEATURE_DISCARD      VIRTIO_BIT(13)
#define BLK_FEATURE_WRITE_ZEROES VIRTIO_BIT(14)

/* The most that one DISCARD or WRITE_ZEROES may name: 2 GiB less a little, as QEMU has it. */
#define BLK_MAX_RANGE_SECTORS 4194303u

/* Where the fields of the configuration space lie. */
enum {
    BLK_CONFIG_CAPACITY = 0,
    BLK_CONFIG_SEG_MAX = 12,
    BLK_CONFIG_BLK_SIZE = 20,
    BLK_CONFIG_PHYSICAL_EXPONENT = 24,
    BLK_CONFIG_MIN_IO_SIZE = 26,
    BLK_CONFIG_OPT_IO_SIZE = 28,
    BLK_CONFIG_WRITEBACK = 32,
    BLK_CONFIG_NUM_QUEUES = 34,
    BLK_CONFIG_MAX_DISCARD_SECTORS = 36,
    BLK_CONFIG_MAX_DISCARD_SEG = 40,
    BLK_CONFIG_DISCARD_ALIGNMENT = 44,
    BLK_CONFIG_MAX_WRITE_ZEROES_SECTORS = 48,
    BLK_CONFIG_MAX_WRITE_ZEROES_SEG = 52,
    BLK_CONFIG_WRITE_ZEROES_MAY_UNMAP = 56,
    BLK_CONFIG_BYTES = 60,
};

uint64_t blk_space_features(const BlockBackend *drive, const VirtioBlkConfig *config);

/* Everything but the state of the write cache. */
void blk_space_fill(uint8_t space[BLK_CONFIG_BYTES], const BlockBackend *drive,
                    const VirtioBlkConfig *config);

#endif

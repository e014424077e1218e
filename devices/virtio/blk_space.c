/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio/blk_space.h"

#include "util/bytes.h"

/* clang-format off */
#define OPTION(name_, type_, member, ...) \
    {.name = (name_), .type = (type_), .offset = offsetof(VirtioBlkConfig, member), __VA_ARGS__}

static const PropDesc blk_descs[] = {
    OPTION("drive", PROP_STRING, drive, .required = true, .help = "id of the drive behind it"),
    OPTION("serial", PROP_STRING, serial, .max = BLK_SERIAL_BYTES, .help = "what the guest reads"),
    OPTION("iothread", PROP_STRING, iothread, .help = "id of the iothread that serves it"),
    OPTION("num-queues", PROP_UINT, num_queues, .min = 1, .max = VIRTIO_MAX_QUEUES,
           .default_text = "1", .help = "request queues"),
    OPTION("queue-size", PROP_UINT, queue_size, .min = 2, .max = VIRTQ_MAX_SEGMENTS,
           .power_of_two = true, .default_text = "256", .help = "requests that a queue holds"),
    OPTION("bootindex", PROP_UINT, bootindex, .ignored = true,
           .help = "there is no firmware that would choose"),
    OPTION("logical_block_size", PROP_SIZE, logical_block_size, .min = BLOCK_SECTOR_BYTES,
           .max = 2 * MIB, .power_of_two = true, .default_text = "512",
           .help = "smallest unit that the guest may address"),
    OPTION("physical_block_size", PROP_SIZE, physical_block_size, .min = BLOCK_SECTOR_BYTES,
           .max = 2 * MIB, .power_of_two = true, .default_text = "512",
           .help = "unit that the guest had better write"),
    OPTION("min_io_size", PROP_SIZE, min_io_size, .max = UINT16_MAX * BLOCK_SECTOR_BYTES,
           .help = "smallest good request"),
    OPTION("opt_io_size", PROP_SIZE, opt_io_size, .max = UINT32_MAX, .help = "best request"),
    OPTION("write-cache", PROP_ON_OFF_AUTO, write_cache,
           .help = "the guest sees a write cache; auto: as the drive's cache mode says"),
    OPTION("config-wce", PROP_BOOL, config_wce, .default_text = "on",
           .help = "the guest may turn the write cache off and on"),
    OPTION("discard", PROP_BOOL, discard, .default_text = "on", .help = "the guest may discard"),
    OPTION("write-zeroes", PROP_BOOL, write_zeroes, .default_text = "on",
           .help = "the guest may have zeros written"),
    OPTION("packed", PROP_BOOL, packed, .help = "offer the packed ring"),
};
/* clang-format on */

const PropTable virtio_blk_props =
    PROP_TABLE("device virtio-blk-device", blk_descs, VirtioBlkConfig);

uint64_t blk_space_features(const BlockBackend *drive, const VirtioBlkConfig *config)
{
    uint64_t features =
        BLK_FEATURE_SEG_MAX | BLK_FEATURE_BLK_SIZE | BLK_FEATURE_FLUSH | BLK_FEATURE_TOPOLOGY;

    features |= config->config_wce ? BLK_FEATURE_CONFIG_WCE : 0;
    features |= config->num_queues > 1 ? BLK_FEATURE_MQ : 0;
    features |= config->packed ? VIRTIO_FEATURE_RING_PACKED : 0;
    if (drive->read_only) {
        return features | BLK_FEATURE_RO;
    }
    features |= config->discard ? BLK_FEATURE_DISCARD : 0;
    features |= config->write_zeroes ? BLK_FEATURE_WRITE_ZEROES : 0;
    return features;
}

void blk_space_fill(uint8_t space[BLK_CONFIG_BYTES], const BlockBackend *drive,
                    const VirtioBlkConfig *config)
{
    uint64_t block = config->logical_block_size;
    /* With header and status, the longest request fills the ring or what one call of the host takes. */
    uint64_t seg_max = MIN(config->queue_size, BLOCK_MAX_SEGMENTS) - 2;

    store_le64(&space[BLK_CONFIG_CAPACITY], block_size(drive) / BLOCK_SECTOR_BYTES);
    store_le32(&space[BLK_CONFIG_SEG_MAX], (uint32_t)MAX(seg_max, 1));
    store_le32(&space[BLK_CONFIG_BLK_SIZE], (uint32_t)block);
    if (config->physical_block_size > block) {
        space[BLK_CONFIG_PHYSICAL_EXPONENT] =
            (uint8_t)__builtin_ctzll(config->physical_block_size / block);
    }
    store_le16(&space[BLK_CONFIG_MIN_IO_SIZE], (uint16_t)(config->min_io_size / block));
    store_le32(&space[BLK_CONFIG_OPT_IO_SIZE], (uint32_t)(config->opt_io_size / block));
    store_le16(&space[BLK_CONFIG_NUM_QUEUES], (uint16_t)config->num_queues);
    store_le32(&space[BLK_CONFIG_MAX_DISCARD_SECTORS], BLK_MAX_RANGE_SECTORS);
    store_le32(&space[BLK_CONFIG_MAX_DISCARD_SEG], 1);
    store_le32(&space[BLK_CONFIG_DISCARD_ALIGNMENT], (uint32_t)(block / BLOCK_SECTOR_BYTES));
    store_le32(&space[BLK_CONFIG_MAX_WRITE_ZEROES_SECTORS], BLK_MAX_RANGE_SECTORS);
    store_le32(&space[BLK_CONFIG_MAX_WRITE_ZEROES_SEG], 1);
    space[BLK_CONFIG_WRITE_ZEROES_MAY_UNMAP] = 1;
}

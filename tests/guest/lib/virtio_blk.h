/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to a virtio block device: several at a time, each with its own status byte. */
#ifndef TESTS_GUEST_LIB_VIRTIO_BLK_H
#define TESTS_GUEST_LIB_VIRTIO_BLK_H

#include "tests/guest/lib/virtio.h"

#include <stdbool.h>
#include <stdint.h>

#define BLK_SECTOR               512

#define BLK_READ                 0
#define BLK_WRITE                1
#define BLK_FLUSH                4
#define BLK_GET_ID               8
#define BLK_DISCARD              11
#define BLK_WRITE_ZEROES         13

#define BLK_OK                   0
#define BLK_IO_ERROR             1
#define BLK_UNSUPPORTED          2

#define BLK_FEATURE_READ_ONLY    (1ull << 5)
#define BLK_FEATURE_FLUSH        (1ull << 9)
#define BLK_FEATURE_QUEUES       (1ull << 12)
#define BLK_FEATURE_DISCARD      (1ull << 13)
#define BLK_FEATURE_WRITE_ZEROES (1ull << 14)

#define BLK_ID_BYTES             20

#define BLK_QUEUES_MAX           8

typedef struct BlkHeader {
    uint32_t type;
    uint32_t reserved;
    uint64_t sector;
} BlkHeader;

typedef struct BlkRange {
    uint64_t sector;
    uint32_t count;
    uint32_t flags;
} BlkRange;

/*
 * type, sector, data and length are the caller's to fill in; split cuts the data in two buffers
 * when it is neither 0 nor length.  Must stay where it is from blk_submit() to its end.
 */
typedef struct BlkRequest {
    BlkHeader header;
    void *data;
    uint32_t length;
    uint32_t split;
    volatile uint8_t status;
    volatile bool is_done;
    uint32_t used_length;
} BlkRequest;

typedef struct Blk {
    VirtioDevice device;
    VirtQueue queues[BLK_QUEUES_MAX];
    unsigned queue_count; /* more than one only if BLK_FEATURE_QUEUES was agreed */
    unsigned queue;       /* the one that requests go to */
    BlkRequest *in_flight[VIRTQUEUE_SIZE];
    unsigned in_flight_count;
} Blk;

/* The n-th block device with all its queues ready, the first in use; false when there is none. */
bool blk_open(Blk *blk, unsigned n, uint64_t wanted_features);
uint64_t blk_sectors(const Blk *blk);

/* Nothing may be in flight. */
void blk_use_queue(Blk *blk, unsigned queue);

void blk_submit(Blk *blk, BlkRequest *request);
void blk_kick(Blk *blk);

/* Waits for all; false when patience ends first. */
bool blk_wait_all(Blk *blk);

/* Waits for one, as virtqueue_sleep() does. */
bool blk_sleep(Blk *blk, const volatile bool *is_overdue);

/* One request from start to end; 0xff when it does not end. */
uint8_t blk_do(Blk *blk, uint32_t type, uint64_t sector, void *data, uint32_t length);

#endif

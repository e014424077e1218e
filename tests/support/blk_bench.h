/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_BLK_BENCH_H
#define TESTS_SUPPORT_BLK_BENCH_H

/* A virtio-blk device between a test's driver and a disk in memory, all on one thread. */

#include "devices/virtio/blk.h"
#include "devices/virtio/blk_space.h"
#include "tests/support/fake_block.h"
#include "tests/support/virtio_driver.h"
#include "util/bytes.h"

#define MEMORY_BYTES (4 * MIB)
#define HEAP         0x10000
#define DISK_BYTES   (256 * KIB)

#define T_IN         0
#define T_OUT        1
#define T_FLUSH      4
#define T_GET_ID     8
#define T_DISCARD    11
#define T_ZEROES     13

#define S_OK         0
#define S_IOERR      1
#define S_UNSUPP     2
#define S_UNTOUCHED  0xee

#define USUAL_FEATURES \
    (BLK_FEATURE_FLUSH | BLK_FEATURE_CONFIG_WCE | BLK_FEATURE_DISCARD | BLK_FEATURE_WRITE_ZEROES)

typedef struct BlkBench {
    GuestMemory *mem;
    Loop *loop;
    FakeBlock *fake;
    VirtioDevice *dev;
    VirtDriver *driver;
    unsigned errors;
} BlkBench;

/* A request in guest memory; data sits between header and status. */
typedef struct BlkBenchRequest {
    uint64_t header;
    uint64_t data;
    uint32_t data_len;
    uint64_t status;
} BlkBenchRequest;

/* What a ring can be: split or packed, with and without the event index. */
#define BLK_BENCH_RINGS 4
extern const uint64_t blk_bench_rings[BLK_BENCH_RINGS];

/* text is what -device says. */
VirtioDevice *blk_bench_device(GuestMemory *mem, Loop *loop, BlockBackend *drive, const char *text);
void blk_bench_init(BlkBench *f, const char *text);
void blk_bench_init_with(BlkBench *f, const char *text, FakeBlock *fake);
void blk_bench_fini(BlkBench *f);

/* Everything that is posted or readable now is served. */
void blk_bench_settle(BlkBench *f);
void blk_bench_start(BlkBench *f, uint64_t features);
BlkBenchRequest blk_bench_make(BlkBench *f, uint32_t type, uint64_t sector, uint32_t data_len);
void blk_bench_add(BlkBench *f, unsigned queue, const BlkBenchRequest *r, bool data_writable);
uint8_t blk_bench_status(BlkBench *f, const BlkBenchRequest *r);
uint8_t *blk_bench_data(BlkBench *f, const BlkBenchRequest *r);
void blk_bench_kick(BlkBench *f, unsigned queue);

/* How many chains came back. */
unsigned blk_bench_take_all(BlkBench *f, unsigned queue);

/* One request from beginning to end: its status. */
uint8_t blk_bench_run(BlkBench *f, uint32_t type, uint64_t sector, uint32_t data_len, uint8_t fill);

#endif

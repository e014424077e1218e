/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEVICES_BACKEND_BLOCK_FILE_SLOW_H
#define DEVICES_BACKEND_BLOCK_FILE_SLOW_H

/* The inside of a file node, and the calls of it that block and so run in the pool. */

#include "devices/backend/block_file.h"

#include <stdatomic.h>

typedef struct BlockFile {
    BlockBackend base;

    /* fixed after opening */
    int fd;
    bool is_device;
    bool no_flush;
    BlockAio aio;
    BlockDetectZeroes detect_zeroes;

    /* loop thread only */
    BlockRequest *waiting; /* behind one that must be alone */
    unsigned running;
    bool alone;
    bool unsafe; /* something was written since the last flush began */
    unsigned flushing;

    /* any thread */
    atomic_bool cannot_zero; /* fallocate was refused once */
} BlockFile;

BlockRequest *block_file_request(BlockIo *io);

/* The rest of a READ or WRITE, through a buffer that is aligned as the host wants it: bytes done. */
int64_t block_file_bounce(BlockIo *io);

/* 0 or -errno. */
int64_t block_file_write_zeroes(BlockIo *io);
int64_t block_file_discard(BlockIo *io);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEVICES_BACKEND_BLOCK_FILE_H
#define DEVICES_BACKEND_BLOCK_FILE_H

/*
 * The node at the end of the chain: a raw image file or a block device of the host.
 *
 * The size is rounded up to whole sectors; what lies behind the end of a file reads as zeros.
 * Whatever alignment the host wants for O_DIRECT, every request works: what does not fit goes
 * through a bounce buffer, and a write that covers only a part of a host block is alone while the
 * rest of the block is read and put back.
 */

#include "devices/backend/block.h"
#include "devices/backend/block_lock.h"
#include "util/fd_set.h"

typedef enum {
    BLOCK_AIO_URING,
    BLOCK_AIO_THREADS,
    BLOCK_AIO_OFF, /* each request blocks the loop until it is done */
} BlockAio;

typedef enum {
    BLOCK_DETECT_ZEROES_OFF,
    BLOCK_DETECT_ZEROES_ON,
    BLOCK_DETECT_ZEROES_UNMAP,
} BlockDetectZeroes;

typedef struct BlockFileConfig {
    const char *path;
    const FdSets *fd_sets; /* what path may name; may be NULL */
    bool read_only;
    bool direct;   /* O_DIRECT */
    bool no_flush; /* flushes do nothing: a host crash loses data */
    bool discard;  /* give space back */
    BlockAio aio;
    BlockDetectZeroes detect_zeroes;
    BlockLocking locking;
} BlockFileConfig;

BlockBackend *block_file_open(const BlockFileConfig *config, GError **error);

#endif

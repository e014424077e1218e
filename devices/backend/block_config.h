/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEVICES_BACKEND_BLOCK_CONFIG_H
#define DEVICES_BACKEND_BLOCK_CONFIG_H

/* What -drive and -blockdev say, as plain data, and the chain of nodes made from it. */

#include "devices/backend/block_file.h"
#include "devices/backend/throttle.h"
#include "util/props.h"

typedef enum {
    BLOCK_CACHE_WRITEBACK,
    BLOCK_CACHE_NONE,
    BLOCK_CACHE_WRITETHROUGH,
    BLOCK_CACHE_DIRECTSYNC,
    BLOCK_CACHE_UNSAFE,
} BlockCache;

typedef enum {
    BLOCK_MEDIA_DISK,
    BLOCK_MEDIA_CDROM,
} BlockMedia;

typedef struct DriveConfig {
    char *id;
    char *node_name;
    char *file;
    char *format;     /* NULL: raw */
    unsigned bus;     /* if=; only none */
    unsigned media;   /* BlockMedia */
    unsigned cache;   /* BlockCache */
    unsigned aio;     /* BlockAio; see aio_given */
    unsigned discard; /* index: ignore, unmap */
    unsigned detect_zeroes;
    unsigned locking;     /* BlockLocking */
    unsigned read_error;  /* BlockErrorPolicy */
    unsigned write_error; /* likewise */
    bool read_only;
    bool direct;
    bool direct_given; /* direct overrides what cache says about it, and so do the next two */
    bool no_flush;
    bool no_flush_given;
    bool writeback;
    bool writeback_given;
    bool snapshot;
    ThrottleConfig throttle;
    const FdSets *fd_sets; /* not an option; may be NULL */
} DriveConfig;

/* The same struct from two dialects. */
extern const PropTable drive_props;
extern const PropTable blockdev_props;

/*
 * Opens what config says.  The result carries config's id (or node name), its error policies and
 * its limits; hook (may be NULL) is copied.
 */
BlockBackend *block_open(const DriveConfig *config, const BlockErrorHook *hook, GError **error);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEVICES_BACKEND_BLOCK_LOCK_H
#define DEVICES_BACKEND_BLOCK_LOCK_H

/*
 * Image locks that QEMU and its tools understand, and we theirs.
 *
 *     byte 100 + n   held (shared) by each process that does n to the image
 *     byte 200 + n   held (shared) by each process that bears nobody else doing n
 *
 *     n = 0: read consistent data, 1: write
 *
 * Any number of readers get along; a writer wants to be alone.  The locks belong to the open file
 * description and go when it is closed, however the process ends.
 */

#include <glib.h>
#include <stdbool.h>

typedef enum {
    BLOCK_LOCKING_AUTO, /* where the file system has such locks */
    BLOCK_LOCKING_ON,
    BLOCK_LOCKING_OFF,
} BlockLocking;

bool block_lock_image(int fd, const char *path, bool writable, BlockLocking locking,
                      GError **error);

#endif

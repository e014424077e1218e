/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEVICES_BACKEND_BLOCK_THROTTLE_H
#define DEVICES_BACKEND_BLOCK_THROTTLE_H

/*
 * A filter that holds requests back so that they keep within limits.  It stands in every drive's
 * chain, so that limits can come and go while the guest runs; without any it passes requests on.
 */

#include "devices/backend/block.h"
#include "devices/backend/throttle.h"

/* Takes ownership of child.  config may be NULL: no limits. */
BlockBackend *block_throttle_new(BlockBackend *child, const ThrottleConfig *config);

/* Main thread.  blk is a chain with a throttle in it. */
bool block_throttle_set(BlockBackend *blk, const ThrottleConfig *config, GError **error);
ThrottleConfig block_throttle_get(BlockBackend *blk);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEVICES_VIRTIO_SERVE_H
#define DEVICES_VIRTIO_SERVE_H

/*
 * What the register side asks of the serving thread.  Private to devices/virtio/virtio.c, which
 * holds dev->lock around each of these; start and resume do not wait, the others do.
 */

#include "devices/virtio/virtio.h"

/* dev->loop is set if the device is threaded. */
void serve_start(VirtioDevice *dev);

/* Afterwards guest memory is not touched. */
void serve_stop(VirtioDevice *dev);

bool serve_drain(VirtioDevice *dev, GError **error);

/* Looks at every queue again, so that kicks which came while drained need not be remembered. */
void serve_resume(VirtioDevice *dev);

/* Of a device that has started. */
bool serve_enable_queue(VirtQueue *q, GError **error);
void serve_reset_queue(VirtQueue *q);

#endif

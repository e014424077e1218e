/* SPDX-License-Identifier: Apache-2.0 */
/* The two kinds of ring, for virtio.c to choose from; payloads call virtqueue_*(). */
#ifndef TESTS_GUEST_LIB_VIRTIO_RING_H
#define TESTS_GUEST_LIB_VIRTIO_RING_H

#include "tests/guest/lib/virtio.h"

#define DESCRIPTOR_NEXT  1
#define DESCRIPTOR_WRITE 2
#define DESCRIPTOR_TABLE 4

uint16_t virtio_split_add(VirtQueue *queue, const VirtBuffer *buffers, unsigned count);
bool virtio_split_get(VirtQueue *queue, uint16_t *head, uint32_t *length);
bool virtio_split_wants_kick(VirtQueue *queue);

uint16_t virtio_packed_add(VirtQueue *queue, const VirtBuffer *buffers, unsigned count);
bool virtio_packed_get(VirtQueue *queue, uint16_t *head, uint32_t *length);

#endif

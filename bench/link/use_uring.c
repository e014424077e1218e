/* SPDX-License-Identifier: Apache-2.0 */
/* liburing: the ring that a VM with one disk makes. */
#include "bench/link/probe.h"

#include <liburing.h>

int probe_uring(void)
{
    struct io_uring ring;

    return io_uring_queue_init(64, &ring, 0) == 0;
}

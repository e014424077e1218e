/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_REQUESTS_H
#define TESTS_SUPPORT_REQUESTS_H

/* Both ends of a device's wires: requests and an interrupt that only count. */

#include "devices/irqline.h"
#include "devices/request.h"

typedef struct RequestCount {
    unsigned count;
    uint32_t last;
} RequestCount;

static inline void request_count_fn(void *opaque, uint32_t value)
{
    RequestCount *requests = opaque;

    requests->count++;
    requests->last = value;
}

static inline Request request_counter(RequestCount *requests)
{
    return (Request){.fn = request_count_fn, .opaque = requests};
}

typedef struct IrqCount {
    bool high;
    unsigned rises;
} IrqCount;

static inline void irq_count_fn(void *opaque, unsigned pin, bool high)
{
    IrqCount *irq = opaque;

    (void)pin;
    irq->rises += high && !irq->high;
    irq->high = high;
}

static inline IrqLine irq_counter(IrqCount *irq)
{
    return (IrqLine){.set = irq_count_fn, .opaque = irq};
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEVICES_IRQLINE_H
#define DEVICES_IRQLINE_H

/*
 * One interrupt wire.  A device is given it and pulls it; who listens at the other end (an IOAPIC
 * pin, a GIC SPI, a test) is the machine's affair.  Any thread may pull.
 */

#include <stdbool.h>
#include <stddef.h>

typedef struct IrqLine {
    void (*set)(void *opaque, unsigned pin, bool high);
    void *opaque;
    unsigned pin;
} IrqLine;

/* A wire that leads nowhere (set == NULL) is allowed. */
static inline void irq_set(const IrqLine *line, bool high)
{
    if (line->set) {
        line->set(line->opaque, line->pin, high);
    }
}

#endif

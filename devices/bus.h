/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEVICES_BUS_H
#define DEVICES_BUS_H

/*
 * An address space of registers: one Bus for MMIO, one for x86 ports.
 *
 * Accesses come from vCPU threads, many at once, and take no lock here: the table of windows is
 * immutable, and a change publishes a new one.  Tables that were replaced stay until the bus is
 * freed, because a reader may still be in them; changes are rare (start, hot-plug, a moved BAR).
 * Each device guards its own state.
 */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* offset is relative to the window; size is 1, 2, 4 or 8 and the access lies inside the window. */
typedef struct BusOps {
    uint64_t (*read)(void *opaque, uint64_t offset, unsigned size);
    void (*write)(void *opaque, uint64_t offset, unsigned size, uint64_t value);
} BusOps;

typedef struct Bus Bus;

/* name ("mmio", "port") is for messages. */
Bus *bus_new(const char *name);
void bus_free(Bus *bus);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Bus, bus_free)

/* owner names the device in messages and must outlive the window. */
typedef struct BusWindow {
    uint64_t base;
    uint64_t size;
    const char *owner;
    const BusOps *ops;
    void *opaque;
} BusWindow;

/* Refuses an empty window and one that overlaps another. */
bool bus_map(Bus *bus, const BusWindow *window, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Removes the window that starts at base, if there is one. */
void bus_unmap(Bus *bus, uint64_t base);

/* Every window there is now, by address. */
void bus_for_each(Bus *bus, void (*fn)(void *opaque, const BusWindow *window), void *opaque);

/*
 * True if a window holds the whole access.  A read nobody answers gives all ones, as real buses
 * do; a write nobody takes is dropped.
 */
bool bus_read(Bus *bus, uint64_t address, unsigned size, uint64_t *ret_value);
bool bus_write(Bus *bus, uint64_t address, unsigned size, uint64_t value);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/bus.h"

#include "util/bytes.h"
#include "util/error.h"
#include "util/lock.h"
#include "util/trace.h"

#include <inttypes.h>
#include <stdatomic.h>

/* Sorted by base, no two overlap. */
typedef struct WindowTable {
    size_t count;
    BusWindow windows[];
} WindowTable;

struct Bus {
    char *name;
    _Atomic(const WindowTable *) table;

    /* guarded by lock: changes, one at a time */
    Mutex lock;
    GPtrArray *tables; /* every table there ever was, the current one last */
};

static WindowTable *table_alloc(size_t count)
{
    WindowTable *table = g_malloc(sizeof(*table) + count * sizeof(BusWindow));

    table->count = count;
    return table;
}

static void bus_publish_locked(Bus *bus, WindowTable *table) REQUIRES(bus->lock)
{
    g_ptr_array_add(bus->tables, table);
    atomic_store_explicit(&bus->table, table, memory_order_release);
}

Bus *bus_new(const char *name)
{
    Bus *bus = g_new0(Bus, 1);

    bus->name = g_strdup(name);
    bus->tables = g_ptr_array_new_with_free_func(g_free);
    mutex_init(&bus->lock);
    mutex_lock(&bus->lock);
    bus_publish_locked(bus, table_alloc(0));
    mutex_unlock(&bus->lock);
    return bus;
}

void bus_free(Bus *bus)
{
    if (!bus) {
        return;
    }
    g_ptr_array_unref(bus->tables);
    mutex_fini(&bus->lock);
    g_free(bus->name);
    g_free(bus);
}

/* The number of windows that begin at or below address. */
static size_t windows_below(const WindowTable *table, uint64_t address)
{
    size_t low = 0;
    size_t high = table->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (table->windows[middle].base <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool bus_map_locked(Bus *bus, const BusWindow *window, GError **error) REQUIRES(bus->lock)
{
    const WindowTable *old = atomic_load_explicit(&bus->table, memory_order_relaxed);
    size_t at = windows_below(old, window->base);
    const BusWindow *below = at > 0 ? &old->windows[at - 1] : NULL;
    const BusWindow *above = at < old->count ? &old->windows[at] : NULL;
    const BusWindow *clash = NULL;

    if (below && below->base + (below->size - 1) >= window->base) {
        clash = below;
    } else if (above && window->base + (window->size - 1) >= above->base) {
        clash = above;
    }
    if (clash) {
        return fail(error, VMM_ERROR_CONFIG,
                    "%s: %s bus address 0x%" PRIx64 " (+0x%" PRIx64 ") overlaps %s at 0x%" PRIx64,
                    window->owner, bus->name, window->base, window->size, clash->owner,
                    clash->base);
    }

    WindowTable *table = table_alloc(old->count + 1);

    memcpy(table->windows, old->windows, at * sizeof(BusWindow));
    table->windows[at] = *window;
    memcpy(&table->windows[at + 1], &old->windows[at], (old->count - at) * sizeof(BusWindow));
    bus_publish_locked(bus, table);
    return true;
}

bool bus_map(Bus *bus, const BusWindow *window, GError **error)
{
    uint64_t last;

    if (window->size == 0 || !checked_add(window->base, window->size - 1, &last)) {
        return fail(error, VMM_ERROR_CONFIG,
                    "%s: %s bus window at 0x%" PRIx64 " has impossible size 0x%" PRIx64,
                    window->owner, bus->name, window->base, window->size);
    }
    mutex_lock(&bus->lock);

    bool ok = bus_map_locked(bus, window, error);

    mutex_unlock(&bus->lock);
    return ok;
}

void bus_unmap(Bus *bus, uint64_t base)
{
    mutex_lock(&bus->lock);

    const WindowTable *old = atomic_load_explicit(&bus->table, memory_order_relaxed);
    size_t at = windows_below(old, base);

    if (at > 0 && old->windows[at - 1].base == base) {
        WindowTable *table = table_alloc(old->count - 1);

        memcpy(table->windows, old->windows, (at - 1) * sizeof(BusWindow));
        memcpy(&table->windows[at - 1], &old->windows[at], (old->count - at) * sizeof(BusWindow));
        bus_publish_locked(bus, table);
    }
    mutex_unlock(&bus->lock);
}

void bus_for_each(Bus *bus, void (*fn)(void *opaque, const BusWindow *window), void *opaque)
{
    const WindowTable *table = atomic_load_explicit(&bus->table, memory_order_acquire);

    for (size_t i = 0; i < table->count; i++) {
        fn(opaque, &table->windows[i]);
    }
}

static const BusWindow *bus_find(const WindowTable *table, uint64_t address, unsigned size)
{
    size_t at = windows_below(table, address);

    if (at == 0) {
        return NULL;
    }

    const BusWindow *window = &table->windows[at - 1];

    return range_fits(address - window->base, size, window->size) ? window : NULL;
}

bool bus_read(Bus *bus, uint64_t address, unsigned size, uint64_t *ret_value)
{
    const WindowTable *table = atomic_load_explicit(&bus->table, memory_order_acquire);
    const BusWindow *window = bus_find(table, address, size);

    if (!window) {
        TRACE(bus_unclaimed, "read %s 0x%" PRIx64 " size %u", bus->name, address, size);
        *ret_value = UINT64_MAX;
        return false;
    }
    *ret_value = window->ops->read(window->opaque, address - window->base, size);
    return true;
}

bool bus_write(Bus *bus, uint64_t address, unsigned size, uint64_t value)
{
    const WindowTable *table = atomic_load_explicit(&bus->table, memory_order_acquire);
    const BusWindow *window = bus_find(table, address, size);

    if (!window) {
        TRACE(bus_unclaimed, "write %s 0x%" PRIx64 " size %u", bus->name, address, size);
        return false;
    }
    window->ops->write(window->opaque, address - window->base, size, value);
    return true;
}

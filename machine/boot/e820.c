/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/boot/e820.h"

#include "machine/boot/layout.h"
#include "util/error.h"

static bool add(E820Map *map, uint64_t base, uint64_t end, E820Type type, GError **error)
{
    E820Entry *last = map->count > 0 ? &map->entries[map->count - 1] : NULL;

    if (base >= end) {
        return true;
    }
    if (last && last->type == type && last->base + last->size == base) {
        last->size += end - base;
        return true;
    }
    if (map->count == E820_MAX) {
        return fail(error, VMM_ERROR_CONFIG, "memory map: more than %d separate ranges", E820_MAX);
    }
    map->entries[map->count++] = (E820Entry){.base = base, .size = end - base, .type = type};
    return true;
}

/* Everything below 1 MiB that is not plain RAM; what lies between the two is the old video hole. */
static bool add_low(E820Map *map, uint64_t ram_end, GError **error)
{
    return add(map, 0, MIN(BOOT_EBDA, ram_end), E820_RAM, error) &&
           add(map, BOOT_EBDA, MIN(BOOT_EBDA_END, ram_end), E820_RESERVED, error) &&
           add(map, BOOT_FIRMWARE, MIN(BOOT_FIRMWARE_END, ram_end), E820_RESERVED, error);
}

bool e820_build(const GuestMemory *mem, E820Map *ret_map, GError **error)
{
    size_t count;
    const RamBlock *blocks = guest_mem_blocks(mem, &count); /* sorted by address */
    E820Map map = {0};

    for (size_t i = 0; i < count; i++) {
        uint64_t base = blocks[i].base.v;
        uint64_t end = base + blocks[i].size;

        if (blocks[i].backend->rom) {
            continue;
        }
        if (base == 0 && !add_low(&map, end, error)) {
            return false;
        }
        if (!add(&map, MAX(base, BOOT_FIRMWARE_END), end, E820_RAM, error)) {
            return false;
        }
    }
    *ret_map = map;
    return true;
}

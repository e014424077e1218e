/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/boot/pvh.h"

#include "machine/boot/layout.h"

#define START_MAGIC   0x336ec578
#define START_VERSION 1

/* include/public/arch-x86/hvm/start_info.h of the Xen tree describes these three. */
typedef struct StartInfo {
    uint32_t magic;
    uint32_t version;
    uint32_t flags;
    uint32_t n_modules;
    uint64_t modules;
    uint64_t cmdline;
    uint64_t rsdp;
    uint64_t map;
    uint32_t n_map;
    uint32_t reserved;
} StartInfo;

typedef struct Module {
    uint64_t address;
    uint64_t size;
    uint64_t cmdline;
    uint64_t reserved;
} Module;

typedef struct MapEntry {
    uint64_t base;
    uint64_t size;
    uint32_t type; /* as in an e820 map */
    uint32_t reserved;
} MapEntry;

G_STATIC_ASSERT(G_BYTE_ORDER == G_LITTLE_ENDIAN);
G_STATIC_ASSERT(sizeof(StartInfo) == 56 && sizeof(Module) == 32 && sizeof(MapEntry) == 24);
G_STATIC_ASSERT(BOOT_PVH_INFO + sizeof(StartInfo) <= BOOT_PVH_MODULES);
G_STATIC_ASSERT(BOOT_PVH_MODULES + sizeof(Module) <= BOOT_PVH_MAP);
G_STATIC_ASSERT(BOOT_PVH_MAP + E820_MAX * sizeof(MapEntry) <= BOOT_PVH_END);

static bool write_map(GuestMemory *mem, const E820Map *map, GError **error)
{
    MapEntry entries[E820_MAX];

    for (size_t i = 0; i < map->count; i++) {
        entries[i] = (MapEntry){
            .base = map->entries[i].base,
            .size = map->entries[i].size,
            .type = map->entries[i].type,
        };
    }
    return guest_mem_write(mem, GPA(BOOT_PVH_MAP), entries, map->count * sizeof(*entries), error);
}

bool pvh_write(GuestMemory *mem, const LoadedKernel *kernel, const BootInfo *info,
               VcpuEntry *ret_entry, GError **error)
{
    const Module initrd = {.address = info->initrd, .size = info->initrd_size};
    const StartInfo start = {
        .magic = START_MAGIC,
        .version = START_VERSION,
        .n_modules = info->initrd_size > 0 ? 1 : 0,
        .modules = info->initrd_size > 0 ? BOOT_PVH_MODULES : 0,
        .cmdline = info->cmdline,
        .rsdp = info->rsdp,
        .map = BOOT_PVH_MAP,
        .n_map = (uint32_t)info->map.count,
    };

    if (!guest_mem_write(mem, GPA(BOOT_PVH_INFO), &start, sizeof(start), error) ||
        !guest_mem_write(mem, GPA(BOOT_PVH_MODULES), &initrd, sizeof(initrd), error) ||
        !write_map(mem, &info->map, error)) {
        return false;
    }
    *ret_entry = (VcpuEntry){.mode = VCPU_ENTRY_PVH, .rip = kernel->entry, .rbx = BOOT_PVH_INFO};
    return true;
}

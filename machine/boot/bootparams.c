/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/boot/bootparams.h"

#include "machine/boot/layout.h"
#include "util/bytes.h"
#include "util/error.h"

#include <inttypes.h>

#define LOADER_UNKNOWN   0xff
#define BOOT_FLAG        0xaa55
#define SETUP_SIGNATURE  0x53726448 /* "HdrS" */
#define LARGE_PAGE_BYTES (2 * MIB)
#define TABLE_ENTRIES    512

#define PAGE_PRESENT     0x001
#define PAGE_WRITE       0x002
#define PAGE_LARGE       0x080

/* Selectors 0x10 and 0x18: flat code (64-bit) and data. */
static const uint64_t gdt[] = {0, 0, UINT64_C(0x00af9b000000ffff), UINT64_C(0x00cf93000000ffff)};

G_STATIC_ASSERT(sizeof(struct boot_params) == PAGE_BYTES);
G_STATIC_ASSERT(E820_MAX == E820_MAX_ENTRIES_ZEROPAGE);
G_STATIC_ASSERT(BOOT_IDENTITY_BYTES == TABLE_ENTRIES * LARGE_PAGE_BYTES);
G_STATIC_ASSERT(BOOT_ZERO_PAGE + PAGE_BYTES <= BOOT_PAGE_TABLES);
G_STATIC_ASSERT(BOOT_PAGE_TABLES + 3 * PAGE_BYTES <= BOOT_CMDLINE);
G_STATIC_ASSERT(BOOT_GDT + sizeof(gdt) <= BOOT_PVH_INFO);

/* One 1 GiB entry's worth of 2 MiB pages. */
static bool write_page_tables(GuestMemory *mem, GError **error)
{
    uint8_t *tables = guest_mem_ptr(mem, GPA(BOOT_PAGE_TABLES), 3 * PAGE_BYTES, GUEST_WRITE, error);

    if (!tables) {
        return false;
    }
    memset(tables, 0, 2 * PAGE_BYTES);
    store_le64(tables, (BOOT_PAGE_TABLES + PAGE_BYTES) | PAGE_PRESENT | PAGE_WRITE);
    store_le64(tables + PAGE_BYTES,
               (BOOT_PAGE_TABLES + 2 * PAGE_BYTES) | PAGE_PRESENT | PAGE_WRITE);
    for (uint64_t i = 0; i < TABLE_ENTRIES; i++) {
        store_le64(tables + 2 * PAGE_BYTES + 8 * i,
                   i * LARGE_PAGE_BYTES | PAGE_PRESENT | PAGE_WRITE | PAGE_LARGE);
    }
    return true;
}

/* A kernel that came without a setup header gets the least that it reads of one. */
static void fill_setup(struct setup_header *setup, const LoadedKernel *kernel)
{
    *setup = kernel->setup;
    if (setup->header != SETUP_SIGNATURE) {
        setup->boot_flag = BOOT_FLAG;
        setup->header = SETUP_SIGNATURE;
        setup->kernel_alignment = LARGE_PAGE_BYTES;
        setup->cmdline_size = kernel->cmdline_max;
        setup->loadflags = LOADED_HIGH;
    }
    setup->type_of_loader = LOADER_UNKNOWN;
    setup->code32_start = (uint32_t)kernel->start;
}

static bool write_zero_page(GuestMemory *mem, const LoadedKernel *kernel, const BootInfo *info,
                            GError **error)
{
    struct boot_params *params =
        guest_mem_ptr(mem, GPA(BOOT_ZERO_PAGE), sizeof(*params), GUEST_WRITE, error);

    if (!params) {
        return false;
    }
    memset(params, 0, sizeof(*params));
    fill_setup(&params->hdr, kernel);
    params->hdr.cmd_line_ptr = (uint32_t)info->cmdline;
    params->ext_cmd_line_ptr = (uint32_t)(info->cmdline >> 32);
    if (info->initrd_size > 0) {
        params->hdr.ramdisk_image = (uint32_t)info->initrd;
        params->ext_ramdisk_image = (uint32_t)(info->initrd >> 32);
        params->hdr.ramdisk_size = (uint32_t)info->initrd_size;
        params->ext_ramdisk_size = (uint32_t)(info->initrd_size >> 32);
    }
    params->acpi_rsdp_addr = info->rsdp;
    params->e820_entries = (uint8_t)info->map.count;
    for (size_t i = 0; i < info->map.count; i++) {
        params->e820_table[i] = (struct boot_e820_entry){
            .addr = info->map.entries[i].base,
            .size = info->map.entries[i].size,
            .type = info->map.entries[i].type,
        };
    }
    return true;
}

bool bootparams_write(GuestMemory *mem, const LoadedKernel *kernel, const BootInfo *info,
                      VcpuEntry *ret_entry, GError **error)
{
    if (kernel->end > BOOT_IDENTITY_BYTES) {
        return fail(error, VMM_ERROR_WIRE,
                    "kernel ends at guest address 0x%" PRIx64
                    ", expected at most 0x%x to enter it in 64-bit mode",
                    kernel->end, BOOT_IDENTITY_BYTES);
    }
    if (!write_page_tables(mem, error) || !write_zero_page(mem, kernel, info, error) ||
        !guest_mem_write(mem, GPA(BOOT_GDT), gdt, sizeof(gdt), error)) {
        return false;
    }
    *ret_entry = (VcpuEntry){
        .mode = VCPU_ENTRY_LONG64,
        .rip = kernel->entry,
        .rsi = BOOT_ZERO_PAGE,
        .cr3 = BOOT_PAGE_TABLES,
        .gdt_base = BOOT_GDT,
        .gdt_limit = sizeof(gdt) - 1,
    };
    return true;
}

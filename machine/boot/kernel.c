/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/boot/kernel.h"

#include "machine/boot/bzimage.h"
#include "machine/boot/elf.h"
#include "machine/boot/flat.h"
#include "machine/boot/layout.h"
#include "machine/boot/pvh.h"
#include "util/bytes.h"
#include "util/error.h"

#include <inttypes.h>
#include <string.h>

/* In the order of asking; the last knows every file. */
static const KernelLoader *const loaders[] = {&elf_loader, &bzimage_loader, &flat_loader};

static bool (*const writers[])(GuestMemory *, const LoadedKernel *, const BootInfo *, VcpuEntry *,
                               GError **) = {
    [VCPU_ENTRY_PVH] = pvh_write,
    [VCPU_ENTRY_LONG64] = bootparams_write,
};

G_STATIC_ASSERT(BOOT_CMDLINE + BOOT_CMDLINE_ROOM <= BOOT_EBDA);

static bool load_image(GuestMemory *mem, const BootImage *image, LoadedKernel *kernel,
                       GError **error)
{
    size_t i = 0;

    while (!loaders[i]->matches(image)) {
        i++;
        g_assert(i < G_N_ELEMENTS(loaders));
    }
    return loaders[i]->load(image, mem, kernel, error);
}

static bool load_cmdline(GuestMemory *mem, const char *cmdline, const LoadedKernel *kernel,
                         BootInfo *info, GError **error)
{
    size_t len = strlen(cmdline);
    size_t max = MIN(kernel->cmdline_max, BOOT_CMDLINE_ROOM - 1);

    if (len > max) {
        return fail(error, VMM_ERROR_CONFIG,
                    "kernel command line has %zu characters, this kernel takes at most %zu", len,
                    max);
    }
    info->cmdline = BOOT_CMDLINE;
    return guest_mem_write(mem, GPA(BOOT_CMDLINE), cmdline, len + 1, error);
}

/* As high as the kernel can reach, where it is least in the way of what the kernel allocates. */
static bool load_initrd(GuestMemory *mem, const BootImage *image, const LoadedKernel *kernel,
                        BootInfo *info, GError **error)
{
    uint64_t limit = align_down(MIN(kernel->initrd_limit, boot_ram_end(mem)), PAGE_BYTES);
    uint64_t lowest = align_up(kernel->end, PAGE_BYTES);

    if (limit < lowest || image->size > limit - lowest) {
        return fail(error, VMM_ERROR_CONFIG,
                    "%s: initrd has %" PRIu64 " bytes, guest memory has room for %" PRIu64
                    " between the kernel, which ends at 0x%" PRIx64 ", and 0x%" PRIx64,
                    image->name, image->size, limit < lowest ? 0 : limit - lowest, kernel->end,
                    limit);
    }
    info->initrd = align_down(limit - image->size, PAGE_BYTES);
    info->initrd_size = image->size;
    return boot_image_load(image, 0, image->size, mem, GPA(info->initrd), error);
}

bool kernel_load_images(GuestMemory *mem, const BootImage *kernel, const BootImage *initrd,
                        const KernelConfig *config, VcpuEntry *ret_entry, GError **error)
{
    LoadedKernel loaded = {0};
    BootInfo info = {.rsdp = config->rsdp};
    const char *cmdline = config->cmdline ? config->cmdline : "";

    if (!load_image(mem, kernel, &loaded, error) ||
        !load_cmdline(mem, cmdline, &loaded, &info, error) ||
        (initrd && !load_initrd(mem, initrd, &loaded, &info, error)) ||
        !e820_build(mem, &info.map, error)) {
        return false;
    }
    if (!writers[loaded.mode](mem, &loaded, &info, ret_entry, error)) {
        g_prefix_error(error, "%s: ", kernel->name);
        return false;
    }
    return true;
}

bool kernel_load(GuestMemory *mem, const KernelConfig *config, VcpuEntry *ret_entry, GError **error)
{
    g_auto(BootImage) kernel = {.fd = -1};
    g_auto(BootImage) initrd = {.fd = -1};

    if (!boot_image_open(&kernel, /* fd_sets= */ NULL, config->kernel, error) ||
        (config->initrd && !boot_image_open(&initrd, /* fd_sets= */ NULL, config->initrd, error))) {
        return false;
    }
    return kernel_load_images(mem, &kernel, config->initrd ? &initrd : NULL, config, ret_entry,
                              error);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/boot/bzimage.h"

#include "util/bytes.h"
#include "util/error.h"

#include <inttypes.h>
#include <string.h>

#define HEADER_OFFSET    0x1f1
#define SIGNATURE_OFFSET 0x202      /* the length of the header counts from here */
#define SIGNATURE        0x53726448 /* "HdrS" */
#define BOOT_FLAG        0xaa55u
#define LOWEST_PROTOCOL  0x020cu
#define SECTOR_BYTES     512
#define DEFAULT_SECTORS  4
#define ENTRY_64         0x200

G_STATIC_ASSERT(offsetof(struct boot_params, hdr) == HEADER_OFFSET);
G_STATIC_ASSERT(HEADER_OFFSET + offsetof(struct setup_header, header) == SIGNATURE_OFFSET);

static bool bzimage_matches(const BootImage *image)
{
    return image->head_len >= SIGNATURE_OFFSET + 4 &&
           load_le32(image->head + SIGNATURE_OFFSET) == SIGNATURE;
}

/* The header grew with the protocol; the jump over it, right before its signature, has its end. */
static bool read_setup(const BootImage *image, struct setup_header *setup, GError **error)
{
    uint64_t end = SIGNATURE_OFFSET + (uint64_t)image->head[SIGNATURE_OFFSET - 1];
    uint64_t needed = HEADER_OFFSET + offsetof(struct setup_header, handover_offset);

    if (end < needed) {
        return fail(error, VMM_ERROR_WIRE,
                    "%s: setup header ends at 0x%" PRIx64 ", expected at least 0x%" PRIx64,
                    image->name, end, needed);
    }
    return boot_image_read(image, "setup header", HEADER_OFFSET, setup,
                           MIN(end - HEADER_OFFSET, sizeof(*setup)), error);
}

static bool check_kind(const BootImage *image, const struct setup_header *setup, GError **error)
{
    if (setup->boot_flag != BOOT_FLAG) {
        return fail(error, VMM_ERROR_WIRE, "%s: setup header: boot_flag is 0x%x, expected 0x%x",
                    image->name, setup->boot_flag, BOOT_FLAG);
    }
    if (setup->version < LOWEST_PROTOCOL) {
        return fail(error, VMM_ERROR_WIRE,
                    "%s: setup header: version is 0x%04x, expected at least 0x%04x", image->name,
                    setup->version, LOWEST_PROTOCOL);
    }
    if ((setup->loadflags & LOADED_HIGH) == 0) {
        return fail(
            error, VMM_ERROR_WIRE,
            "%s: setup header: loadflags is 0x%x, expected bit 0 (loaded at 1 MiB or above)",
            image->name, setup->loadflags);
    }
    if ((setup->xloadflags & XLF_KERNEL_64) == 0) {
        return fail(error, VMM_ERROR_WIRE,
                    "%s: setup header: xloadflags is 0x%x, expected bit 0 (a 64-bit kernel)",
                    image->name, setup->xloadflags);
    }
    return true;
}

static bool check_place(const BootImage *image, const struct setup_header *setup, GError **error)
{
    if (setup->relocatable_kernel != 0 &&
        (!is_power_of_two(setup->kernel_alignment) ||
         !is_aligned(setup->pref_address, setup->kernel_alignment))) {
        return fail(error, VMM_ERROR_WIRE,
                    "%s: setup header: pref_address is 0x%" PRIx64
                    ", expected a multiple of kernel_alignment, 0x%x",
                    image->name, (uint64_t)setup->pref_address, setup->kernel_alignment);
    }
    return true;
}

static bool bzimage_load(const BootImage *image, GuestMemory *mem, LoadedKernel *ret_kernel,
                         GError **error)
{
    struct setup_header *setup = &ret_kernel->setup;

    if (!read_setup(image, setup, error) || !check_kind(image, setup, error) ||
        !check_place(image, setup, error)) {
        return false;
    }

    uint64_t sectors = setup->setup_sects == 0 ? DEFAULT_SECTORS : setup->setup_sects;
    uint64_t offset = (sectors + 1) * SECTOR_BYTES;
    uint64_t len = UINT64_C(16) * setup->syssize;
    uint64_t window = MAX(len, setup->init_size);

    if (len <= ENTRY_64 || !range_fits(offset, len, image->size)) {
        return fail(error, VMM_ERROR_WIRE,
                    "%s: truncated: setup header: syssize is %u, for 0x%" PRIx64
                    " bytes at offset 0x%" PRIx64 ", the file has 0x%" PRIx64,
                    image->name, setup->syssize, len, offset, image->size);
    }
    if (!boot_check_range(image, "kernel with its init_size", mem, setup->pref_address, window,
                          error)) {
        return false;
    }
    ret_kernel->mode = VCPU_ENTRY_LONG64;
    ret_kernel->start = setup->pref_address;
    ret_kernel->end = setup->pref_address + window;
    ret_kernel->entry = ret_kernel->start + ENTRY_64;
    ret_kernel->initrd_limit = (setup->xloadflags & XLF_CAN_BE_LOADED_ABOVE_4G) != 0
                                   ? boot_ram_end(mem)
                                   : (uint64_t)setup->initrd_addr_max + 1;
    ret_kernel->cmdline_max = setup->cmdline_size;
    return boot_image_load(image, offset, len, mem, GPA(ret_kernel->start), error);
}

const KernelLoader bzimage_loader = {
    .name = "bzImage",
    .matches = bzimage_matches,
    .load = bzimage_load,
};

/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/boot/flat.h"

#include "util/bytes.h"
#include "util/error.h"

#include <string.h>

#define FLAT_BASE         UINT64_C(0x1000000)
#define FLAT_INITRD_LIMIT UINT64_C(0x38000000)

/* The file ends where bss begins and does not say how large that is; the initrd keeps clear of it. */
#define FLAT_BSS_ROOM (32 * MIB)

/* Smaller than any kernel, larger than any script or note that is named by mistake. */
#define FLAT_SMALLEST 4096

static const struct {
    size_t offset;
    const char *magic;
    size_t len;
    const char *what;
} foreign[] = {
    {0, "\x1f\x8b", 2, "a gzip file"},
    {0,
     "\xfd"
     "7zXZ",
     5, "an xz file"},
    {0, "BZh", 3, "a bzip2 file"},
    {0, "\x28\xb5\x2f\xfd", 4, "a zstd file"},
    {0, "\x02\x21\x4c\x18", 4, "an lz4 file"},
    {0, "!<arch>", 7, "an archive"},
    {0, "070701", 6, "a cpio archive, such as an initrd"},
    {0, "hsqs", 4, "a squashfs image"},
    {0, "QFI\xfb", 4, "a qcow2 image"},
    {0, "#!", 2, "a script"},
    {0, "\xd0\x0d\xfe\xed", 4, "a device tree"},
    {0x38, "ARM\x64", 4, "an AArch64 kernel"},
    {0x38, "RSC\x05", 4, "a RISC-V kernel"},
    {0, "MZ", 2, "a PE file without a Linux setup header"},
    {0, "\0\0\0\0\0\0\0\0", 8, "a file that begins with zeroes"},
};

static bool flat_matches(const BootImage *image)
{
    (void)image;
    return true;
}

static bool check_kind(const BootImage *image, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(foreign); i++) {
        if (range_fits(foreign[i].offset, foreign[i].len, image->head_len) &&
            memcmp(image->head + foreign[i].offset, foreign[i].magic, foreign[i].len) == 0) {
            return fail(error, VMM_ERROR_WIRE,
                        "%s: is %s, expected an ELF vmlinux, a bzImage or a flat x86-64 kernel",
                        image->name, foreign[i].what);
        }
    }
    if (image->size < FLAT_SMALLEST) {
        return fail(error, VMM_ERROR_WIRE,
                    "%s: has %" G_GUINT64_FORMAT
                    " bytes and is neither ELF nor bzImage, expected at least %d of a flat kernel",
                    image->name, image->size, FLAT_SMALLEST);
    }
    return true;
}

static bool flat_load(const BootImage *image, GuestMemory *mem, LoadedKernel *ret_kernel,
                      GError **error)
{
    if (!check_kind(image, error) ||
        !boot_check_range(image, "flat kernel", mem, FLAT_BASE, image->size, error)) {
        return false;
    }
    ret_kernel->mode = VCPU_ENTRY_LONG64;
    ret_kernel->entry = FLAT_BASE;
    ret_kernel->start = FLAT_BASE;
    ret_kernel->end = MIN(FLAT_BASE + image->size + FLAT_BSS_ROOM, boot_ram_end(mem));
    ret_kernel->initrd_limit = FLAT_INITRD_LIMIT;
    ret_kernel->cmdline_max = BOOT_CMDLINE_LINUX;
    return boot_image_load(image, 0, image->size, mem, GPA(FLAT_BASE), error);
}

const KernelLoader flat_loader = {
    .name = "flat",
    .matches = flat_matches,
    .load = flat_load,
};

/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/boot/image.h"

#include "machine/boot/layout.h"
#include "util/bytes.h"
#include "util/error.h"
#include "util/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>

bool boot_image_open(BootImage *image, const FdSets *fd_sets, const char *path, GError **error)
{
    int fd = fd_sets_open(fd_sets, path, O_RDONLY, 0, error);

    image->fd = -1;
    return fd >= 0 && boot_image_adopt(image, fd, path, error);
}

bool boot_image_adopt(BootImage *image, int fd, const char *name, GError **error)
{
    struct stat st;

    image->fd = fd;
    image->name = name;
    if (fstat(fd, &st) < 0) {
        return fail_errno(error, errno, "%s: cannot ask for its size", name);
    }
    if (!S_ISREG(st.st_mode)) {
        return fail(error, VMM_ERROR_CONFIG, "%s: is not a regular file", name);
    }
    if (st.st_size == 0) {
        return fail(error, VMM_ERROR_WIRE, "%s: is empty", name);
    }
    image->size = (uint64_t)st.st_size;
    image->head_len = MIN(image->size, sizeof(image->head));
    return fd_pread_all(fd, name, image->head, image->head_len, 0, error);
}

void boot_image_close(BootImage *image)
{
    fd_close(&image->fd);
}

bool boot_image_read(const BootImage *image, const char *what, uint64_t offset, void *data,
                     size_t len, GError **error)
{
    if (!range_fits(offset, len, image->size)) {
        return fail(error, VMM_ERROR_WIRE,
                    "%s: truncated: %s takes %zu bytes at offset 0x%" PRIx64
                    ", the file has %" PRIu64,
                    image->name, what, len, offset, image->size);
    }
    if (range_fits(offset, len, image->head_len)) {
        memcpy(data, image->head + offset, len);
        return true;
    }
    return fd_pread_all(image->fd, image->name, data, len, offset, error);
}

bool boot_image_load(const BootImage *image, uint64_t offset, uint64_t len, GuestMemory *mem,
                     Gpa gpa, GError **error)
{
    size_t count;
    const RamBlock *blocks = guest_mem_blocks(mem, &count);

    for (size_t i = 0; i < count && len > 0; i++) {
        uint64_t end = blocks[i].base.v + blocks[i].size;

        if (gpa.v < blocks[i].base.v || gpa.v >= end) {
            continue;
        }

        uint64_t piece = MIN(len, end - gpa.v);
        const FilePart part = {
            .fd = image->fd, .name = image->name, .offset = offset, .len = piece};

        if (!guest_mem_load_file(mem, gpa, &part, error)) {
            return false;
        }
        gpa = gpa_add(gpa, piece);
        offset += piece;
        len -= piece;
    }
    if (len > 0) {
        return fail(error, VMM_ERROR_CONFIG, "%s: guest address 0x%" PRIx64 " is not RAM",
                    image->name, gpa.v);
    }
    return true;
}

uint64_t boot_ram_end(const GuestMemory *mem)
{
    size_t count;
    const RamBlock *blocks = guest_mem_blocks(mem, &count); /* sorted by address */
    uint64_t end = 0;

    for (size_t i = 0; i < count && blocks[i].base.v == end; i++) {
        end += blocks[i].size;
    }
    return end;
}

bool boot_check_range(const BootImage *image, const char *what, const GuestMemory *mem,
                      uint64_t start, uint64_t len, GError **error)
{
    uint64_t ram_end = boot_ram_end(mem);

    if (start < BOOT_KERNEL_LOWEST) {
        return fail(error, VMM_ERROR_WIRE,
                    "%s: %s lies at guest address 0x%" PRIx64
                    ", expected at least 0x%x: the boot tables are below",
                    image->name, what, start, BOOT_KERNEL_LOWEST);
    }
    if (!range_fits(start, len, ram_end)) {
        return fail(error, VMM_ERROR_CONFIG,
                    "%s: %s takes 0x%" PRIx64 " bytes at guest address 0x%" PRIx64
                    ", RAM ends at 0x%" PRIx64,
                    image->name, what, len, start, ram_end);
    }
    return true;
}

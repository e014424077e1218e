/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_BOOT_IMAGE_H
#define MACHINE_BOOT_IMAGE_H

/*
 * A kernel or initrd file on its way into guest memory.  Its first bytes are read once, which is
 * enough to tell what it is and, for most, where it goes; the rest is mapped over guest memory
 * where pages line up and never passes through a buffer.  The file must not change while the guest
 * lives: pages that the guest has not written yet are the file's.
 */

#include "hypervisor/memory.h"

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct BootImage {
    int fd;           /* -1: not open */
    const char *name; /* for messages; the caller's */
    uint64_t size;
    uint8_t head[4096];
    size_t head_len; /* less than sizeof(head) only if the file is that short */
} BootImage;

/* fd_sets is what path may name; may be NULL. */
bool boot_image_open(BootImage *image, const FdSets *fd_sets, const char *path, GError **error);

/* The same for an open file, which belongs to image from now on, also on failure. */
bool boot_image_adopt(BootImage *image, int fd, const char *name, GError **error);

/* Leaves fd -1; harmless then. */
void boot_image_close(BootImage *image);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(BootImage, boot_image_close)

/* Reads a small table.  what names it in the message about a file that ends before it does. */
bool boot_image_read(const BootImage *image, const char *what, uint64_t offset, void *data,
                     size_t len, GError **error);

/* Puts [offset, offset + len) of the file at gpa; the range may span blocks of RAM. */
bool boot_image_load(const BootImage *image, uint64_t offset, uint64_t len, GuestMemory *mem,
                     Gpa gpa, GError **error);

/* End of the RAM that begins at guest address 0 and has no gap. */
uint64_t boot_ram_end(const GuestMemory *mem);

/*
 * Checks that [start, start + len) is RAM below the first gap and clear of the boot tables.  what
 * names the range in the message, which is "NAME: WHAT ...".
 */
bool boot_check_range(const BootImage *image, const char *what, const GuestMemory *mem,
                      uint64_t start, uint64_t len, GError **error);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_BOOT_LOADER_H
#define MACHINE_BOOT_LOADER_H

/*
 * What a loader for one kind of kernel image is, and what it says about the kernel that it put into
 * guest memory.  machine/boot/kernel.c has the table of them all.
 */

#include "hypervisor/vcpu.h"
#include "machine/boot/image.h"

#include <asm/bootparam.h>
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct LoadedKernel {
    VcpuEntryMode mode;
    uint64_t entry;
    uint64_t start, end;   /* guest memory that is the kernel's until it manages memory itself */
    uint64_t initrd_limit; /* the initrd must end at or below */
    uint32_t cmdline_max;  /* characters, without the final NUL */
    struct setup_header setup; /* what the image brought, else what a kernel without one expects */
} LoadedKernel;

/* What x86 Linux has room for and, past which, it cuts the command line off without a word. */
#define BOOT_CMDLINE_LINUX 2047

typedef struct KernelLoader {
    const char *name;
    bool (*matches)(const BootImage *image);

    /*
     * Checks everything, then loads.  Guest memory that the image says nothing of, its bss included,
     * must read as zeroes before: it is not written.  ret_kernel is zeroed by the caller; on failure
     * guest memory may hold part of the image.
     */
    bool (*load)(const BootImage *image, GuestMemory *mem, LoadedKernel *ret_kernel,
                 GError **error);
} KernelLoader;

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_BOOT_KERNEL_H
#define MACHINE_BOOT_KERNEL_H

/*
 * Direct boot: puts a kernel, its initrd and its command line into fresh guest memory and says how
 * the first vCPU is to start.
 *
 *      0      1 MiB     kernel->start       kernel->end          initrd_limit   end of low RAM
 *      +--------+----------+----------------+---------------+--------+----------+
 *      | tables |          | kernel, bss    |               | initrd |          |
 *      +--------+----------+----------------+---------------+--------+----------+
 *
 * The kind of image is told by what the file begins with; a table of loaders does the rest.
 */

#include "machine/boot/bootparams.h"

typedef struct KernelConfig {
    const char *kernel;  /* path */
    const char *initrd;  /* path; NULL: none */
    const char *cmdline; /* NULL: empty */
    uint64_t rsdp;       /* guest address of the ACPI root; 0: none */
} KernelConfig;

/*
 * Main thread, before any vCPU runs.  mem must read as zeroes wherever the machine has not put
 * anything (machine/boot/loader.h).  On failure its contents are undefined.
 */
bool kernel_load(GuestMemory *mem, const KernelConfig *config, VcpuEntry *ret_entry,
                 GError **error);

/* The same for images that are open already; initrd may be NULL, the paths of config are ignored. */
bool kernel_load_images(GuestMemory *mem, const BootImage *kernel, const BootImage *initrd,
                        const KernelConfig *config, VcpuEntry *ret_entry, GError **error);

#endif

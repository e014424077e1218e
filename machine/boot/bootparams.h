/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_BOOT_BOOTPARAMS_H
#define MACHINE_BOOT_BOOTPARAMS_H

/*
 * What a kernel finds when it is entered: by Linux' 64-bit protocol the zero page (setup header,
 * command line, initrd, memory map, ACPI root), one-to-one page tables and a GDT.
 */

#include "machine/boot/e820.h"
#include "machine/boot/loader.h"

/* Handed over in either protocol. */
typedef struct BootInfo {
    uint64_t cmdline; /* guest address of a string */
    uint64_t initrd;  /* guest address; meaningless while initrd_size is 0 */
    uint64_t initrd_size;
    uint64_t rsdp; /* ACPI root; 0: none */
    E820Map map;
} BootInfo;

/* Sets how the first vCPU starts: code segment 0x10, data segments 0x18, flat. */
bool bootparams_write(GuestMemory *mem, const LoadedKernel *kernel, const BootInfo *info,
                      VcpuEntry *ret_entry, GError **error);

#endif

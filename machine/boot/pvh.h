/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_BOOT_PVH_H
#define MACHINE_BOOT_PVH_H

/*
 * The start info of the PVH boot protocol (Xen's hvm_start_info, version 1): command line, initrd as
 * the only module, memory map, ACPI root.  The kernel is entered in 32-bit protected mode without
 * paging, with the address of the start info in rbx; it brings its own GDT.
 */

#include "machine/boot/bootparams.h"

bool pvh_write(GuestMemory *mem, const LoadedKernel *kernel, const BootInfo *info,
               VcpuEntry *ret_entry, GError **error);

#endif

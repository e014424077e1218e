/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_BOOT_LAYOUT_H
#define MACHINE_BOOT_LAYOUT_H

/*
 * Where the boot loader puts what, in the first MiB of guest memory:
 *
 *      0x00500   GDT                        64-bit entry
 *      0x06000   start info, modules, map   PVH entry
 *      0x07000   zero page                  64-bit entry
 *      0x09000   page tables, three pages   64-bit entry
 *      0x20000   command line, at most 64 KiB
 *      0x9fc00   EBDA: end of what the guest takes for RAM
 *      0xe0000   firmware area, which the machine fills:
 *          0xe0010   VM generation id, 16 bytes
 *          0xe0040   ACPI tables, from the RSDP on; or at 0xf0000 an MP table
 *          0xff000   VMClock page
 *      0x100000  kernel images start here or above
 *
 * Nothing of it has to survive the kernel's early start but the firmware area.  The generation id
 * shares a page with the tables, so that it costs none; it leaves alone what begins at a multiple
 * of 2 KiB, where kernels look for the signature of a ROM and random bytes could look like one.
 */

#define BOOT_GDT           0x00500u
#define BOOT_PVH_INFO      0x06000u
#define BOOT_PVH_MODULES   0x06040u
#define BOOT_PVH_MAP       0x06080u
#define BOOT_PVH_END       0x07000u
#define BOOT_ZERO_PAGE     0x07000u
#define BOOT_PAGE_TABLES   0x09000u
#define BOOT_CMDLINE       0x20000u
#define BOOT_CMDLINE_ROOM  0x10000u
#define BOOT_EBDA          0x9fc00u
#define BOOT_EBDA_END      0xa0000u
#define BOOT_FIRMWARE      0xe0000u
#define BOOT_GENERATION    0xe0010u
#define BOOT_ACPI          0xe0040u
#define BOOT_MP_TABLE      0xf0000u /* a kernel looks from here on */
#define BOOT_VMCLOCK       0xff000u
#define BOOT_FIRMWARE_END  0x100000u
#define BOOT_KERNEL_LOWEST 0x100000u

/* What the page tables map, one to one: a kernel that is entered in 64-bit mode must fit. */
#define BOOT_IDENTITY_BYTES 0x40000000u

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_BOOT_FLAT_H
#define MACHINE_BOOT_FLAT_H

/*
 * A flat image, `objcopy -O binary vmlinux`: the kernel as it lies in memory from 16 MiB on, with no
 * header at all, entered at its first byte in 64-bit mode.  Since nothing says what it is, it is
 * what remains when no other loader knows the file, and files that are plainly something else are
 * refused by name.
 */

#include "machine/boot/loader.h"

extern const KernelLoader flat_loader;

#endif

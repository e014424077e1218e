/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_BOOT_ELF_H
#define MACHINE_BOOT_ELF_H

/*
 * ELF64 executables for x86-64, such as vmlinux: each PT_LOAD segment goes to its physical address.
 * An image with the PVH note (owner "Xen", type 18) is entered where that says, in 32-bit mode; one
 * without at e_entry, by Linux' 64-bit boot protocol.
 */

#include "machine/boot/loader.h"

extern const KernelLoader elf_loader;

#endif

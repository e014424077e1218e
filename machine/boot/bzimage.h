/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_BOOT_BZIMAGE_H
#define MACHINE_BOOT_BZIMAGE_H

/*
 * Linux' bzImage, by the 64-bit boot protocol:
 *
 *      0        0x1f1           0x268   (setup_sects + 1) * 512
 *      +--------+---------------+-------+----------------------------------------+
 *      | boot   | setup header  | real- | protected-mode kernel, syssize * 16    |
 *      | sector |               | mode  | entered in 64-bit mode at offset 0x200 |
 *      +--------+---------------+-------+----------------------------------------+
 *
 * The real-mode part stays unused.  The rest goes to its preferred address, unpacks itself within
 * the init_size bytes from there and moves on as it likes.  Needs protocol 2.12 (Linux 3.8).
 */

#include "machine/boot/loader.h"

extern const KernelLoader bzimage_loader;

#endif

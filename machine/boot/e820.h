/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_BOOT_E820_H
#define MACHINE_BOOT_E820_H

/*
 * The memory map that a guest is told: its RAM, with the EBDA and the firmware tables of the first
 * MiB (machine/boot/layout.h) kept out of its hands.  Read-only blocks are no RAM.
 */

#include "hypervisor/memory.h"

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As many as the zero page has room for. */
#define E820_MAX 128

typedef enum {
    E820_RAM = 1,
    E820_RESERVED = 2,
} E820Type;

typedef struct E820Entry {
    uint64_t base;
    uint64_t size;
    E820Type type;
} E820Entry;

typedef struct E820Map {
    size_t count;
    E820Entry entries[E820_MAX]; /* by address, apart from each other */
} E820Map;

bool e820_build(const GuestMemory *mem, E820Map *ret_map, GError **error);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_CORE_FILE_H
#define MACHINE_CORE_FILE_H

/*
 * The guest as a core file that gdb and crash open: ELF64, as QEMU writes it.
 *
 *     | header | program headers | notes about vCPUs | ... page | RAM range | RAM range |
 *
 * All of the layout is known before the first byte is written, so that a pipe will do.  What nobody
 * ever wrote, and whatever else is zero, is not written but skipped; the sink knows what that means.
 */

#include "hypervisor/memory.h"

#include <stdatomic.h>

typedef struct CoreFile CoreFile;

/* Guest-physical addresses; what of them is RAM goes into the file. */
typedef struct CoreFilter {
    uint64_t begin;
    uint64_t length;
} CoreFilter;

/* Where a core file goes, front to back. */
typedef struct CoreSink {
    bool (*write)(void *opaque, const void *data, size_t len, GError **error);
    bool (*skip)(void *opaque, uint64_t len, GError **error); /* so many zeroes */
    void *opaque;
} CoreSink;

/* filter may be NULL: all RAM.  mem outlives the result. */
CoreFile *core_file_new(const GuestMemory *mem, const CoreFilter *filter, GError **error);

/* Accepts NULL. */
void core_file_free(CoreFile *core);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CoreFile, core_file_free)

uint64_t core_file_ram_bytes(const CoreFile *core);

/* The next vCPU; registers is a block in the debug_target's order (hypervisor/debug.h). */
void core_file_add_vcpu(CoreFile *core, const uint8_t *registers);

/* What else there is to say of the next one (vcpu_arch_core_note); in the file, behind all registers. */
void core_file_add_system(CoreFile *core, const uint8_t *data, uint32_t len);

/* Any thread, while nobody writes to RAM.  *done counts the bytes of RAM that are dealt with. */
bool core_file_write(const CoreFile *core, const CoreSink *sink, atomic_uint_fast64_t *done,
                     GError **error);

/* ---- what an architecture says of itself ---- */

/* The note of a vCPU (NT_PRSTATUS): its registers, 64 bits each, from registers_at on. */
typedef struct CoreTarget {
    uint16_t machine; /* EM_... */
    uint16_t prstatus_bytes;
    uint16_t registers_at;
    const char *const *registers; /* the debug_target's names; NULL: zero */
    size_t num_registers;
} CoreTarget;

/* core_x86.c and core_arm64.c define it. */
extern const CoreTarget core_target;

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_OBJECTS_H
#define MACHINE_OBJECTS_H

/*
 * The types of -object: what others refer to by id.
 *
 *     -object memory-backend-file,id=mem0,...  <--  -machine memory-backend=mem0, -numa memdev=mem0
 *     -object iothread,id=io0                  <--  -device virtio-blk-device,iothread=io0
 *     -object rng-random,id=r0,...             <--  -device virtio-rng-device,rng=r0
 */

#include "hypervisor/memory.h"
#include "util/props.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum ObjectFamily {
    OBJECT_MEMORY,   /* MemoryBackendConfig */
    OBJECT_IOTHREAD, /* IoThreadConfig */
    OBJECT_RNG,      /* RngConfig */
    OBJECT_IGNORED,  /* accepted, and of no use here */
} ObjectFamily;

typedef struct ObjectType {
    const char *name;
    ObjectFamily family;
    RamBackendKind ram_kind; /* OBJECT_MEMORY */
    const char *help;
    PropTable table;
} ObjectType;

typedef struct MemoryBackendConfig {
    RamBackendKind kind;
    uint64_t size;
    char *path;
    uint64_t offset;
    bool share;
    bool readonly;
    OnOffAuto rom;
    bool prealloc;
    uint64_t prealloc_threads;
    uint64_t host_nodes;
    unsigned policy; /* RamPolicy */
    OnOffAuto dump;  /* auto: as -machine dump-guest-core says */
    bool hugetlb;
    uint64_t hugetlb_size;
} MemoryBackendConfig;

typedef struct IoThreadConfig {
    uint64_t poll_max_ns;
} IoThreadConfig;

typedef struct RngConfig {
    char *filename; /* NULL: the kernel's generator */
} RngConfig;

/* All of them; and one by the name, or NULL with the nearest known name in the error. */
const ObjectType *object_types(size_t *ret_count);
const ObjectType *object_type_find(const char *name, GError **error);

/* The first thing that is wrong with an -object, if there is one. */
bool object_check(const PropBag *object, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* ret_config is the caller's to clear.  object must be of the family. */
bool memory_backend_parse(const PropBag *object, MemoryBackendConfig *ret_config, GError **error);
void memory_backend_clear(MemoryBackendConfig *config);
bool iothread_parse(const PropBag *object, IoThreadConfig *ret_config, GError **error);
bool rng_parse(const PropBag *object, RngConfig *ret_config, GError **error);
void rng_clear(RngConfig *config);

/* What the hypervisor is told; borrows the strings of both. */
RamBackendConfig memory_backend_to_ram(const MemoryBackendConfig *config, const char *id,
                                       bool dump_guest_core);

#endif

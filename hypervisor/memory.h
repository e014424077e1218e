/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HYPERVISOR_MEMORY_H
#define HYPERVISOR_MEMORY_H

/*
 * Guest RAM.
 *
 *      backend (one host mapping)      blocks (guest addresses)
 *      +--------------------+          +-------------+ 0
 *      |0            3 GiB  | <------- | "ram", low  |
 *      |  ...               |          +-------------+ 3 GiB    the hole: devices
 *      |3 GiB        size   | <------- | "ram", high |
 *      +--------------------+          +-------------+ 4 GiB
 *
 * A backend owns host memory; blocks say where parts of it appear to the guest.  A guest address
 * is a Gpa, which the host cannot dereference; the only way in is one of the guest_mem_ functions,
 * and each of them checks the whole range.
 *
 * Blocks are added on the main thread while no vCPU runs; lookups are lock-free from any thread.
 */

#include "util/fd_set.h"

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Gpa {
    uint64_t v;
} Gpa;

#define GPA(address) ((Gpa){.v = (address)})

static inline Gpa gpa_add(Gpa base, uint64_t offset)
{
    return GPA(base.v + offset);
}

typedef enum {
    GUEST_READ,  /* the host reads */
    GUEST_WRITE, /* the host writes: refused on read-only memory */
} GuestAccess;

typedef enum {
    RAM_ANONYMOUS,
    RAM_FILE,  /* a file, or a fresh file in a directory such as a hugetlbfs mount */
    RAM_MEMFD, /* optionally huge pages */
} RamBackendKind;

typedef enum {
    RAM_POLICY_DEFAULT,
    RAM_POLICY_PREFERRED,
    RAM_POLICY_BIND,
    RAM_POLICY_INTERLEAVE,
} RamPolicy;

typedef enum {
    RAM_IMAGE_MAP, /* the file's pages are the RAM until they are written: any size costs the same */
    RAM_IMAGE_COPY, /* what the file holds is read into the RAM, on all cores */
    RAM_IMAGE_LAZY, /* the same, but each page when it is first touched (ram_lazy.h) */
    RAM_IMAGE_AUTO, /* mapped; or else lazy, if the host can do it and nobody would mind; or else copied */
} RamImageMode;

/* Whom to tell, on a thread of the RAM's own, that what RAM was to hold cannot be had any more. */
typedef struct RamTrouble {
    void (*report)(void *opaque, const char *why);
    void *opaque;
} RamTrouble;

/* What RAM holds when it is made: size bytes of an open file.  name is for messages. */
typedef struct RamImage {
    int fd;
    const char *name;
    uint64_t offset;
    uint64_t size;
    RamImageMode mode;
    bool on_demand;     /* if it is lazy: nothing but what is touched */
    RamTrouble trouble; /* if it is lazy */
} RamImage;

/* What -m, -mem-path, -machine mem-share and -object memory-backend-* boil down to. */
typedef struct RamBackendConfig {
    const char *id;
    RamBackendKind kind;
    uint64_t size;
    const char *path;        /* RAM_FILE */
    const FdSets *fd_sets;   /* RAM_FILE: what path may name; may be NULL */
    uint64_t offset;         /* RAM_FILE: where in the file the RAM begins */
    uint64_t huge_page_size; /* RAM_MEMFD: 0 = ordinary pages */
    bool shared;
    bool readonly; /* the file is opened read-only */
    bool rom;      /* the guest cannot write either */
    bool prealloc;
    unsigned prealloc_threads; /* 0 = as many as there are host CPUs, at most 16 */
    bool exclude_from_core;
    RamPolicy policy;
    uint64_t host_nodes;   /* bit n = host NUMA node n */
    const RamImage *image; /* NULL: zeroes, or what the RAM_FILE holds */
} RamBackendConfig;

/* A part of a private anonymous backend that shows a file, copy-on-write. */
typedef struct RamOverlay {
    uint64_t offset;
    uint64_t len;
    int fd; /* owned */
    uint64_t fd_offset;
} RamOverlay;

typedef struct RamLazy RamLazy;

typedef struct RamBackend {
    char *id;
    uint8_t *hva;
    uint64_t size;
    uint64_t page_size; /* of the memory behind hva: 4 KiB or a huge page size */
    int fd;             /* -1 when anonymous */
    uint64_t fd_offset;
    bool shared;
    bool has_name; /* a file of the user's, which is there when the VM is gone */
    bool rom;
    bool readonly;
    bool prealloc;
    bool exclude_from_core;
    RamPolicy policy;
    uint64_t host_nodes;
    GArray *overlays; /* of RamOverlay */
    RamLazy *lazy;    /* NULL: all of it is there */
} RamBackend;

typedef struct RamBlock {
    Gpa base;
    uint64_t size;
    uint8_t *hva;
    RamBackend *backend;
    uint64_t backend_offset;
    unsigned slot;
} RamBlock;

/* True if an image can be mapped in place of the memory that config asks for, else it is copied. */
bool ram_image_can_map(const RamBackendConfig *config);

typedef struct Hypervisor Hypervisor;
typedef struct GuestMemory GuestMemory;

/* hypervisor may be NULL: memory that only the host sees, for tests and parsers. */
GuestMemory *guest_mem_new(Hypervisor *hypervisor);

/* Accepts NULL.  The hypervisor's slots must be gone or never run again. */
void guest_mem_free(GuestMemory *mem);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GuestMemory, guest_mem_free)

/* Maps host memory as config says.  The memory owns the result. */
RamBackend *guest_mem_add_backend(GuestMemory *mem, const RamBackendConfig *config, GError **error);

/* Shows [offset, offset + size) of backend to the guest at base, through a slot of the hypervisor. */
bool guest_mem_add_block(GuestMemory *mem, RamBackend *backend, uint64_t offset, Gpa base,
                         uint64_t size, GError **error);

/* Shorthand for tests: one anonymous backend of size bytes at guest address 0. */
bool guest_mem_add_plain(GuestMemory *mem, uint64_t size, GError **error);

const RamBlock *guest_mem_blocks(const GuestMemory *mem, size_t *ret_count);
uint64_t guest_mem_total(const GuestMemory *mem);

/*
 * The checked door: a host pointer to exactly [gpa, gpa + len), which must lie within one block.
 * NULL with VMM_ERROR_GUEST otherwise.  error may be NULL.
 */
void *guest_mem_ptr(const GuestMemory *mem, Gpa gpa, uint64_t len, GuestAccess access,
                    GError **error);

/* The way back: the guest address of a byte that guest_mem_ptr gave. */
bool guest_mem_address(const GuestMemory *mem, const void *hva, Gpa *ret_gpa, GError **error);

/* Copies that may cross from one block into an adjacent one. */
bool guest_mem_read(const GuestMemory *mem, Gpa gpa, void *data, uint64_t len, GError **error);
bool guest_mem_write(const GuestMemory *mem, Gpa gpa, const void *data, uint64_t len,
                     GError **error);

/* Bytes of an open file; name is for messages. */
typedef struct FilePart {
    int fd;
    const char *name;
    uint64_t offset;
    uint64_t len;
} FilePart;

/*
 * Makes guest memory from gpa on hold the file's bytes.  Whole pages of private anonymous memory
 * get the file mapped over them copy-on-write, so that an image of any size costs the same; what
 * does not fit that is read.
 */
bool guest_mem_load_file(GuestMemory *mem, Gpa gpa, const FilePart *file, GError **error);

/*
 * Main thread, vCPUs parked: the backend begins anew with the image, as if it had been made with it.
 * image is borrowed for the call.
 */
bool guest_mem_load_image(RamBackend *backend, const RamImage *image, GError **error);

/* Any thread: fails if a part of what an image had for RAM could not be had (RamTrouble). */
bool guest_mem_check(const GuestMemory *mem, GError **error);

/*
 * Any thread, vCPUs may run: the range reads as zeroes from now on, and the host has the memory back
 * where it can.  The range must lie in one block and be a whole number of 4 KiB pages; pages larger
 * than that are only given back where all of them is asked for, and zeroed else.
 */
bool guest_mem_discard(GuestMemory *mem, Gpa gpa, uint64_t len, GError **error);

/*
 * Main thread, vCPUs parked: all RAM reads as zeroes again, as after a power cycle, and its pages
 * are the host's again.  A file that the user gave as RAM is overwritten; ROM keeps its content.
 */
bool guest_mem_clear(GuestMemory *mem, GError **error);

/*
 * The same in two halves.  The first takes as long as much memory was touched, and any thread may do
 * it while the main thread does something else.
 */
void guest_mem_empty(const GuestMemory *mem);
bool guest_mem_renew(GuestMemory *mem, GError **error);

#endif

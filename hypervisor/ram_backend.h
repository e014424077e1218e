/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HYPERVISOR_RAM_BACKEND_H
#define HYPERVISOR_RAM_BACKEND_H

/* Host memory of each kind that -m, -mem-path and -object memory-backend-* can ask for. */

#include "hypervisor/memory.h"
#include "util/page_map.h"

RamBackend *ram_backend_new(const RamBackendConfig *config, GError **error);

/*
 * Shows the part of a file at offset, copy-on-write.  Everything is whole pages; the backend is
 * private anonymous memory of ordinary pages.
 */
bool ram_backend_overlay(RamBackend *backend, uint64_t offset, const FilePart *file,
                         GError **error);

/*
 * Sets the bit of each 4 KiB page in [offset, offset + len) that may hold something else than zeroes;
 * offset and len are whole pages.  Reads none that nobody has written.  Any thread, while nobody
 * writes to the memory.
 */
void ram_backend_find_data(const RamBackend *backend, const PageMap *map, uint64_t offset,
                           uint64_t len, uint64_t *bits);

/* See guest_mem_discard. */
bool ram_backend_discard(const RamBackend *backend, uint64_t offset, uint64_t len, GError **error);

/*
 * Every byte reads as zero again, and the host has its pages back where it can.  In two halves: the
 * pages, a slice at a time, on any thread; then what is left, which takes no time any more.
 */
void ram_backend_empty(const RamBackend *backend);
bool ram_backend_renew(RamBackend *backend, GError **error);

/* Both halves at once. */
bool ram_backend_clear(RamBackend *backend, GError **error);

/* Accepts NULL. */
void ram_backend_free(RamBackend *backend);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RamBackend, ram_backend_free)

#endif

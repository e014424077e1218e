/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HYPERVISOR_RAM_LAZY_H
#define HYPERVISOR_RAM_LAZY_H

/*
 * RAM that is filled from its image while it is in use already.
 *
 *     vCPU, device, this process           thread "ram-fill"                  image
 *     touches a page that is missing --->  reads what is around it      <---  data
 *     goes on                        <---  places it, or a page of zeroes     hole
 *                                          while nobody waits: the rest
 *                                          at the end: holes become the kernel's business
 *
 * The thread never touches the memory and takes no lock of those who do: it can always answer.
 * Whoever touches memory must not hold RamLazy's lock; nobody but this file and a discard takes it.
 *
 * If the image cannot be read any more, the rest of the memory becomes zeroes, so that nobody waits
 * for ever; the owner is told before, and ram_lazy_check fails from then on.
 */

#include "hypervisor/ram_backend.h"

/* Begins with nothing in memory; what was there is gone.  The backend outlives it. */
RamLazy *ram_lazy_new(const RamBackend *backend, const RamImage *image, GError **error);

/* Accepts NULL.  Stops at once; what is missing reads as zeroes. */
void ram_lazy_free(RamLazy *lazy);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RamLazy, ram_lazy_free)

/* Returns when all of it is there; at once if nobody fills it. */
void ram_lazy_wait(RamLazy *lazy);

/* Fails if something that memory was to hold could not be had. */
bool ram_lazy_check(RamLazy *lazy, GError **error);

/*
 * Sets the bits of the pages in [offset, offset + len) that memory may yet get something for.  To be
 * asked before what memory holds: afterwards a page could get lost between the two answers.
 */
void ram_lazy_find_data(RamLazy *lazy, uint64_t offset, uint64_t len, uint64_t *bits);

/*
 * zap throws pages away; what the image has for them does not come any more if it has succeeded.
 * The range is whole pages of the backend's size.
 */
typedef bool (*RamZapFn)(const RamBackend *backend, uint64_t offset, uint64_t len);
bool ram_lazy_discard(RamLazy *lazy, uint64_t offset, uint64_t len, RamZapFn zap);

#endif

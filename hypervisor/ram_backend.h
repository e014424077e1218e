/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HYPERVISOR_RAM_BACKEND_H
#define HYPERVISOR_RAM_BACKEND_H

/* Host memory of each kind that -m, -mem-path and -object memory-backend-* can ask for. */

#include "hypervisor/memory.h"

RamBackend *ram_backend_new(const RamBackendConfig *config, GError **error);

/* Every byte reads as zero again, and the host has its pages back where it can. */
bool ram_backend_clear(RamBackend *backend, GError **error);

/* Accepts NULL. */
void ram_backend_free(RamBackend *backend);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RamBackend, ram_backend_free)

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HYPERVISOR_RAM_IMAGE_H
#define HYPERVISOR_RAM_IMAGE_H

/* What a backend is filled with when it is made, and what ram_backend.c lends for it. */

#include "hypervisor/ram_backend.h"

/*
 * Makes a backend that was just mapped begin as image (NULL: as it is), in two steps: what is mapped
 * comes before the memory is bound to nodes, what is filled comes after it.
 */
bool ram_image_map(RamBackend *backend, const RamImage *image, GError **error);
bool ram_image_fill(RamBackend *backend, const RamImage *image, GError **error);

/* Tells the host what kind of pages the memory wants; also after it was mapped anew. */
void ram_backend_advise(const RamBackend *backend);

/* Puts its pages on the nodes of the host that were asked for; also after it was mapped anew. */
bool ram_backend_bind(const RamBackend *backend, GError **error);

#endif

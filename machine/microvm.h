/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_MICROVM_H
#define MACHINE_MICROVM_H

/* Addresses of the microvm; the map is drawn in microvm.c. */

#define MICROVM_GED         0xf0000000u
#define MICROVM_VIRTIO_BASE 0xf0100000u
#define MICROVM_VIRTIO_SIZE 0x200u
#define MICROVM_LAPIC       0xfee00000u
#define MICROVM_GSI_GED     9u

/* The interrupt of virtio-mmio slot number slot. */
unsigned microvm_virtio_gsi(unsigned slot);

#endif

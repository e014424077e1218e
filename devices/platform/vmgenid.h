/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEVICES_PLATFORM_VMGENID_H
#define DEVICES_PLATFORM_VMGENID_H

/*
 * The VM generation id: 16 bytes in guest RAM by which a guest finds out that it is not the only one
 * with its past any more.  Its kernel then stirs its random pool, its databases forget what they
 * think they agreed upon.
 *
 *     address + 0   the GUID, its first three groups of digits little-endian, as Microsoft's
 *                   "Virtual Machine Generation ID" wants it
 *
 * The id stays through stops, resets and moves.  A clone has a fresh one before its first
 * instruction.
 */

#include "devices/device.h"
#include "devices/platform/ram_notice.h"
#include "hypervisor/memory.h"

#include <stdbool.h>
#include <stdint.h>

#define VMGENID_BYTES 16

typedef struct VmgenidConfig {
    GuestMemory *memory;
    RamNotice notice;

    /* The user's choice, in the order written: for a boot, or for the clone that starts here. */
    bool guid_given;
    uint8_t guid[VMGENID_BYTES];
} VmgenidConfig;

extern const DeviceOps vmgenid_ops;

Device *vmgenid_new(const char *id, const VmgenidConfig *config);

/* Main thread: the id now, in the order in which a GUID is written. */
void vmgenid_get(const Device *vmgenid, uint8_t ret_guid[VMGENID_BYTES]);

extern const VmStateDesc vmgenid_vmstate; /* for state_tables.c */

#endif

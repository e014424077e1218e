/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEVICES_PLATFORM_VMCLOCK_H
#define DEVICES_PLATFORM_VMCLOCK_H

/*
 * VMClock (UAPI.13, include/uapi/linux/vmclock-abi.h): a page in guest RAM that the guest's kernel
 * maps into its programs, which thereby see without a system call that their clock was disrupted
 * or that they were cloned.
 *
 *     0x00  magic "VCLK", size, version, counter id, time type      never change
 *     0x0c  seq_count                                               odd during an update
 *     0x10  disruption_marker                                       another after each restore
 *     0x18  flags, clock status, the clock's parameters
 *     0x68  vm_generation_counter                                   another in each clone
 *
 * It tells of disruptions only: the host's clock is not offered (counter id "invalid").
 */

#include "devices/device.h"
#include "devices/platform/ram_notice.h"
#include "hypervisor/memory.h"

/* Of the whole page, since the guest maps pages. */
#define VMCLOCK_BYTES 4096

typedef struct VmclockConfig {
    GuestMemory *memory;
    RamNotice notice; /* at the beginning of a page that holds nothing else */
} VmclockConfig;

extern const DeviceOps vmclock_ops;

Device *vmclock_new(const char *id, const VmclockConfig *config);

extern const VmStateDesc vmclock_vmstate; /* for state_tables.c */

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HYPERVISOR_ARM64_PAGE_WALK_H
#define HYPERVISOR_ARM64_PAGE_WALK_H

/* Where an AArch64 guest's own tables put a virtual address; KVM does not say it. */

#include "hypervisor/memory.h"

/* The registers of EL1 that decide it. */
typedef struct Arm64Regime {
    uint64_t sctlr;
    uint64_t tcr;
    uint64_t ttbr0;
    uint64_t ttbr1;
} Arm64Regime;

/* False if the address is mapped nowhere, or the tables are not in RAM. */
bool arm64_page_walk(const GuestMemory *mem, const Arm64Regime *regime, uint64_t address,
                     uint64_t *ret_gpa);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_RAM_H
#define MACHINE_RAM_H

/*
 * From -m, -mem-path, -machine mem-share and -numa memdev to guest RAM at its addresses.
 *
 *     host:  [ backend ][ backend ] ...     one, or one per NUMA node
 *     guest: 0 .. low_end                 hole                high_base ..
 */

#include "hypervisor/memory.h"
#include "machine/config.h"
#include "migration/template.h"

typedef struct RamLayout {
    uint64_t low_end;   /* RAM below the hole ends here at the latest */
    uint64_t high_base; /* the rest begins here */
} RamLayout;

/* What RAM is made from. */
typedef struct RamSources {
    const VmConfig *config;
    const FdSets *fd_sets;          /* what paths may name */
    const TemplateReader *template; /* what RAM shows; NULL: zeroes */
    RamTrouble trouble;             /* whom to tell that the template cannot be read any more */
} RamSources;

bool ram_map(const RamSources *sources, GuestMemory *memory, const RamLayout *layout,
             GError **error);

/* All of RAM begins anew as the template has it; it was made before anybody knew which that is. */
bool ram_load(const RamSources *sources, GuestMemory *memory, GError **error);

#endif

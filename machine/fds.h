/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_FDS_H
#define MACHINE_FDS_H

/* The descriptor sets of a VM, with those that -add-fd names in them. */

#include "machine/config.h"
#include "util/fd_set.h"

/* The inherited descriptors belong to the sets from now on; their numbers are free again. */
FdSets *fds_new(const VmConfig *config, GError **error);

#endif

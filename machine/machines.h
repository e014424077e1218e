/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_MACHINES_H
#define MACHINE_MACHINES_H

/* The machine models of this architecture, in one const array. */

#include "machine/vm.h"

extern const MachineOps microvm_ops;
extern const MachineOps none_ops;

/* By MachineType, with gaps; machines_x86.c and machines_arm64.c define it, meson picks. */
extern const MachineOps *const machine_models[];
extern const size_t machine_num_models;

/* NULL if this architecture has no such model. */
const MachineOps *machine_ops_find(MachineType type);

#endif

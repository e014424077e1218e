/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_MACHINES_H
#define MACHINE_MACHINES_H

/* The machine models of this architecture, in one const array (machines.c). */

#include "machine/vm.h"

extern const MachineOps microvm_ops;
extern const MachineOps none_ops;

/* NULL if this architecture has no such model. */
const MachineOps *machine_ops_find(MachineType type);

#endif

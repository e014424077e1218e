/* SPDX-License-Identifier: Apache-2.0 */
/* The machine models of x86-64. */
#include "machine/machines.h"

const MachineOps *const machine_models[] = {
    [MACHINE_NONE] = &none_ops,
    [MACHINE_MICROVM] = &microvm_ops,
};
const size_t machine_num_models = G_N_ELEMENTS(machine_models);

/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/machines.h"

static const MachineOps *const machines[] = {
    [MACHINE_NONE] = &none_ops,
    [MACHINE_MICROVM] = &microvm_ops,
};

const MachineOps *machine_ops_find(MachineType type)
{
    return (size_t)type < G_N_ELEMENTS(machines) ? machines[type] : NULL;
}

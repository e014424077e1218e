/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/machines.h"

const MachineOps *machine_ops_find(MachineType type)
{
    return (size_t)type < machine_num_models ? machine_models[type] : NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* -machine none: RAM at address 0 and nothing else, for whoever only wants to ask questions. */
#include "machine/machines.h"
#include "machine/ram.h"
#include "util/error.h"

static unsigned none_interrupt_pins(const VmConfig *config)
{
    (void)config;
    return 24;
}

static bool none_map_memory(Vm *vm, const TemplateReader *template, GError **error)
{
    const RamSources sources = vm_ram_sources(vm, template);
    static const RamLayout layout = {.low_end = UINT64_MAX, .high_base = UINT64_MAX};

    return ram_map(&sources, vm->memory, &layout, error);
}

static bool none_build(Vm *vm, GError **error)
{
    if (vm->config->devices->len > 0) {
        return fail(error, VMM_ERROR_CONFIG, "-machine none has no bus for -device %s",
                    prop_bag_type(vm->config->devices->pdata[0]));
    }
    return true;
}

static bool none_load(Vm *vm, VcpuEntry *ret_entry, GError **error)
{
    (void)vm;
    (void)error;
    *ret_entry = (VcpuEntry){.mode = VCPU_ENTRY_POWER_ON};
    return true;
}

static bool none_power_button(Vm *vm)
{
    (void)vm;
    return false;
}

static void none_free(Machine *machine)
{
    (void)machine;
}

const MachineOps none_ops = {
    .name = "none",
    .description = "empty machine",
    .max_cpus = 1,
    .interrupt_pins = none_interrupt_pins,
    .map_memory = none_map_memory,
    .build = none_build,
    .load = none_load,
    .power_button = none_power_button,
    .free = none_free,
};

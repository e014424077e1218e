/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/config.h"

#include <string.h>

#define DEFAULT_RAM_BYTES (UINT64_C(256) << 20)

const char *const machine_type_names[] = {
    [MACHINE_NONE] = "none", [MACHINE_MICROVM] = "microvm", [MACHINE_Q35] = "q35",
    [MACHINE_VIRT] = "virt", [MACHINE_VIRT + 1] = NULL,
};

const char *const accel_type_names[] = {
    [ACCEL_KVM] = "kvm",
    [ACCEL_QTEST] = "qtest",
    [ACCEL_QTEST + 1] = NULL,
};

const char *const shutdown_action_names[] = {
    [SHUTDOWN_ACTION_POWEROFF] = "poweroff",
    [SHUTDOWN_ACTION_PAUSE] = "pause",
    [SHUTDOWN_ACTION_PAUSE + 1] = NULL,
};

const char *const reboot_action_names[] = {
    [REBOOT_ACTION_RESET] = "reset",
    [REBOOT_ACTION_SHUTDOWN] = "shutdown",
    [REBOOT_ACTION_SHUTDOWN + 1] = NULL,
};

const char *const panic_action_names[] = {
    [PANIC_ACTION_PAUSE] = "pause",
    [PANIC_ACTION_SHUTDOWN] = "shutdown",
    [PANIC_ACTION_EXIT_FAILURE] = "exit-failure",
    [PANIC_ACTION_NONE] = "none",
    [PANIC_ACTION_NONE + 1] = NULL,
};

const char *const watchdog_action_names[] = {
    [WATCHDOG_ACTION_RESET] = "reset",           [WATCHDOG_ACTION_SHUTDOWN] = "shutdown",
    [WATCHDOG_ACTION_POWEROFF] = "poweroff",     [WATCHDOG_ACTION_PAUSE] = "pause",
    [WATCHDOG_ACTION_DEBUG] = "debug",           [WATCHDOG_ACTION_NONE] = "none",
    [WATCHDOG_ACTION_INJECT_NMI] = "inject-nmi", [WATCHDOG_ACTION_INJECT_NMI + 1] = NULL,
};

const char *const rtc_clock_names[] = {
    [RTC_CLOCK_HOST] = "host",
    [RTC_CLOCK_RT] = "rt",
    [RTC_CLOCK_VM] = "vm",
    [RTC_CLOCK_VM + 1] = NULL,
};

static void cpu_feature_fini(void *opaque)
{
    CpuFeature *feature = opaque;

    g_free(feature->name);
}

void cpu_config_add_feature(CpuConfig *cpu, const char *name, bool on)
{
    CpuFeature feature = {.name = g_strdup(name), .on = on};

    g_array_append_val(cpu->features, feature);
}

void numa_node_free(NumaNode *node)
{
    if (!node) {
        return;
    }
    g_free(node->memdev);
    g_free(node);
}

static void bag_destroy(void *opaque)
{
    prop_bag_free(opaque);
}

static void numa_node_destroy(void *opaque)
{
    numa_node_free(opaque);
}

static GPtrArray *bag_list_new(void)
{
    return g_ptr_array_new_with_free_func(bag_destroy);
}

VmConfig *vm_config_new(void)
{
    VmConfig *config = g_new0(VmConfig, 1);

    config->machine = (MachineConfig){
        .type = MACHINE_MICROVM,
        .dump_guest_core = true,
        .auto_kernel_cmdline = true,
    };
    config->cpu.model = g_strdup("host");
    config->cpu.features =
        g_array_new(/* zero_terminated= */ FALSE, /* clear_= */ FALSE, sizeof(CpuFeature));
    g_array_set_clear_func(config->cpu.features, cpu_feature_fini);
    config->smp = (SmpConfig){
        .cpus = 1, .max_cpus = 1, .sockets = 1, .dies = 1, .clusters = 1, .cores = 1, .threads = 1};
    config->memory.size = DEFAULT_RAM_BYTES;
    config->memory.max_size = DEFAULT_RAM_BYTES;
    config->numa_nodes = g_ptr_array_new_with_free_func(numa_node_destroy);
    config->rtc.base = g_strdup("utc");
    config->objects = bag_list_new();
    config->drives = bag_list_new();
    config->blockdevs = bag_list_new();
    config->netdevs = bag_list_new();
    config->chardevs = bag_list_new();
    config->devices = bag_list_new();
    config->serials = bag_list_new();
    config->monitors = bag_list_new();
    config->add_fds = bag_list_new();
    config->globals = bag_list_new();
    config->smbios = bag_list_new();
    config->traces = bag_list_new();
    config->on_panic = PANIC_ACTION_SHUTDOWN;
    return config;
}

void vm_config_free(VmConfig *config)
{
    if (!config) {
        return;
    }
    g_free(config->name);
    g_free(config->process_name);
    g_free(config->machine.memory_backend);
    g_free(config->cpu.model);
    g_array_unref(config->cpu.features);
    g_free(config->memory.path);
    g_ptr_array_unref(config->numa_nodes);
    g_free(config->boot.kernel);
    g_free(config->boot.initrd);
    g_free(config->boot.append);
    g_free(config->boot.dtb);
    g_free(config->rtc.base);
    g_ptr_array_unref(config->objects);
    g_ptr_array_unref(config->drives);
    g_ptr_array_unref(config->blockdevs);
    g_ptr_array_unref(config->netdevs);
    g_ptr_array_unref(config->chardevs);
    g_ptr_array_unref(config->devices);
    g_ptr_array_unref(config->serials);
    g_ptr_array_unref(config->monitors);
    g_ptr_array_unref(config->add_fds);
    g_ptr_array_unref(config->globals);
    g_ptr_array_unref(config->smbios);
    g_ptr_array_unref(config->traces);
    g_free(config->incoming.uri);
    prop_bag_free(config->incoming.options);
    g_free(config->pid_file);
    g_free(config->log_file);
    g_free(config->qtest);
    g_free(config->gdb);
    g_free(config);
}

const PropBag *vm_config_find(const GPtrArray *bags, const char *id)
{
    for (unsigned i = 0; i < bags->len; i++) {
        const PropBag *bag = g_ptr_array_index(bags, i);

        if (g_strcmp0(prop_bag_id(bag), id) == 0) {
            return bag;
        }
    }
    return NULL;
}

void vm_config_apply_globals(const VmConfig *config, PropBag *device)
{
    /* The last -global of a property wins, hence backwards. */
    for (unsigned i = config->globals->len; i-- > 0;) {
        const PropBag *global = g_ptr_array_index(config->globals, i);
        const char *property = prop_bag_get(global, "property");

        if (g_strcmp0(prop_bag_get(global, "driver"), prop_bag_type(device)) == 0 &&
            !prop_bag_get(device, property)) {
            prop_bag_add(device, property, prop_bag_get(global, "value"));
        }
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A configuration as JSON, for a template's config section.
 *
 *     {"vm": {...}, "machine": {...}, "cpu": {...}, "smp": {...}, "memory": {...}, "boot": {...},
 *      "rtc": {...}, "numa": [{...}], "objects": [{...}], "drives": [{...}], ...}
 *
 * Every inner object is a bag of properties and goes through a table, so what comes from a file is
 * judged as strictly as what comes from a command line.  What is at its default is left out.
 */
#include "machine/config.h"

#include "util/error.h"
#include "util/text.h"

#include <json-c/json.h>
#include <string.h>

/* clang-format off */
static const PropDesc vm_fields[] = {
    {.name = "name", .type = PROP_STRING, .offset = offsetof(VmConfig, name)},
    {.name = "accel", .type = PROP_ENUM, .offset = offsetof(VmConfig, accel),
     .names = accel_type_names},
    {.name = "hardware-signature", .type = PROP_UINT32,
     .offset = offsetof(VmConfig, hardware_signature),
     .given_offset = offsetof(VmConfig, hardware_signature_given)},
    {.name = "on-shutdown", .type = PROP_ENUM, .offset = offsetof(VmConfig, on_shutdown),
     .names = shutdown_action_names},
    {.name = "on-reboot", .type = PROP_ENUM, .offset = offsetof(VmConfig, on_reboot),
     .names = reboot_action_names},
    {.name = "on-panic", .type = PROP_ENUM, .offset = offsetof(VmConfig, on_panic),
     .names = panic_action_names, .default_text = "shutdown"},
    {.name = "on-watchdog", .type = PROP_ENUM, .offset = offsetof(VmConfig, on_watchdog),
     .names = watchdog_action_names},
};

#define MACHINE(name) .offset = offsetof(MachineConfig, name)

static const PropDesc machine_fields[] = {
    {.name = "type", .type = PROP_ENUM, MACHINE(type), .names = machine_type_names,
     .required = true},
    {.name = "acpi", .type = PROP_ON_OFF_AUTO, MACHINE(acpi)},
    {.name = "mem-share", .type = PROP_BOOL, MACHINE(mem_share)},
    {.name = "dump-guest-core", .type = PROP_BOOL, MACHINE(dump_guest_core), .default_text = "on"},
    {.name = "mem-merge", .type = PROP_ON_OFF_AUTO, MACHINE(mem_merge)},
    {.name = "memory-backend", .type = PROP_STRING, MACHINE(memory_backend)},
    {.name = "pit", .type = PROP_ON_OFF_AUTO, MACHINE(pit)},
    {.name = "pic", .type = PROP_ON_OFF_AUTO, MACHINE(pic)},
    {.name = "rtc", .type = PROP_ON_OFF_AUTO, MACHINE(rtc)},
    {.name = "isa-serial", .type = PROP_ON_OFF_AUTO, MACHINE(isa_serial)},
    {.name = "auto-kernel-cmdline", .type = PROP_BOOL, MACHINE(auto_kernel_cmdline),
     .default_text = "on"},
};

static const PropDesc cpu_fields[] = {
    {.name = "model", .type = PROP_STRING, .offset = offsetof(CpuConfig, model), .required = true},
    {.name = "pmu", .type = PROP_ON_OFF_AUTO, .offset = offsetof(CpuConfig, pmu)},
};

#define SMP(name_) {.name = #name_, .type = PROP_UINT32, .offset = offsetof(SmpConfig, name_), \
     .min = 1, .max = CONFIG_MAX_CPUS, .required = true}

static const PropDesc smp_fields[] = {
    SMP(cpus), SMP(max_cpus), SMP(sockets), SMP(dies), SMP(clusters), SMP(cores), SMP(threads),
};

static const PropDesc memory_fields[] = {
    {.name = "size", .type = PROP_SIZE, .offset = offsetof(MemoryConfig, size), .required = true},
    {.name = "slots", .type = PROP_UINT32, .offset = offsetof(MemoryConfig, slots), .max = 256},
    {.name = "maxmem", .type = PROP_SIZE, .offset = offsetof(MemoryConfig, max_size),
     .required = true},
    {.name = "path", .type = PROP_STRING, .offset = offsetof(MemoryConfig, path)},
    {.name = "prealloc", .type = PROP_BOOL, .offset = offsetof(MemoryConfig, prealloc)},
};

static const PropDesc boot_fields[] = {
    {.name = "kernel", .type = PROP_STRING, .offset = offsetof(BootConfig, kernel)},
    {.name = "initrd", .type = PROP_STRING, .offset = offsetof(BootConfig, initrd)},
    {.name = "append", .type = PROP_STRING, .offset = offsetof(BootConfig, append)},
    {.name = "dtb", .type = PROP_STRING, .offset = offsetof(BootConfig, dtb)},
};

static const PropDesc rtc_fields[] = {
    {.name = "base", .type = PROP_STRING, .offset = offsetof(RtcConfig, base), .required = true},
    {.name = "clock", .type = PROP_ENUM, .offset = offsetof(RtcConfig, clock),
     .names = rtc_clock_names},
};

static const PropDesc node_fields[] = {
    {.name = "id", .type = PROP_UINT32, .offset = offsetof(NumaNode, id),
     .max = CONFIG_MAX_NUMA_NODES - 1, .required = true},
    {.name = "cpus", .type = PROP_SET, .offset = offsetof(NumaNode, cpus),
     .max = CONFIG_MAX_CPUS - 1},
    {.name = "memdev", .type = PROP_STRING, .offset = offsetof(NumaNode, memdev)},
    {.name = "size", .type = PROP_SIZE, .offset = offsetof(NumaNode, size)},
};
/* clang-format on */

static const PropTable vm_table = PROP_TABLE("vm", vm_fields, VmConfig);
static const PropTable machine_table = PROP_TABLE("machine", machine_fields, MachineConfig);
static const PropTable cpu_table = PROP_TABLE("cpu", cpu_fields, CpuConfig);
static const PropTable smp_table = PROP_TABLE("smp", smp_fields, SmpConfig);
static const PropTable memory_table = PROP_TABLE("memory", memory_fields, MemoryConfig);
static const PropTable boot_table = PROP_TABLE("boot", boot_fields, BootConfig);
static const PropTable rtc_table = PROP_TABLE("rtc", rtc_fields, RtcConfig);
static const PropTable node_table = PROP_TABLE("numa node", node_fields, NumaNode);

static const struct {
    const char *name;
    const PropTable *table;
    size_t offset; /* of the table's struct in VmConfig */
} sections[] = {
    {"vm", &vm_table, 0},
    {"machine", &machine_table, offsetof(VmConfig, machine)},
    {"cpu", &cpu_table, offsetof(VmConfig, cpu)},
    {"smp", &smp_table, offsetof(VmConfig, smp)},
    {"memory", &memory_table, offsetof(VmConfig, memory)},
    {"boot", &boot_table, offsetof(VmConfig, boot)},
    {"rtc", &rtc_table, offsetof(VmConfig, rtc)},
};

static const struct {
    const char *name;
    size_t offset;
    const char *implied_key;
} lists[] = {
    {"objects", offsetof(VmConfig, objects), "qom-type"},
    {"drives", offsetof(VmConfig, drives), NULL},
    {"blockdevs", offsetof(VmConfig, blockdevs), "driver"},
    {"netdevs", offsetof(VmConfig, netdevs), "type"},
    {"chardevs", offsetof(VmConfig, chardevs), "backend"},
    {"devices", offsetof(VmConfig, devices), "driver"},
    {"serials", offsetof(VmConfig, serials), NULL},
    {"globals", offsetof(VmConfig, globals), NULL},
    {"smbios", offsetof(VmConfig, smbios), NULL},
};

/* What no table can hold: the repeated keys of two sections and the UUID. */
#define KEY_UUID     "uuid"
#define KEY_FEATURE  "feature"
#define KEY_DISTANCE "distance"

static GPtrArray *config_list(const VmConfig *config, size_t offset)
{
    return *(GPtrArray *const *)(const void *)((const uint8_t *)config + offset);
}

/* ---- to JSON ----------------------------------------------------------------------------- */

static void add_uuid(const VmConfig *config, PropBag *bag)
{
    char text[TEXT_UUID_SIZE];

    if (config->uuid_given) {
        text_format_uuid(config->uuid, text);
        prop_bag_add(bag, KEY_UUID, text);
    }
}

static void add_features(const CpuConfig *cpu, PropBag *bag)
{
    for (unsigned i = 0; i < cpu->features->len; i++) {
        const CpuFeature *feature = &g_array_index(cpu->features, CpuFeature, i);
        g_autofree char *text = g_strconcat(feature->on ? "+" : "-", feature->name, NULL);

        prop_bag_add(bag, KEY_FEATURE, text);
    }
}

static json_object *node_to_json(const NumaNode *node, unsigned count)
{
    g_autoptr(PropBag) bag = props_to_bag(&node_table, node);

    for (unsigned i = 0; i < count; i++) {
        g_autofree char *text = g_strdup_printf("%u", node->distance[i]);

        prop_bag_add(bag, KEY_DISTANCE, text);
    }
    return prop_bag_to_json(bag);
}

/* Back ends of monitors, of the debugger and of tests belong to this process, not to the VM. */
static bool is_of_process(const VmConfig *config, const PropBag *chardev)
{
    const char *id = prop_bag_id(chardev);

    for (unsigned i = 0; id && i < config->monitors->len; i++) {
        if (g_strcmp0(prop_bag_get(g_ptr_array_index(config->monitors, i), "chardev"), id) == 0) {
            return true;
        }
    }
    return id && (g_strcmp0(id, config->gdb) == 0 || g_strcmp0(id, config->qtest) == 0);
}

static void add_list(const VmConfig *config, const char *name, const GPtrArray *bags,
                     json_object *json)
{
    json_object *list = json_object_new_array();

    for (unsigned i = 0; i < bags->len; i++) {
        const PropBag *bag = g_ptr_array_index(bags, i);

        if (bags != config->chardevs || !is_of_process(config, bag)) {
            json_object_array_add(list, prop_bag_to_json(bag));
        }
    }
    if (json_object_array_length(list) > 0) {
        json_object_object_add(json, name, list);
    } else {
        json_object_put(list);
    }
}

json_object *vm_config_to_json(const VmConfig *config)
{
    json_object *json = json_object_new_object();

    for (size_t i = 0; i < G_N_ELEMENTS(sections); i++) {
        g_autoptr(PropBag) bag =
            props_to_bag(sections[i].table, (const uint8_t *)config + sections[i].offset);

        if (sections[i].table == &vm_table) {
            add_uuid(config, bag);
        }
        if (sections[i].table == &cpu_table) {
            add_features(&config->cpu, bag);
        }
        if (prop_bag_count(bag) > 0) {
            json_object_object_add(json, sections[i].name, prop_bag_to_json(bag));
        }
    }
    for (size_t i = 0; i < G_N_ELEMENTS(lists); i++) {
        add_list(config, lists[i].name, config_list(config, lists[i].offset), json);
    }
    if (config->numa_nodes->len > 0) {
        json_object *nodes = json_object_new_array();

        for (unsigned n = 0; n < config->numa_nodes->len; n++) {
            const NumaNode *node = g_ptr_array_index(config->numa_nodes, n);

            json_object_array_add(nodes, node_to_json(node, config->numa_nodes->len));
        }
        json_object_object_add(json, "numa", nodes);
    }
    return json;
}

/* ---- from JSON --------------------------------------------------------------------------- */

static bool take_uuid(VmConfig *config, PropBag *bag, GError **error)
{
    g_autofree char *text = prop_bag_take(bag, KEY_UUID);

    if (!text) {
        return true;
    }
    config->uuid_given = true;
    return text_parse_uuid(text, config->uuid) ||
           fail(error, VMM_ERROR_CONFIG, "property 'uuid' is '%s': expected a UUID", text);
}

static bool take_features(CpuConfig *cpu, PropBag *bag, GError **error)
{
    for (;;) {
        g_autofree char *text = prop_bag_take(bag, KEY_FEATURE);

        if (!text) {
            return true;
        }
        if ((text[0] != '+' && text[0] != '-') || text[1] == '\0') {
            return fail(error, VMM_ERROR_CONFIG, "feature '%s': expected +name or -name", text);
        }
        cpu_config_add_feature(cpu, text + 1, text[0] == '+');
    }
}

static bool read_section(VmConfig *config, size_t index, json_object *json, GError **error)
{
    const PropTable *table = sections[index].table;
    void *section = (uint8_t *)config + sections[index].offset;
    g_autoptr(PropBag) bag = prop_bag_from_json(json, /* implied_key= */ NULL, error);

    if (!bag || (table == &vm_table && !take_uuid(config, bag, error)) ||
        (table == &cpu_table && !take_features(&config->cpu, bag, error))) {
        return false;
    }
    props_clear(table, section);
    return props_apply(table, bag, section, error);
}

static bool check_list(json_object *json, GError **error)
{
    return json_object_is_type(json, json_type_array) ||
           fail(error, VMM_ERROR_CONFIG, "expected a list, found %s",
                json_type_to_name(json_object_get_type(json)));
}

static bool read_list(VmConfig *config, size_t index, json_object *json, GError **error)
{
    GPtrArray *bags = config_list(config, lists[index].offset);

    if (!check_list(json, error)) {
        return false;
    }
    for (size_t i = 0; i < json_object_array_length(json); i++) {
        PropBag *bag =
            prop_bag_from_json(json_object_array_get_idx(json, i), lists[index].implied_key, error);

        if (!bag) {
            return false;
        }
        g_ptr_array_add(bags, bag);
    }
    return true;
}

static bool take_distances(NumaNode *node, PropBag *bag, GError **error)
{
    for (unsigned i = 0;; i++) {
        g_autofree char *text = prop_bag_take(bag, KEY_DISTANCE);
        uint64_t distance;

        if (!text) {
            return true;
        }
        if (i == CONFIG_MAX_NUMA_NODES || !text_parse_uint(text, &distance) ||
            distance > UINT8_MAX) {
            return fail(error, VMM_ERROR_CONFIG, "distance %u is '%s': expected at most 255", i,
                        text);
        }
        node->distance[i] = (uint8_t)distance;
    }
}

static bool read_nodes(VmConfig *config, json_object *json, GError **error)
{
    if (!check_list(json, error)) {
        return false;
    }
    for (size_t i = 0; i < json_object_array_length(json); i++) {
        g_autoptr(PropBag) bag =
            prop_bag_from_json(json_object_array_get_idx(json, i), /* implied_key= */ NULL, error);
        g_autoptr(NumaNode) node = g_new0(NumaNode, 1);

        if (!bag || !take_distances(node, bag, error) ||
            !props_apply(&node_table, bag, node, error)) {
            return false;
        }
        if (node->id != i) {
            return fail(error, VMM_ERROR_CONFIG, "node %u stands at place %zu", node->id, i);
        }
        g_ptr_array_add(config->numa_nodes, g_steal_pointer(&node));
    }
    return true;
}

static bool read_member(VmConfig *config, const char *name, json_object *json, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(sections); i++) {
        if (strcmp(name, sections[i].name) == 0) {
            return read_section(config, i, json, error);
        }
    }
    for (size_t i = 0; i < G_N_ELEMENTS(lists); i++) {
        if (strcmp(name, lists[i].name) == 0) {
            return read_list(config, i, json, error);
        }
    }
    if (strcmp(name, "numa") == 0) {
        return read_nodes(config, json, error);
    }
    return fail(error, VMM_ERROR_CONFIG, "unknown section");
}

VmConfig *vm_config_from_json(json_object *json, GError **error)
{
    g_autoptr(VmConfig) config = vm_config_new();

    if (!json_object_is_type(json, json_type_object)) {
        return fail_null(error, VMM_ERROR_CONFIG, "expected a JSON object, found %s",
                         json_type_to_name(json_object_get_type(json)));
    }

    struct json_object_iterator at = json_object_iter_begin(json);
    struct json_object_iterator end = json_object_iter_end(json);

    for (; !json_object_iter_equal(&at, &end); json_object_iter_next(&at)) {
        const char *name = json_object_iter_peek_name(&at);

        if (!read_member(config, name, json_object_iter_peek_value(&at), error)) {
            g_prefix_error(error, "configuration section '%s': ", name);
            return NULL;
        }
    }
    return g_steal_pointer(&config);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/template_config.h"

#include "util/error.h"

#include <json-c/json.h>
#include <string.h>

/* ---- what differs --------------------------------------------------------------------------- */

/* Keys that the guest cannot see, so that two VMs may differ in them; NULL at the end. */
static const char *const machine_host_keys[] = {"mem-share", "dump-guest-core", "mem-merge",
                                                "memory-backend", NULL};
static const char *const memory_host_keys[] = {"path", "prealloc", NULL};
static const char *const device_host_keys[] = {"drive",  "netdev",   "chardev", "rng",
                                               "werror", "iothread", "rerror",  NULL};
static const char *const no_keys[] = {NULL};

static const struct {
    const char *name;
    const char *const *host_keys;
} sections[] = {
    {"machine", machine_host_keys},
    {"cpu", no_keys},
    {"smp", no_keys},
    {"memory", memory_host_keys},
};

/* One object here beside the same of the template; NULL: nothing but defaults. */
typedef struct Comparison {
    GString *differences;
    const char *where;
    json_object *here;
    json_object *saved;
    const char *const *host_keys;
} Comparison;

static json_object *member(json_object *object, const char *name)
{
    json_object *value = NULL;

    json_object_object_get_ex(object, name, &value);
    return value;
}

static bool is_in(const char *const *keys, const char *key)
{
    return g_strv_contains(keys, key);
}

static const char *words(json_object *value)
{
    return value ? json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN) : "nothing";
}

static void note(GString *differences, const char *where, const char *key, json_object *here,
                 json_object *saved)
{
    g_autofree char *here_words = g_strdup(words(here));

    g_string_append_printf(differences, "%s%s%s%s: %s here, %s in the template",
                           differences->len > 0 ? "; " : "", where, key ? " " : "", key ? key : "",
                           here_words, words(saved));
}

/* Every key of `keys`, which is one of the two; with only_missing those that `here` lacks. */
static void compare_keys(const Comparison *c, json_object *keys, bool only_missing)
{
    struct json_object_iterator at = json_object_iter_begin(keys);
    struct json_object_iterator end = json_object_iter_end(keys);

    for (; !json_object_iter_equal(&at, &end); json_object_iter_next(&at)) {
        const char *key = json_object_iter_peek_name(&at);
        json_object *a = member(c->here, key);
        json_object *b = member(c->saved, key);

        if (!is_in(c->host_keys, key) && !(only_missing && a) && !json_object_equal(a, b)) {
            note(c->differences, c->where, key, a, b);
        }
    }
}

static void compare_objects(const Comparison *c)
{
    if (c->here) {
        compare_keys(c, c->here, /* only_missing= */ false);
    }
    if (c->saved) {
        compare_keys(c, c->saved, /* only_missing= */ true);
    }
}

static void compare_devices(GString *differences, json_object *here, json_object *saved)
{
    size_t n_here = here ? json_object_array_length(here) : 0;
    size_t n_saved = saved ? json_object_array_length(saved) : 0;

    for (size_t i = 0; i < MAX(n_here, n_saved); i++) {
        g_autofree char *where = g_strdup_printf("device %zu", i);
        json_object *a = i < n_here ? json_object_array_get_idx(here, i) : NULL;
        json_object *b = i < n_saved ? json_object_array_get_idx(saved, i) : NULL;

        if (a && b) {
            compare_objects(&(Comparison){differences, where, a, b, device_host_keys});
        } else {
            note(differences, where, NULL, a, b);
        }
    }
}

bool template_config_check(const VmConfig *config, json_object *saved, GError **error)
{
    json_object *here = vm_config_to_json(config);
    g_autoptr(GString) differences = g_string_new(NULL);

    for (size_t i = 0; i < G_N_ELEMENTS(sections); i++) {
        const char *name = sections[i].name;

        compare_objects(&(Comparison){differences, name, member(here, name), member(saved, name),
                                      sections[i].host_keys});
    }
    if (!json_object_equal(member(here, "numa"), member(saved, "numa"))) {
        note(differences, "numa", NULL, member(here, "numa"), member(saved, "numa"));
    }
    compare_devices(differences, member(here, "devices"), member(saved, "devices"));
    json_object_put(here);
    return differences->len == 0 ||
           fail(error, VMM_ERROR_CONFIG, "the VM differs from the template's: %s",
                differences->str);
}

/* ---- what is taken -------------------------------------------------------------------------- */

/* The back ends that one -drive, -netdev, ... of the same id replaces. */
static void merge_list(GPtrArray *ours, GPtrArray *saved)
{
    for (guint i = 0; i < saved->len; i++) {
        const PropBag *bag = saved->pdata[i];

        if (!prop_bag_id(bag) || !vm_config_find(ours, prop_bag_id(bag))) {
            g_ptr_array_add(ours, prop_bag_copy(bag));
        }
    }
}

static void take_list(GPtrArray *ours, const GPtrArray *saved)
{
    if (ours->len > 0) {
        return;
    }
    for (guint i = 0; i < saved->len; i++) {
        g_ptr_array_add(ours, prop_bag_copy(saved->pdata[i]));
    }
}

static void take_text(char **ours, char **saved)
{
    if (!*ours) {
        *ours = g_steal_pointer(saved);
    }
}

static void take_boot(BootConfig *ours, BootConfig *saved)
{
    if (!ours->kernel) {
        take_text(&ours->kernel, &saved->kernel);
        take_text(&ours->initrd, &saved->initrd);
        take_text(&ours->append, &saved->append);
        take_text(&ours->dtb, &saved->dtb);
    }
}

static void take_cpu(VmConfig *config, VmConfig *saved)
{
    if (!config->given.cpu) {
        CpuConfig ours = config->cpu;

        config->cpu = saved->cpu;
        saved->cpu = ours;
    }
}

static void take_machine(VmConfig *config, VmConfig *saved)
{
    g_free(config->machine.memory_backend);
    config->machine = saved->machine;
    saved->machine.memory_backend = NULL;
    take_text(&config->memory.path, &saved->memory.path);
    config->memory.prealloc = saved->memory.prealloc;
    take_list(config->devices, saved->devices);
    take_list(config->serials, saved->serials);
    take_list(config->globals, saved->globals);
    take_list(config->smbios, saved->smbios);
    merge_list(config->objects, saved->objects);
    merge_list(config->drives, saved->drives);
    merge_list(config->blockdevs, saved->blockdevs);
    merge_list(config->netdevs, saved->netdevs);
    merge_list(config->chardevs, saved->chardevs);
}

bool template_config_is_wanted(const VmConfig *config)
{
    return !config->given.machine && !config->given.cpu && !config->given.smp &&
           !config->given.memory && config->devices->len == 0 && !config->boot.kernel;
}

/* The rest of it is like the template's unless the command line says otherwise. */
static void take_numbers(VmConfig *config, VmConfig *saved)
{
    if (!config->given.smp) {
        config->smp = saved->smp;
    }
    if (!config->given.memory) {
        config->memory.size = saved->memory.size;
        config->memory.max_size = saved->memory.max_size;
        config->memory.slots = saved->memory.slots;
    }
    if (!config->uuid_given && saved->uuid_given) {
        config->uuid_given = true;
        memcpy(config->uuid, saved->uuid, sizeof(config->uuid));
    }
    if (config->numa_nodes->len == 0) {
        GPtrArray *ours = config->numa_nodes;

        config->numa_nodes = saved->numa_nodes;
        saved->numa_nodes = ours;
    }
}

bool template_config_take(VmConfig *config, json_object *saved_json, GError **error)
{
    g_autoptr(VmConfig) saved = vm_config_from_json(saved_json, error);

    if (!saved) {
        return false;
    }
    if (template_config_is_wanted(config)) {
        take_machine(config, saved);
    }
    take_cpu(config, saved);
    take_boot(&config->boot, &saved->boot);
    take_numbers(config, saved);
    return template_config_check(config, saved_json, error);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be wrong with a configuration whatever the host is.  Checks run from the machine to the
 * things that refer to it, so that the first error is the one to mend first.
 */
#include "machine/config.h"

#include "machine/objects.h"
#include "util/error.h"
#include "util/text.h"

#include <inttypes.h>
#include <string.h>

#define MIN_RAM_BYTES (UINT64_C(1) << 20)
#define MAX_RAM_BYTES (UINT64_C(4) << 40)
#define PAGE_BYTES    UINT64_C(4096)

/* ---- machine, CPUs, RAM ------------------------------------------------------------------ */

static bool check_smp(const SmpConfig *smp, GError **error)
{
    uint64_t places =
        (uint64_t)smp->sockets * smp->dies * smp->clusters * smp->cores * smp->threads;

    if (places != smp->max_cpus) {
        return fail(error, VMM_ERROR_CONFIG,
                    "-smp: sockets %u * dies %u * clusters %u * cores %u * threads %u is %" PRIu64
                    ": expected maxcpus, %u",
                    smp->sockets, smp->dies, smp->clusters, smp->cores, smp->threads, places,
                    smp->max_cpus);
    }
    if (smp->cpus < 1 || smp->max_cpus > CONFIG_MAX_CPUS || smp->cpus > smp->max_cpus) {
        return fail(error, VMM_ERROR_CONFIG,
                    "-smp: %u vCPUs of at most %u: expected 1 <= cpus <= maxcpus <= %d", smp->cpus,
                    smp->max_cpus, CONFIG_MAX_CPUS);
    }
    return true;
}

static bool check_ram_size(const char *what, uint64_t bytes, GError **error)
{
    g_autofree char *text = text_format_size(bytes);

    if (bytes < MIN_RAM_BYTES || bytes > MAX_RAM_BYTES) {
        return fail(error, VMM_ERROR_CONFIG, "-m: %s is %s: expected 1M to 4T", what, text);
    }
    if (bytes % PAGE_BYTES != 0) {
        return fail(error, VMM_ERROR_CONFIG, "-m: %s is %s: expected whole pages of 4K", what,
                    text);
    }
    return true;
}

static bool check_memory(const VmConfig *config, GError **error)
{
    const MemoryConfig *memory = &config->memory;

    if (!check_ram_size("size", memory->size, error) ||
        !check_ram_size("maxmem", memory->max_size, error)) {
        return false;
    }
    if (memory->max_size < memory->size) {
        return fail(error, VMM_ERROR_CONFIG, "-m: maxmem is smaller than size");
    }
    if ((memory->max_size > memory->size) != (memory->slots > 0)) {
        return fail(error, VMM_ERROR_CONFIG, "-m: slots and a maxmem above size need each other");
    }
    if (memory->slots > 0 && config->machine.type == MACHINE_MICROVM) {
        return fail(error, VMM_ERROR_CONFIG,
                    "-m: machine microvm has no slots for memory: expected slots=0 and no maxmem");
    }
    return true;
}

/* RAM that is an object: there, a memory backend, and of the right size. */
static bool check_ram_object(const VmConfig *config, const char *who, const char *id, uint64_t size,
                             GError **error)
{
    const PropBag *object = vm_config_find(config->objects, id);
    MemoryBackendConfig backend;

    if (!object) {
        return fail(error, VMM_ERROR_CONFIG, "%s: there is no -object with id '%s'", who, id);
    }
    if (!memory_backend_parse(object, &backend, error)) {
        g_prefix_error(error, "%s: ", who);
        return false;
    }
    memory_backend_clear(&backend);
    if (backend.size != size) {
        g_autofree char *wanted = text_format_size(size);
        g_autofree char *found = text_format_size(backend.size);

        return fail(error, VMM_ERROR_CONFIG, "%s: object '%s' has %s: expected %s", who, id, found,
                    wanted);
    }
    return true;
}

static bool check_machine(const VmConfig *config, GError **error)
{
    const char *backend = config->machine.memory_backend;

    if (config->hardware_signature_given && config->machine.type == MACHINE_MICROVM) {
        return fail(error, VMM_ERROR_CONFIG,
                    "-hardware-signature: machine microvm has no FACS to hold it");
    }
    if (config->smbios->len > 0 && config->machine.type == MACHINE_MICROVM) {
        return fail(error, VMM_ERROR_CONFIG, "-smbios: machine microvm has no SMBIOS");
    }
    if (!backend) {
        return true;
    }
    if (config->memory.path) {
        return fail(error, VMM_ERROR_CONFIG,
                    "-mem-path contradicts -machine memory-backend=%s: expected one of them",
                    backend);
    }
    return check_ram_object(config, "-machine memory-backend", backend, config->memory.size, error);
}

static bool check_boot(const VmConfig *config, GError **error)
{
    const BootConfig *boot = &config->boot;
    bool kernel_needed = config->machine.type == MACHINE_MICROVM && !config->incoming.uri &&
                         config->accel != ACCEL_QTEST;

    if (boot->kernel) {
        return true;
    }
    if (boot->initrd || boot->append || boot->dtb) {
        return fail(error, VMM_ERROR_CONFIG, "-%s needs a -kernel",
                    boot->initrd   ? "initrd"
                    : boot->append ? "append"
                                   : "dtb");
    }
    return !kernel_needed ||
           fail(error, VMM_ERROR_CONFIG, "machine microvm needs a -kernel to boot, or -incoming");
}

/* ---- NUMA -------------------------------------------------------------------------------- */

static bool check_numa_cpus(const VmConfig *config, GError **error)
{
    unsigned owner[CONFIG_CPU_SET_WORDS * 64] = {0}; /* node + 1 */

    for (unsigned n = 0; n < config->numa_nodes->len; n++) {
        const NumaNode *node = g_ptr_array_index(config->numa_nodes, n);

        for (unsigned cpu = 0; cpu < G_N_ELEMENTS(owner); cpu++) {
            if (!(node->cpus[cpu / 64] >> (cpu % 64) & 1)) {
                continue;
            }
            if (owner[cpu] != 0) {
                return fail(error, VMM_ERROR_CONFIG, "-numa: CPU %u is in node %u and in node %u",
                            cpu, owner[cpu] - 1, node->id);
            }
            if (cpu >= config->smp.max_cpus) {
                return fail(error, VMM_ERROR_CONFIG, "-numa: node %u has CPU %u: there are %u",
                            node->id, cpu, config->smp.max_cpus);
            }
            owner[cpu] = node->id + 1;
        }
    }
    for (unsigned cpu = 0; cpu < config->smp.max_cpus; cpu++) {
        if (owner[cpu] == 0) {
            return fail(error, VMM_ERROR_CONFIG, "-numa: CPU %u is in no node", cpu);
        }
    }
    return true;
}

static bool check_numa(const VmConfig *config, GError **error)
{
    uint64_t sum = 0;

    for (unsigned n = 0; n < config->numa_nodes->len; n++) {
        const NumaNode *node = g_ptr_array_index(config->numa_nodes, n);
        g_autofree char *who = g_strdup_printf("-numa node %u", node->id);

        if (node->memdev && !check_ram_object(config, who, node->memdev, node->size, error)) {
            return false;
        }
        if (node->memdev && config->machine.memory_backend) {
            return fail(error, VMM_ERROR_CONFIG,
                        "%s: memdev contradicts -machine memory-backend: expected one of them",
                        who);
        }
        if (node->size % PAGE_BYTES != 0) {
            return fail(error, VMM_ERROR_CONFIG, "%s: expected whole pages of 4K", who);
        }
        sum += MIN(node->size, MAX_RAM_BYTES);
    }
    if (config->numa_nodes->len > 0 && sum != config->memory.size) {
        g_autofree char *nodes = text_format_size(sum);
        g_autofree char *ram = text_format_size(config->memory.size);

        return fail(error, VMM_ERROR_CONFIG, "-numa: the nodes have %s: expected the RAM's %s",
                    nodes, ram);
    }
    return config->numa_nodes->len == 0 || check_numa_cpus(config, error);
}

/* ---- ids --------------------------------------------------------------------------------- */

/* Ids of one kind share a hash from id to the option that has it. */
static bool claim_id(GHashTable *ids, const char *option, const char *key, const char *id,
                     GError **error)
{
    if (!text_is_id(id)) {
        return fail(error, VMM_ERROR_CONFIG,
                    "%s: %s '%s': expected a letter, then letters, digits, '-', '.' or '_'", option,
                    key, id);
    }
    if (!g_hash_table_add(ids, g_strdup(id))) {
        return fail(error, VMM_ERROR_CONFIG, "%s: %s '%s' is given twice", option, key, id);
    }
    return true;
}

static bool claim_ids(GHashTable *ids, const GPtrArray *bags, const char *option, const char *key,
                      bool required, GError **error)
{
    for (unsigned i = 0; i < bags->len; i++) {
        const PropBag *bag = g_ptr_array_index(bags, i);
        const char *id = prop_bag_get(bag, key);

        if (!id && required) {
            g_autofree char *text = prop_bag_to_text(bag);

            return fail(error, VMM_ERROR_CONFIG, "%s %s: property '%s' is missing", option, text,
                        key);
        }
        if (id && !claim_id(ids, option, key, id, error)) {
            return false;
        }
    }
    return true;
}

static bool check_ids(const VmConfig *config, GError **error)
{
    const struct {
        const GPtrArray *bags;
        const char *option;
        const char *key;
        bool required;
        bool same_space; /* as the kind before */
    } kinds[] = {
        {config->objects, "-object", "id", true, false},
        {config->chardevs, "-chardev", "id", true, false},
        {config->netdevs, "-netdev", "id", true, false},
        {config->drives, "-drive", "id", true, false},
        {config->blockdevs, "-blockdev", "node-name", true, true},
        {config->devices, "-device", "id", false, false},
    };
    g_autoptr(GHashTable) ids = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (!kinds[i].same_space) {
            g_hash_table_remove_all(ids);
        }
        if (!claim_ids(ids, kinds[i].bags, kinds[i].option, kinds[i].key, kinds[i].required,
                       error)) {
            return false;
        }
    }
    return true;
}

/* ---- references -------------------------------------------------------------------------- */

typedef struct Reference {
    const char *property; /* of a device */
    const char *target;   /* in words */
    size_t list;          /* offset of the GPtrArray in VmConfig */
    const char *key;      /* that holds the id in it */
    const char *type;     /* what the target's type begins with; NULL: any */
    bool exclusive;       /* one user at a time */
} Reference;

#define LIST(name) offsetof(VmConfig, name)

static const Reference references[] = {
    {"drive", "-drive or -blockdev", LIST(drives), "id", NULL, true},
    {"netdev", "-netdev", LIST(netdevs), "id", NULL, true},
    {"chardev", "-chardev", LIST(chardevs), "id", NULL, true},
    {"iothread", "-object iothread", LIST(objects), "id", "iothread", false},
    {"rx-iothread", "-object iothread", LIST(objects), "id", "iothread", false},
    {"tx-iothread", "-object iothread", LIST(objects), "id", "iothread", false},
    {"memdev", "-object memory-backend-...", LIST(objects), "id", "memory-backend-", true},
    {"rng", "-object rng-...", LIST(objects), "id", "rng-", false},
};

static const GPtrArray *config_list(const VmConfig *config, size_t offset)
{
    return *(GPtrArray *const *)(const void *)((const uint8_t *)config + offset);
}

static PropBag *find_by(const GPtrArray *bags, const char *key, const char *id, const char *type)
{
    for (unsigned i = 0; i < bags->len; i++) {
        PropBag *bag = g_ptr_array_index(bags, i);
        const char *bag_type = prop_bag_type(bag);

        if (g_strcmp0(prop_bag_get(bag, key), id) == 0 &&
            (!type || (bag_type && g_str_has_prefix(bag_type, type)))) {
            return bag;
        }
    }
    return NULL;
}

/* users maps a target's bag to the name of who has it. */
static bool claim_target(GHashTable *users, PropBag *target, const Reference *reference,
                         const char *id, const char *user, GError **error)
{
    const char *other = g_hash_table_lookup(users, target);

    if (other && reference->exclusive) {
        return fail(error, VMM_ERROR_CONFIG, "%s: %s '%s' is used by %s already", user,
                    reference->property, id, other);
    }
    g_hash_table_insert(users, target, g_strdup(user));
    return true;
}

static bool check_reference(const VmConfig *config, GHashTable *users, const Reference *reference,
                            const char *id, const char *user, GError **error)
{
    PropBag *target =
        find_by(config_list(config, reference->list), reference->key, id, reference->type);

    if (!target && reference->list == LIST(drives)) {
        target = find_by(config->blockdevs, "node-name", id, /* type= */ NULL);
    }
    if (!target) {
        return fail(error, VMM_ERROR_CONFIG, "%s: %s '%s': there is no such %s", user,
                    reference->property, id, reference->target);
    }
    return claim_target(users, target, reference, id, user, error);
}

static bool check_device(const VmConfig *config, GHashTable *users, const PropBag *device,
                         GError **error)
{
    const char *type = prop_bag_type(device);
    const char *id = prop_bag_id(device);
    g_autofree char *user =
        id ? g_strdup_printf("-device %s '%s'", type, id) : g_strdup_printf("-device %s", type);

    for (size_t i = 0; i < G_N_ELEMENTS(references); i++) {
        const char *value = prop_bag_get(device, references[i].property);

        if (value && !check_reference(config, users, &references[i], value, user, error)) {
            return false;
        }
    }
    return true;
}

static const Reference *chardev_reference(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(references); i++) {
        if (references[i].list == LIST(chardevs)) {
            return &references[i];
        }
    }
    return NULL;
}

/* Consoles and control channels; id may be NULL. */
static bool check_chardev_user(const VmConfig *config, GHashTable *users, const char *id,
                               const char *user, GError **error)
{
    return !id || check_reference(config, users, chardev_reference(), id, user, error);
}

static bool check_chardev_users(const VmConfig *config, GHashTable *users, const GPtrArray *bags,
                                const char *user, GError **error)
{
    for (unsigned i = 0; i < bags->len; i++) {
        const char *id = prop_bag_get(g_ptr_array_index(bags, i), "chardev");

        if (!check_chardev_user(config, users, id, user, error)) {
            return false;
        }
    }
    return true;
}

static bool check_references(const VmConfig *config, GError **error)
{
    g_autoptr(GHashTable) users = g_hash_table_new_full(NULL, NULL, NULL, g_free);

    for (unsigned i = 0; i < config->devices->len; i++) {
        if (!check_device(config, users, g_ptr_array_index(config->devices, i), error)) {
            return false;
        }
    }
    for (unsigned i = 0; i < config->drives->len; i++) {
        const PropBag *drive = g_ptr_array_index(config->drives, i);

        if (!g_hash_table_contains(users, drive) &&
            g_strcmp0(prop_bag_get(drive, "if"), "pflash") != 0) {
            return fail(error, VMM_ERROR_CONFIG, "-drive '%s': no -device has drive=%s",
                        prop_bag_id(drive), prop_bag_id(drive));
        }
    }
    return check_chardev_users(config, users, config->serials, "-serial", error) &&
           check_chardev_users(config, users, config->monitors, "-mon", error) &&
           check_chardev_user(config, users, config->gdb, "-gdb", error) &&
           check_chardev_user(config, users, config->qtest, "-qtest", error);
}

/* ---- process ----------------------------------------------------------------------------- */

/* There is one terminal, and none in the background. */
static bool check_terminal(const VmConfig *config, GError **error)
{
    const char *owner = NULL;

    for (unsigned i = 0; i < config->chardevs->len; i++) {
        const PropBag *chardev = g_ptr_array_index(config->chardevs, i);

        if (g_strcmp0(prop_bag_type(chardev), "stdio") != 0) {
            continue;
        }
        if (owner) {
            return fail(error, VMM_ERROR_CONFIG,
                        "chardevs '%s' and '%s' both want standard input and output", owner,
                        prop_bag_id(chardev));
        }
        owner = prop_bag_id(chardev);
    }
    if (owner && config->daemonize) {
        return fail(error, VMM_ERROR_CONFIG,
                    "-daemonize: chardev '%s' is on standard input and output", owner);
    }
    return true;
}

static bool check_objects(const VmConfig *config, GError **error)
{
    for (unsigned i = 0; i < config->objects->len; i++) {
        if (!object_check(g_ptr_array_index(config->objects, i), error)) {
            g_prefix_error(error, "-object: ");
            return false;
        }
    }
    return true;
}

static bool check_process(const VmConfig *config, GError **error)
{
    if (config->qtest && config->accel != ACCEL_QTEST) {
        return fail(error, VMM_ERROR_CONFIG, "-qtest needs -accel qtest");
    }
    return check_terminal(config, error);
}

bool vm_config_validate(const VmConfig *config, GError **error)
{
    return check_smp(&config->smp, error) && check_memory(config, error) &&
           check_ids(config, error) && check_objects(config, error) &&
           check_machine(config, error) && check_numa(config, error) && check_boot(config, error) &&
           check_references(config, error) && check_process(config, error);
}

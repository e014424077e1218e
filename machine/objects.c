/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/objects.h"

#include "util/error.h"
#include "util/text.h"

#include <string.h>

#define DEFAULT_HUGE_PAGE_BYTES (UINT64_C(2) << 20)

static const char *const policy_names[] = {
    [RAM_POLICY_DEFAULT] = "default",   [RAM_POLICY_PREFERRED] = "preferred",
    [RAM_POLICY_BIND] = "bind",         [RAM_POLICY_INTERLEAVE] = "interleave",
    [RAM_POLICY_INTERLEAVE + 1] = NULL,
};

#define MEMBER(name) .offset = offsetof(MemoryBackendConfig, name)

// clang-format off
/* What every kind of memory backend has; share differs in its default. */
#define MEMORY_PROPS(share_default)                                                                \
    {.name = "size", .type = PROP_SIZE, MEMBER(size), .required = true, .min = 4096,               \
     .help = "bytes"},                                                                             \
    {.name = "share", .type = PROP_BOOL, MEMBER(share), .default_text = (share_default),           \
     .help = "visible to other processes that map the same memory"},                               \
    {.name = "prealloc", .alias = "mem-prealloc", .type = PROP_BOOL, MEMBER(prealloc),             \
     .default_text = "off", .help = "touch every page at start"},                                  \
    {.name = "prealloc-threads", .type = PROP_UINT, MEMBER(prealloc_threads), .max = 1024,         \
     .default_text = "0", .help = "threads that do it; 0: one per host CPU, at most 16"},          \
    {.name = "host-nodes", .type = PROP_SET, MEMBER(host_nodes), .max = 63,                        \
     .help = "host NUMA nodes for policy"},                                                        \
    {.name = "policy", .type = PROP_ENUM, MEMBER(policy), .names = policy_names,                   \
     .default_text = "default", .help = "how host nodes are chosen"},                              \
    {.name = "dump", .alias = "dump-guest-core", .type = PROP_ON_OFF_AUTO, MEMBER(dump),           \
     .default_text = "auto", .help = "part of a core dump; auto: as -machine dump-guest-core"},    \
    {.name = "merge", .type = PROP_BOOL, .ignored = true, .help = "same-page merging"},            \
    {.name = "reserve", .type = PROP_BOOL, .ignored = true, .help = "swap is never reserved"},     \
    {.name = "prealloc-context", .type = PROP_STRING, .ignored = true, .help = "thread context"},  \
    {.name = "x-use-canonical-path-for-ramblock-id", .type = PROP_BOOL, .ignored = true,           \
     .help = "blocks have ids of their own"}
// clang-format on

static const PropDesc memory_ram_props[] = {MEMORY_PROPS("off")};

static const PropDesc memory_file_props[] = {
    MEMORY_PROPS("off"),
    {.name = "mem-path",
     .type = PROP_STRING,
     MEMBER(path),
     .required = true,
     .help = "a file, or a directory for a file without a name"},
    {.name = "offset",
     .type = PROP_SIZE,
     MEMBER(offset),
     .default_text = "0",
     .help = "where in the file the memory begins"},
    {.name = "readonly",
     .type = PROP_BOOL,
     MEMBER(readonly),
     .default_text = "off",
     .help = "open the file for reading only"},
    {.name = "rom",
     .type = PROP_ON_OFF_AUTO,
     MEMBER(rom),
     .default_text = "auto",
     .help = "the guest cannot write; auto: as readonly"},
    {.name = "align", .type = PROP_SIZE, .ignored = true, .help = "always sufficient"},
    {.name = "discard-data", .type = PROP_BOOL, .ignored = true, .help = "the file stays"},
};

static const PropDesc memory_memfd_props[] = {
    MEMORY_PROPS("on"),
    {.name = "hugetlb",
     .type = PROP_BOOL,
     MEMBER(hugetlb),
     .default_text = "off",
     .help = "of huge pages"},
    {.name = "hugetlbsize",
     .type = PROP_SIZE,
     MEMBER(hugetlb_size),
     .power_of_two = true,
     .min = 4096,
     .default_text = "2M",
     .help = "their size"},
    {.name = "seal", .type = PROP_BOOL, .ignored = true, .help = "the size is always sealed"},
};

static const PropDesc iothread_props[] = {
    {.name = "poll-max-ns",
     .type = PROP_UINT,
     .offset = offsetof(IoThreadConfig, poll_max_ns),
     .default_text = "0",
     .help = "how long to poll before sleeping"},
    {.name = "poll-grow", .type = PROP_UINT, .ignored = true, .help = "polling is constant"},
    {.name = "poll-shrink", .type = PROP_UINT, .ignored = true, .help = "polling is constant"},
    {.name = "poll-weight", .type = PROP_UINT, .ignored = true, .help = "polling is constant"},
    {.name = "aio-max-batch", .type = PROP_UINT, .ignored = true, .help = "no limit"},
    {.name = "thread-pool-min", .type = PROP_UINT, .ignored = true, .help = "no pool"},
    {.name = "thread-pool-max", .type = PROP_UINT, .ignored = true, .help = "no pool"},
};

static const PropDesc rng_random_props[] = {
    {.name = "filename",
     .type = PROP_STRING,
     .offset = offsetof(RngConfig, filename),
     .default_text = "/dev/urandom",
     .help = "where randomness is read from"},
};

static const PropDesc secret_props[] = {
    {.name = "format", .type = PROP_STRING, .ignored = true, .help = "nothing needs a secret"},
    {.name = "data", .type = PROP_STRING, .ignored = true, .help = "nothing needs a secret"},
    {.name = "file", .type = PROP_STRING, .ignored = true, .help = "nothing needs a secret"},
    {.name = "keyid", .type = PROP_STRING, .ignored = true, .help = "nothing needs a secret"},
    {.name = "iv", .type = PROP_STRING, .ignored = true, .help = "nothing needs a secret"},
};

/* clang-format off */
static const ObjectType types[] = {
    {.name = "memory-backend-ram", .family = OBJECT_MEMORY, .ram_kind = RAM_ANONYMOUS,
     .help = "anonymous memory",
     .table = PROP_TABLE("object memory-backend-ram", memory_ram_props, MemoryBackendConfig)},
    {.name = "memory-backend-file", .family = OBJECT_MEMORY, .ram_kind = RAM_FILE,
     .help = "memory in a file, also of hugetlbfs",
     .table = PROP_TABLE("object memory-backend-file", memory_file_props, MemoryBackendConfig)},
    {.name = "memory-backend-memfd", .family = OBJECT_MEMORY, .ram_kind = RAM_MEMFD,
     .help = "memory in a file without a name",
     .table = PROP_TABLE("object memory-backend-memfd", memory_memfd_props, MemoryBackendConfig)},
    {.name = "iothread", .family = OBJECT_IOTHREAD,
     .help = "a thread for the queues of devices",
     .table = PROP_TABLE("object iothread", iothread_props, IoThreadConfig)},
    {.name = "rng-random", .family = OBJECT_RNG, .help = "randomness from a file",
     .table = PROP_TABLE("object rng-random", rng_random_props, RngConfig)},
    {.name = "rng-builtin", .family = OBJECT_RNG, .help = "randomness from the kernel",
     .table = {.subject = "object rng-builtin", .struct_size = sizeof(RngConfig)}},
    {.name = "secret", .family = OBJECT_IGNORED, .help = "accepted for libvirt; nothing needs one",
     .table = {.subject = "object secret", .props = secret_props,
               .count = G_N_ELEMENTS(secret_props)}},
};
/* clang-format on */

const ObjectType *object_types(size_t *ret_count)
{
    *ret_count = G_N_ELEMENTS(types);
    return types;
}

const ObjectType *object_type_find(const char *name, GError **error)
{
    TextNearest nearest = TEXT_NEAREST(name);

    for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
        if (strcmp(types[i].name, name) == 0) {
            return &types[i];
        }
    }
    for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
        text_nearest_offer(&nearest, types[i].name);
    }

    g_autofree char *hint = text_nearest_hint(&nearest);

    return fail_null(error, VMM_ERROR_CONFIG, "unknown object type '%s'%s", name, hint);
}

/* The type of an -object, which must be there. */
static const ObjectType *type_of(const PropBag *object, GError **error)
{
    const char *name = prop_bag_type(object);

    if (!name) {
        return fail_null(error, VMM_ERROR_CONFIG, "an object has no type (property '%s')",
                         prop_bag_implied_key(object));
    }
    return object_type_find(name, error);
}

/* The type of an -object that has to be of this family. */
static const ObjectType *type_in(const PropBag *object, ObjectFamily family, const char *what,
                                 GError **error)
{
    const ObjectType *type = type_of(object, error);

    if (type && type->family != family) {
        return fail_null(error, VMM_ERROR_CONFIG, "object '%s' is of type %s: expected %s",
                         prop_bag_id(object), type->name, what);
    }
    return type;
}

bool memory_backend_parse(const PropBag *object, MemoryBackendConfig *ret_config, GError **error)
{
    const ObjectType *type = type_in(object, OBJECT_MEMORY, "a memory backend", error);
    MemoryBackendConfig config = {0};

    if (!type || !props_apply(&type->table, object, &config, error)) {
        return false;
    }
    config.kind = type->ram_kind;
    if (config.host_nodes == 0 && config.policy != RAM_POLICY_DEFAULT) {
        memory_backend_clear(&config);
        return fail(error, VMM_ERROR_CONFIG, "object '%s': policy=%s needs host-nodes",
                    prop_bag_id(object), policy_names[config.policy]);
    }
    if (config.host_nodes != 0 && config.policy == RAM_POLICY_DEFAULT) {
        memory_backend_clear(&config);
        return fail(error, VMM_ERROR_CONFIG,
                    "object '%s': host-nodes needs a policy: preferred, bind or interleave",
                    prop_bag_id(object));
    }
    *ret_config = config;
    return true;
}

void memory_backend_clear(MemoryBackendConfig *config)
{
    g_clear_pointer(&config->path, g_free);
}

bool iothread_parse(const PropBag *object, IoThreadConfig *ret_config, GError **error)
{
    const ObjectType *type = type_in(object, OBJECT_IOTHREAD, "an iothread", error);

    return type && props_apply(&type->table, object, ret_config, error);
}

bool rng_parse(const PropBag *object, RngConfig *ret_config, GError **error)
{
    const ObjectType *type = type_in(object, OBJECT_RNG, "a source of randomness", error);

    *ret_config = (RngConfig){0};
    return type && props_apply(&type->table, object, ret_config, error);
}

void rng_clear(RngConfig *config)
{
    g_clear_pointer(&config->filename, g_free);
}

static bool check_memory(const PropBag *object, GError **error)
{
    MemoryBackendConfig config = {0};

    if (!memory_backend_parse(object, &config, error)) {
        return false;
    }
    memory_backend_clear(&config);
    return true;
}

bool object_check(const PropBag *object, GError **error)
{
    const ObjectType *type = type_of(object, error);
    uint64_t config[16];

    if (!type) {
        return false;
    }
    if (type->family == OBJECT_MEMORY) {
        return check_memory(object, error);
    }
    g_assert(type->table.struct_size <= sizeof(config));
    if (!props_apply(&type->table, object, config, error)) {
        return false;
    }
    props_clear(&type->table, config);
    return true;
}

RamBackendConfig memory_backend_to_ram(const MemoryBackendConfig *config, const char *id,
                                       bool dump_guest_core)
{
    bool rom = config->rom == ON_OFF_AUTO_AUTO ? config->readonly : config->rom == ON_OFF_AUTO_ON;
    bool dump = config->dump == ON_OFF_AUTO_AUTO ? dump_guest_core : config->dump == ON_OFF_AUTO_ON;
    uint64_t huge = config->hugetlb_size != 0 ? config->hugetlb_size : DEFAULT_HUGE_PAGE_BYTES;

    return (RamBackendConfig){
        .id = id,
        .kind = config->kind,
        .size = config->size,
        .path = config->path,
        .offset = config->offset,
        .huge_page_size = config->hugetlb ? huge : 0,
        .shared = config->share,
        .readonly = config->readonly,
        .rom = rom,
        .prealloc = config->prealloc,
        .prealloc_threads = (unsigned)config->prealloc_threads,
        .exclude_from_core = !dump,
        .policy = config->policy,
        .host_nodes = config->host_nodes,
    };
}

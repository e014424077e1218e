/* SPDX-License-Identifier: Apache-2.0 */
/*
 * -cpu, -smp, -m, -mem-path: how much of a machine.
 */
#include "machine/objects.h"
#include "machine/options_private.h"
#include "util/error.h"
#include "util/text.h"

#include <string.h>

/* ---- -cpu -------------------------------------------------------------------------------- */

/* Words of -cpu that are not features and change nothing here. */
static const char *const cpu_policy_words[] = {"check", "enforce", "migratable"};

static bool is_cpu_policy(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(cpu_policy_words); i++) {
        if (strcmp(name, cpu_policy_words[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* "+name", "-name", "name" or "name=on|off". */
static bool add_cpu_word(CpuConfig *cpu, const char *word, GError **error)
{
    const char *equals = strchr(word, '=');
    bool sign = word[0] == '+' || word[0] == '-';
    const char *start = sign ? word + 1 : word;
    g_autofree char *name = equals ? g_strndup(start, (size_t)(equals - start)) : g_strdup(start);
    bool on = word[0] != '-';

    if (name[0] == '\0' || (sign && equals)) {
        return fail(error, VMM_ERROR_CONFIG, "'%s': expected +feature, -feature or feature=on|off",
                    word);
    }
    if (equals && !text_parse_bool(equals + 1, &on)) {
        return fail(error, VMM_ERROR_CONFIG, "feature '%s' is '%s': expected on or off", name,
                    equals + 1);
    }
    if (strcmp(name, "pmu") == 0) {
        cpu->pmu = on ? ON_OFF_AUTO_ON : ON_OFF_AUTO_OFF;
    } else if (!is_cpu_policy(name)) {
        cpu_config_add_feature(cpu, name, on);
    }
    return true;
}

bool option_set_cpu(OptionsParser *parser, const Option *option, const char *value, GError **error)
{
    CpuConfig *cpu = &parser->config->cpu;
    const char *cursor = value;
    char *model = text_next_field(&cursor);

    (void)option;
    g_free(cpu->model);
    cpu->model = model;
    if (!model || model[0] == '+' || model[0] == '-' || strchr(model, '=')) {
        return fail(error, VMM_ERROR_CONFIG, "'%s' does not begin with a model such as host",
                    value);
    }
    if (strcmp(model, "help") == 0 || strcmp(model, "?") == 0) {
        parser->outcome->text =
            parser->outcome->cpu_help
                ? parser->outcome->cpu_help()
                : g_strdup(
                      "CPU models:\n  host       what the host has, less what KVM cannot give\n"
                      "  max        the same\n"
                      "Features: +name, -name or name=on|off; pmu=on|off\n");
        return true;
    }
    for (;;) {
        g_autofree char *word = text_next_field(&cursor);

        if (!word) {
            break;
        }
        if (!add_cpu_word(cpu, word, error)) {
            return false;
        }
    }
    parser->config->given.cpu = true;
    return true;
}

/* ---- -smp -------------------------------------------------------------------------------- */

typedef struct SmpProps {
    uint64_t cpus, max_cpus, sockets, dies, clusters, modules, cores, threads;
} SmpProps;

/* 0 is never a value that a user may give, so it marks what is to be computed. */
#define SMP_PROP(name_, member, help_)                                                      \
    {                                                                                       \
        .name = (name_), .type = PROP_UINT, .offset = offsetof(SmpProps, member), .min = 1, \
        .max = CONFIG_MAX_CPUS, .help = (help_)                                             \
    }

static const PropDesc smp_props[] = {
    SMP_PROP("cpus", cpus, "vCPUs at start"),
    SMP_PROP("maxcpus", max_cpus, "vCPUs that the topology has room for"),
    SMP_PROP("sockets", sockets, "sockets of the machine"),
    SMP_PROP("dies", dies, "dies of a socket"),
    SMP_PROP("clusters", clusters, "clusters of a die"),
    SMP_PROP("modules", modules, "another word for clusters"),
    SMP_PROP("cores", cores, "cores of a cluster"),
    SMP_PROP("threads", threads, "threads of a core"),
};

static const PropTable smp_table = PROP_TABLE("topology", smp_props, SmpProps);

static uint64_t or_one(uint64_t value)
{
    return value != 0 ? value : 1;
}

/* What was left out, the way QEMU does it since 6.2: rather cores than sockets. */
static void smp_complete(SmpProps *smp)
{
    smp->dies = or_one(smp->dies);
    smp->clusters = or_one(smp->clusters != 0 ? smp->clusters : smp->modules);

    uint64_t inner = smp->dies * smp->clusters;
    uint64_t all = smp->max_cpus != 0 ? smp->max_cpus : smp->cpus;

    if (all == 0) {
        smp->sockets = or_one(smp->sockets);
        smp->cores = or_one(smp->cores);
        smp->threads = or_one(smp->threads);
        all = smp->sockets * inner * smp->cores * smp->threads;
    } else if (smp->cores == 0) {
        smp->sockets = or_one(smp->sockets);
        smp->threads = or_one(smp->threads);
        smp->cores = all / (smp->sockets * inner * smp->threads);
    } else if (smp->sockets == 0) {
        smp->threads = or_one(smp->threads);
        smp->sockets = all / (inner * smp->cores * smp->threads);
    } else if (smp->threads == 0) {
        smp->threads = all / (smp->sockets * inner * smp->cores);
    }
    smp->max_cpus = all;
    smp->cpus = smp->cpus != 0 ? smp->cpus : all;
}

bool option_set_smp(OptionsParser *parser, const Option *option, const char *value, GError **error)
{
    SmpProps smp;

    if (!option_apply(value, option->implied_key, &smp_table, &smp, error)) {
        return false;
    }
    if (smp.clusters != 0 && smp.modules != 0) {
        return fail(error, VMM_ERROR_CONFIG, "clusters and modules are the same: give one of them");
    }
    smp_complete(&smp);
    parser->config->smp = (SmpConfig){
        .cpus = (unsigned)smp.cpus,
        .max_cpus = (unsigned)smp.max_cpus,
        .sockets = (unsigned)smp.sockets,
        .dies = (unsigned)smp.dies,
        .clusters = (unsigned)smp.clusters,
        .cores = (unsigned)smp.cores,
        .threads = (unsigned)smp.threads,
    };
    parser->config->given.smp = true;
    return true;
}

/* ---- -m -------------------------------------------------------------------- */

typedef struct MemoryProps {
    uint64_t size;
    bool size_given;
    uint64_t slots;
    uint64_t max_size;
} MemoryProps;

static const PropDesc memory_props[] = {
    {.name = "size",
     .type = PROP_SIZE,
     .offset = offsetof(MemoryProps, size),
     .given_offset = offsetof(MemoryProps, size_given),
     .unit_mib = true,
     .default_text = "256",
     .help = "RAM at start, in MiB if there is no suffix"},
    {.name = "slots",
     .type = PROP_UINT,
     .offset = offsetof(MemoryProps, slots),
     .max = 256,
     .default_text = "0",
     .help = "places for more memory"},
    {.name = "maxmem",
     .type = PROP_SIZE,
     .offset = offsetof(MemoryProps, max_size),
     .unit_mib = true,
     .help = "RAM at most"},
};

static const PropTable memory_table = PROP_TABLE("memory", memory_props, MemoryProps);

bool option_set_memory(OptionsParser *parser, const Option *option, const char *value,
                       GError **error)
{
    MemoryConfig *memory = &parser->config->memory;
    MemoryProps props;

    if (!option_apply(value, option->implied_key, &memory_table, &props, error)) {
        return false;
    }
    memory->size = props.size;
    memory->slots = (unsigned)props.slots;
    memory->max_size = props.max_size != 0 ? props.max_size : props.size;
    parser->config->given.memory = props.size_given;
    return true;
}

/* RAM that is an object is as large as the object, unless -m says so; vm_config_validate compares. */
void options_finish_memory(OptionsParser *parser)
{
    VmConfig *config = parser->config;
    const PropBag *object = config->machine.memory_backend
                                ? vm_config_find(config->objects, config->machine.memory_backend)
                                : NULL;
    MemoryBackendConfig backend;

    if (config->given.memory || !object ||
        !memory_backend_parse(object, &backend, /* error= */ NULL)) {
        return;
    }
    config->memory.size = backend.size;
    config->memory.max_size = MAX(config->memory.max_size, backend.size);
    memory_backend_clear(&backend);
}

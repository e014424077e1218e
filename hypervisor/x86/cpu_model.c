/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From what KVM supports to what the guest sees.
 *
 *     KVM_GET_SUPPORTED_CPUID -> (named set: only its features) -> + and - features -> what a
 *     template cannot carry is taken away -> topology -> per-vCPU leaves
 *
 * Asking KVM costs a third of the time to the first guest instruction, so the table is made by the
 * first vCPU that it is applied to, on its thread, while the main thread builds devices.
 */
#include "hypervisor/x86/cpu_model.h"

#include "hypervisor/kvm.h"
#include "hypervisor/x86/cpuid_cache.h"
#include "util/bytes.h"
#include "util/crc32c.h"
#include "util/error.h"
#include "util/loop.h"
#include "util/text.h"

#include <errno.h>
#include <linux/kvm.h>

#define MAX_ENTRIES       256
#define SLOW_ANSWER_NS    100000

#define LEAF_FEATURES     0x1
#define LEAF_CACHE        0x4
#define LEAF_PMU          0xa
#define LEAF_TOPOLOGY     0xb
#define LEAF_TOPOLOGY_V2  0x1f
#define LEAF_AMD_SIZES    0x80000008
#define LEAF_AMD_CACHE    0x8000001d
#define LEAF_AMD_TOPOLOGY 0x8000001e

#define ECX_HYPERVISOR    (UINT32_C(1) << 31)
#define ECX_TSC_DEADLINE  (UINT32_C(1) << 24)
#define EDX_HTT           (UINT32_C(1) << 28)

typedef struct kvm_cpuid2 CpuidTable;

struct CpuModel {
    /* fixed after creation */
    Kvm *kvm;
    CpuTopology topology;
    unsigned core_bits, die_bits, thread_bits; /* widths of the fields of an APIC id */
    char *name;
    GArray *switches; /* of CpuFeatureSwitch */
    bool pmu;
    bool assumed; /* the table holds what KVM would answer */

    Mutex lock;
    /* written once, under lock, and fixed from then on */
    bool prepared;
    GError *error;
    CpuidTable *table;
};

static size_t table_bytes(void)
{
    return sizeof(CpuidTable) + MAX_ENTRIES * sizeof(struct kvm_cpuid_entry2);
}

/* With no room for more entries. */
static CpuidTable *table_copy(const CpuidTable *table)
{
    return g_memdup2(table, sizeof(*table) + table->nent * sizeof(table->entries[0]));
}

static unsigned bits_for(unsigned count)
{
    return count <= 1 ? 0 : 32 - (unsigned)__builtin_clz(count - 1);
}

uint32_t cpu_model_hardware_id(const CpuModel *model, unsigned index)
{
    const CpuTopology *t = &model->topology;
    unsigned thread = index % t->threads;
    unsigned core = index / t->threads % t->cores;
    unsigned die = index / (t->threads * t->cores) % t->dies;
    unsigned socket = index / (t->threads * t->cores * t->dies);

    return ((socket << model->die_bits | die) << model->core_bits | core) << model->thread_bits |
           thread;
}

static struct kvm_cpuid_entry2 *find_entry(CpuidTable *table, uint32_t function, uint32_t index)
{
    for (uint32_t i = 0; i < table->nent; i++) {
        struct kvm_cpuid_entry2 *entry = &table->entries[i];

        if (entry->function == function && entry->index == index) {
            return entry;
        }
    }
    return NULL;
}

static uint32_t *entry_register(struct kvm_cpuid_entry2 *entry, CpuidRegister reg)
{
    switch (reg) {
    case CPUID_EAX:
        return &entry->eax;
    case CPUID_EBX:
        return &entry->ebx;
    case CPUID_ECX:
        return &entry->ecx;
    case CPUID_EDX:
    default:
        return &entry->edx;
    }
}

static bool get_supported(CpuModel *model, GError **error)
{
    int kvm_fd = model->kvm->fd;

    if (cpuid_cache_load(NULL, kvm_fd, model->table, MAX_ENTRIES)) {
        return true;
    }
    model->table->nent = MAX_ENTRIES;

    int64_t asked = loop_now_ns();
    int result = kvm_ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, model->table);

    if (result < 0) {
        return fail_errno(error, -result, "KVM_GET_SUPPORTED_CPUID");
    }
    if (loop_now_ns() - asked > SLOW_ANSWER_NS) {
        cpuid_cache_save(NULL, kvm_fd, model->table);
    }
    return true;
}

static bool fail_unknown_feature(const char *name, GError **error)
{
    TextNearest nearest = TEXT_NEAREST(name);

    for (size_t i = 0; i < cpu_num_features; i++) {
        text_nearest_offer(&nearest, cpu_features[i].name);
    }

    g_autofree char *hint = text_nearest_hint(&nearest);

    return fail(error, VMM_ERROR_CONFIG, "-cpu: there is no feature '%s'%s", name, hint);
}

static bool set_feature(CpuidTable *table, const char *name, bool on, bool supported,
                        GError **error)
{
    const CpuFeatureBit *feature = cpu_feature_find(name);

    if (!feature) {
        return fail_unknown_feature(name, error);
    }

    struct kvm_cpuid_entry2 *entry = find_entry(table, feature->function, feature->index);
    uint32_t bit = UINT32_C(1) << feature->bit;

    if (on && !supported) {
        return fail(error, VMM_ERROR_HOST, "-cpu: this host does not have feature '%s'", name);
    }
    if (entry) {
        uint32_t *reg = entry_register(entry, feature->reg);

        *reg = on ? *reg | bit : *reg & ~bit;
    }
    return true;
}

static bool has_feature(CpuidTable *table, const CpuFeatureBit *feature)
{
    struct kvm_cpuid_entry2 *entry = find_entry(table, feature->function, feature->index);

    return entry && *entry_register(entry, feature->reg) & UINT32_C(1) << feature->bit;
}

/* A named set hides every feature that has a name and is not in it, and asks for all that are. */
static bool apply_named_set(CpuModel *model, const char *const *set, GError **error)
{
    for (size_t i = 0; set[i]; i++) {
        const CpuFeatureBit *feature = cpu_feature_find(set[i]);

        if (feature && !has_feature(model->table, feature)) {
            return fail(error, VMM_ERROR_HOST, "-cpu %s: this host does not have feature '%s'",
                        model->name, set[i]);
        }
    }
    for (size_t i = 0; i < cpu_num_features; i++) {
        const char *name = cpu_features[i].name;

        if (!g_strv_contains(set, name) && !cpu_feature_is_platform(name) &&
            !set_feature(model->table, name, false, true, error)) {
            return false;
        }
    }
    return true;
}

/*
 * Nested virtualization is off unless it is asked for by name: its state is large, and a guest
 * that does not use it pays at every save.
 */
static bool apply_switches(CpuModel *model, GError **error)
{
    static const char *const off_by_default[] = {"vmx", "svm"};
    g_autofree CpuidTable *supported = table_copy(model->table);
    const char *const *set = cpu_feature_set(model->name);

    if (set && !apply_named_set(model, set, error)) {
        return false;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(off_by_default); i++) {
        if (!set_feature(model->table, off_by_default[i], false, true, error)) {
            return false;
        }
    }
    for (guint i = 0; i < model->switches->len; i++) {
        const CpuFeatureSwitch *s = &g_array_index(model->switches, CpuFeatureSwitch, i);
        const CpuFeatureBit *feature = cpu_feature_find(s->name);

        if (!set_feature(model->table, s->name, s->on, feature && has_feature(supported, feature),
                         error)) {
            return false;
        }
    }
    return true;
}

static uint32_t set_field(uint32_t value, unsigned shift, unsigned width, uint32_t field)
{
    uint32_t mask = (width == 32 ? UINT32_MAX : (UINT32_C(1) << width) - 1) << shift;

    return (value & ~mask) | (field << shift & mask);
}

/* How many vCPUs share a cache of this level: 1 and 2 belong to a core, the rest to a die. */
static uint32_t cache_sharers(const CpuModel *model, uint32_t level)
{
    unsigned bits = model->thread_bits + (level >= 3 ? model->core_bits : 0);

    return (UINT32_C(1) << bits) - 1;
}

static void set_package_counts(CpuModel *model)
{
    const CpuTopology *t = &model->topology;
    unsigned per_package = t->dies * t->cores * t->threads;
    unsigned package_bits = model->thread_bits + model->core_bits + model->die_bits;
    struct kvm_cpuid_entry2 *entry = find_entry(model->table, LEAF_FEATURES, 0);

    if (entry) {
        entry->ebx = set_field(entry->ebx, 16, 8, MIN(UINT32_C(1) << package_bits, 255u));
        entry->edx = per_package > 1 ? entry->edx | EDX_HTT : entry->edx & ~EDX_HTT;
    }
    entry = find_entry(model->table, LEAF_AMD_SIZES, 0);
    if (entry) {
        entry->ecx = set_field(entry->ecx, 0, 8, per_package - 1);
        entry->ecx = set_field(entry->ecx, 12, 4, package_bits);
    }
}

static void set_shared_leaves(CpuModel *model)
{
    for (uint32_t i = 0; i < model->table->nent; i++) {
        struct kvm_cpuid_entry2 *e = &model->table->entries[i];
        uint32_t level = e->eax >> 5 & 7;

        if ((e->function == LEAF_CACHE || e->function == LEAF_AMD_CACHE) && (e->eax & 0x1f) != 0) {
            e->eax = set_field(e->eax, 14, 12, cache_sharers(model, level));
        }
        if (e->function == LEAF_CACHE && (e->eax & 0x1f) != 0) {
            unsigned cores = model->core_bits + model->die_bits;

            e->eax = set_field(e->eax, 26, 6, (UINT32_C(1) << cores) - 1);
        }
        if (e->function == LEAF_PMU && !model->pmu) {
            e->eax = e->ebx = e->ecx = e->edx = 0;
        }
    }
    set_package_counts(model);
}

/* One level of leaf 0xb or 0x1f: where the next level's field begins, and how many threads so far. */
typedef struct TopologyLevel {
    uint32_t type; /* 1 thread, 2 core, 5 die, 0 the end */
    unsigned shift;
    unsigned count;
} TopologyLevel;

static void append_topology(CpuModel *model, uint32_t function, const TopologyLevel *levels)
{
    CpuidTable *table = model->table;
    uint32_t kept = 0;

    for (uint32_t i = 0; i < table->nent; i++) {
        if (table->entries[i].function != function) {
            table->entries[kept++] = table->entries[i];
        }
    }
    table->nent = kept;
    for (uint32_t n = 0;; n++) {
        if (table->nent == MAX_ENTRIES) {
            return;
        }
        table->entries[table->nent++] = (struct kvm_cpuid_entry2){
            .function = function,
            .index = n,
            .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
            .eax = levels[n].shift,
            .ebx = levels[n].count,
            .ecx = levels[n].type << 8 | n,
        };
        if (levels[n].type == 0) {
            return;
        }
    }
}

static void set_topology_leaves(CpuModel *model)
{
    const CpuTopology *t = &model->topology;
    unsigned core_shift = model->thread_bits + model->core_bits;
    unsigned package_shift = core_shift + model->die_bits;
    unsigned all = t->threads * t->cores * t->dies;
    const TopologyLevel flat[] = {
        {1, model->thread_bits, t->threads}, {2, package_shift, all}, {0, 0, 0}};
    const TopologyLevel with_dies[] = {{1, model->thread_bits, t->threads},
                                       {2, core_shift, t->threads * t->cores},
                                       {5, package_shift, all},
                                       {0, 0, 0}};

    if (find_entry(model->table, LEAF_TOPOLOGY, 0)) {
        append_topology(model, LEAF_TOPOLOGY, flat);
    }
    if (find_entry(model->table, LEAF_TOPOLOGY_V2, 0)) {
        append_topology(model, LEAF_TOPOLOGY_V2, with_dies);
    }
}

/* KVM emulates the deadline timer in the kernel's LAPIC whether or not CPUID says it supports it. */
static void set_deadline_timer(CpuModel *model)
{
    struct kvm_cpuid_entry2 *entry = find_entry(model->table, LEAF_FEATURES, 0);

    if (entry &&
        kvm_ioctl_value(model->kvm->fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0) {
        entry->ecx |= ECX_TSC_DEADLINE;
    }
}

static bool ask_kvm(CpuModel *model, GError **error)
{
    if (!get_supported(model, error)) {
        return false;
    }
    set_deadline_timer(model);
    return true;
}

/* KVM leaves the bit to us; it comes before the switches, which may hide it. */
static void set_hypervisor(CpuModel *model)
{
    struct kvm_cpuid_entry2 *entry = find_entry(model->table, LEAF_FEATURES, 0);

    if (entry) {
        entry->ecx |= ECX_HYPERVISOR;
    }
}

static void make_table(CpuModel *model)
{
    if (!model->assumed && !ask_kvm(model, &model->error)) {
        return;
    }
    set_hypervisor(model);
    if (apply_switches(model, &model->error)) {
        set_shared_leaves(model);
        set_topology_leaves(model);
    }
}

void cpu_model_assume(CpuModel *model, const CpuidTable *supported)
{
    g_assert(!model->prepared && supported->nent <= MAX_ENTRIES);
    memcpy(model->table, supported,
           sizeof(*supported) + supported->nent * sizeof(supported->entries[0]));
    model->assumed = true;
}

CpuModel *cpu_model_new(Hypervisor *hypervisor, const CpuModelConfig *config, GError **error)
{
    CpuModel *model = g_new0(CpuModel, 1);

    if (!g_strv_contains(cpu_model_names(), config->name)) {
        g_free(model);
        return fail_null(error, VMM_ERROR_CONFIG, "-cpu: there is no model '%s'", config->name);
    }
    model->table = g_malloc0(table_bytes());
    model->kvm = kvm_of(hypervisor);
    model->topology = config->topology;
    model->thread_bits = bits_for(config->topology.threads);
    model->core_bits = bits_for(config->topology.cores);
    model->die_bits = bits_for(config->topology.dies);
    model->name = g_strdup(config->name);
    model->pmu = config->pmu;
    model->switches = g_array_new(FALSE, FALSE, sizeof(CpuFeatureSwitch));
    for (size_t i = 0; i < config->num_switches; i++) {
        CpuFeatureSwitch s = {g_intern_string(config->switches[i].name), config->switches[i].on};

        g_array_append_val(model->switches, s);
    }
    mutex_init(&model->lock);
    return model;
}

void cpu_model_prepare(CpuModel *model)
{
    mutex_lock(&model->lock);
    if (!model->prepared) {
        make_table(model);
        model->prepared = true;
    }
    mutex_unlock(&model->lock);
}

void cpu_model_free(CpuModel *model)
{
    if (!model) {
        return;
    }
    g_array_unref(model->switches);
    g_clear_error(&model->error);
    mutex_fini(&model->lock);
    g_free(model->table);
    g_free(model->name);
    g_free(model);
}

/* The leaves that tell a vCPU which one it is. */
static void set_own_leaves(const CpuModel *model, unsigned index, CpuidTable *table)
{
    uint32_t id = cpu_model_hardware_id(model, index);

    for (uint32_t i = 0; i < table->nent; i++) {
        struct kvm_cpuid_entry2 *e = &table->entries[i];

        if (e->function == LEAF_FEATURES) {
            e->ebx = set_field(e->ebx, 24, 8, id);
        } else if (e->function == LEAF_TOPOLOGY || e->function == LEAF_TOPOLOGY_V2) {
            e->edx = id;
        } else if (e->function == LEAF_AMD_TOPOLOGY) {
            e->eax = id;
            e->ebx = set_field(e->ebx, 0, 8, id >> model->thread_bits);
            e->ebx = set_field(e->ebx, 8, 8, model->topology.threads - 1);
            e->ecx = set_field(e->ecx, 0, 8, id >> (model->thread_bits + model->core_bits));
            e->ecx = set_field(e->ecx, 8, 3, 0);
        }
    }
}

CpuidTable *cpu_model_table(CpuModel *model, unsigned index)
{
    cpu_model_prepare(model);

    CpuidTable *own = table_copy(model->table);

    set_own_leaves(model, index, own);
    return own;
}

/* For whoever asks later (vcpu_load.c).  All fresh vCPUs have the host's frequency, so one will do. */
static bool remember_tsc_khz(const Vcpu *vcpu, GError **error)
{
    Kvm *kvm = kvm_of(vcpu->hypervisor);

    if (atomic_load(&kvm->tsc_khz) > 0) {
        return true;
    }

    int khz = kvm_ioctl_value(vcpu->fd, KVM_GET_TSC_KHZ, 0);

    if (khz <= 0) {
        return fail_errno(error, -khz, "KVM_GET_TSC_KHZ");
    }
    atomic_store(&kvm->tsc_khz, (unsigned)khz);
    return true;
}

bool cpu_model_apply(CpuModel *model, Vcpu *vcpu, GError **error)
{
    g_autofree CpuidTable *own = cpu_model_table(model, vcpu->index);

    if (model->error) {
        g_propagate_error(error, g_error_copy(model->error));
        return false;
    }

    int result = kvm_ioctl(vcpu->fd, KVM_SET_CPUID2, own);

    if (result < 0) {
        return fail_errno(error, -result, "KVM_SET_CPUID2");
    }
    vcpu->cpuid_mark = crc32c(0, own->entries, own->nent * sizeof(own->entries[0]));
    return remember_tsc_khz(vcpu, error);
}

const struct kvm_cpuid_entry2 *cpu_model_entries(CpuModel *model, size_t *ret_count)
{
    cpu_model_prepare(model);
    *ret_count = model->table->nent;
    return model->table->entries;
}

bool cpu_model_list_features(CpuModel *model, CpuFeatureFn fn, void *opaque, GError **error)
{
    cpu_model_prepare(model);
    if (model->error) {
        g_propagate_error(error, g_error_copy(model->error));
        return false;
    }
    for (size_t i = 0; i < cpu_num_features; i++) {
        fn(opaque, cpu_features[i].name, has_feature(model->table, &cpu_features[i]));
    }
    return true;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "hypervisor/x86/cpu_model.h"

#include "tests/unit/suite.h"

#include <linux/kvm.h>
#include <string.h>

#define MAX_ENTRIES  256
#define EDX_HTT      (1u << 28)
#define HOST_PACKAGE 0x00ff0000u /* of leaf 1 EBX: what must not show through */
#define L2_OF_FOUR \
    0x0400c043u /* leaf 4 EAX: unified, level 2, as the host's four threads share it */
#define L3_OF_THE_WORLD 0xffffc163u /* and level 3 */
#define NO_CACHE        0u

/* A host that has every feature with a name, and leaves that say more than a guest may see. */
typedef struct Host {
    struct kvm_cpuid2 *table;
} Host;

static struct kvm_cpuid_entry2 *entry_of(struct kvm_cpuid2 *table, uint32_t function,
                                         uint32_t index)
{
    for (uint32_t i = 0; i < table->nent; i++) {
        if (table->entries[i].function == function && table->entries[i].index == index) {
            return &table->entries[i];
        }
    }
    return NULL;
}

static struct kvm_cpuid_entry2 *host_leaf(Host *host, uint32_t function, uint32_t index)
{
    struct kvm_cpuid_entry2 *entry = entry_of(host->table, function, index);

    if (!entry) {
        ck_assert_uint_lt(host->table->nent, MAX_ENTRIES);
        entry = &host->table->entries[host->table->nent++];
        *entry = (struct kvm_cpuid_entry2){.function = function, .index = index};
    }
    return entry;
}

static uint32_t *register_of(struct kvm_cpuid_entry2 *entry, CpuidRegister reg)
{
    uint32_t *const registers[] = {&entry->eax, &entry->ebx, &entry->ecx, &entry->edx};

    return registers[reg];
}

static void host_set(Host *host, const char *name, bool on)
{
    const CpuFeatureBit *feature = cpu_feature_find(name);

    ck_assert_msg(feature != NULL, "%s", name);

    uint32_t *reg = register_of(host_leaf(host, feature->function, feature->index), feature->reg);

    *reg = (*reg & ~(1u << feature->bit)) | (uint32_t)on << feature->bit;
}

static Host host_new(void)
{
    Host host = {
        .table =
            g_malloc0(sizeof(struct kvm_cpuid2) + MAX_ENTRIES * sizeof(struct kvm_cpuid_entry2)),
    };

    for (size_t i = 0; i < cpu_num_features; i++) {
        host_set(&host, cpu_features[i].name, true);
    }
    host_set(&host, "hypervisor", false); /* KVM never reports it */
    host_leaf(&host, 0x1, 0)->ebx = HOST_PACKAGE;
    host_leaf(&host, 0x4, 0)->eax = L2_OF_FOUR;
    host_leaf(&host, 0x4, 1)->eax = L3_OF_THE_WORLD;
    host_leaf(&host, 0x4, 2)->eax = NO_CACHE;
    host_leaf(&host, 0xa, 0)->eax = 0x07300802;
    host_leaf(&host, 0xb, 0)->ebx = 0xffff;
    host_leaf(&host, 0x1f, 0)->ebx = 0xffff;
    host_leaf(&host, 0x80000008, 0)->ecx = 0x70ff;
    host_leaf(&host, 0x8000001e, 0)->ebx = 0xffff;
    return host;
}

static void host_free(Host *host)
{
    g_free(host->table);
}

/* What -cpu said, as far as a test says anything else than "host" on one CPU. */
static CpuModel *model_new(const Host *host, const CpuModelConfig *config)
{
    g_autoptr(GError) error = NULL;
    CpuModelConfig full = *config;

    full.name = config->name ? config->name : "host";
    if (full.topology.sockets == 0) {
        full.topology = (CpuTopology){1, 1, 1, 1};
    }

    CpuModel *model = cpu_model_new(NULL, &full, &error);

    ck_assert_msg(model != NULL, "%s", error ? error->message : "");
    cpu_model_assume(model, host->table);
    return model;
}

/* What the guest sees in place of name; the model must have come out well. */
static bool shows(CpuModel *model, const char *name)
{
    g_autofree struct kvm_cpuid2 *table = cpu_model_table(model, 0);
    const CpuFeatureBit *feature = cpu_feature_find(name);
    struct kvm_cpuid_entry2 *entry = entry_of(table, feature->function, feature->index);

    return entry && *register_of(entry, feature->reg) >> feature->bit & 1;
}

static void assert_refused(CpuModel *model, const char *message)
{
    Vcpu vcpu = {.fd = -1};
    g_autoptr(GError) error = NULL;

    ck_assert(!cpu_model_apply(model, &vcpu, &error));
    ck_assert_str_eq(error->message, message);
}

static struct kvm_cpuid_entry2 leaf(CpuModel *model, unsigned vcpu, uint32_t function,
                                    uint32_t index)
{
    g_autofree struct kvm_cpuid2 *table = cpu_model_table(model, vcpu);
    const struct kvm_cpuid_entry2 *entry = entry_of(table, function, index);

    ck_assert_msg(entry != NULL, "leaf %x.%x", function, index);
    return *entry;
}

START_TEST(every_feature_has_one_name_that_help_tells)
{
    const char *const *names = cpu_model_feature_names();

    for (size_t i = 0; i < cpu_num_features; i++) {
        ck_assert_str_eq(names[i], cpu_features[i].name);
        ck_assert_msg(cpu_feature_find(names[i]) == &cpu_features[i], "%s", names[i]);
        for (size_t j = 0; j < i; j++) {
            const CpuFeatureBit *a = &cpu_features[i];
            const CpuFeatureBit *b = &cpu_features[j];

            ck_assert_msg(a->function != b->function || a->index != b->index || a->reg != b->reg ||
                              a->bit != b->bit,
                          "%s and %s are one bit", a->name, b->name);
        }
    }
    ck_assert_ptr_null(names[cpu_num_features]);
}
END_TEST

START_TEST(a_name_may_be_written_with_underscores)
{
    ck_assert_ptr_eq(cpu_feature_find("tsc_deadline"), cpu_feature_find("tsc-deadline"));
    ck_assert_ptr_nonnull(cpu_feature_find("tsc_deadline"));
    ck_assert_ptr_null(cpu_feature_find("tsc-dead"));
}
END_TEST

START_TEST(host_shows_what_kvm_supports_except_nested_virtualization)
{
    static const char *const shown[] = {"sse2", "avx512f", "x2apic", "hypervisor", "kvmclock"};
    Host host = host_new();
    g_autoptr(CpuModel) model = model_new(&host, &(CpuModelConfig){0});

    for (size_t i = 0; i < G_N_ELEMENTS(shown); i++) {
        ck_assert_msg(shows(model, shown[i]), "%s", shown[i]);
    }
    ck_assert(!shows(model, "vmx"));
    ck_assert(!shows(model, "svm"));
    host_free(&host);
}
END_TEST

START_TEST(a_switch_hides_or_asks_for_one_feature)
{
    static const CpuFeatureSwitch switches[] = {
        {"avx2", false}, {"svm", true}, {"hypervisor", false}, {"sse4.1", true}};
    Host host = host_new();
    g_autoptr(CpuModel) model = model_new(
        &host, &(CpuModelConfig){.switches = switches, .num_switches = G_N_ELEMENTS(switches)});

    ck_assert(!shows(model, "avx2"));
    ck_assert(!shows(model, "hypervisor"));
    ck_assert(shows(model, "svm"));
    ck_assert(shows(model, "sse4.1"));
    ck_assert(shows(model, "avx"));
    host_free(&host);
}
END_TEST

START_TEST(the_last_of_two_switches_counts)
{
    static const CpuFeatureSwitch switches[] = {{"avx2", false}, {"avx2", true}};
    Host host = host_new();
    g_autoptr(CpuModel) model =
        model_new(&host, &(CpuModelConfig){.switches = switches, .num_switches = 2});

    ck_assert(shows(model, "avx2"));
    host_free(&host);
}
END_TEST

START_TEST(a_feature_that_the_host_lacks_can_be_hidden_but_not_asked_for)
{
    static const CpuFeatureSwitch off = {"avx512f", false};
    static const CpuFeatureSwitch on = {"avx512f", true};
    Host host = host_new();

    host_set(&host, "avx512f", false);

    g_autoptr(CpuModel) hidden =
        model_new(&host, &(CpuModelConfig){.switches = &off, .num_switches = 1});
    g_autoptr(CpuModel) asked =
        model_new(&host, &(CpuModelConfig){.switches = &on, .num_switches = 1});

    ck_assert(!shows(hidden, "avx512f"));
    assert_refused(asked, "-cpu: this host does not have feature 'avx512f'");
    host_free(&host);
}
END_TEST

START_TEST(an_unknown_feature_is_told_with_the_nearest_known_one)
{
    static const CpuFeatureSwitch near = {"avx512q", true};
    static const CpuFeatureSwitch far = {"flux-capacitor", false};
    Host host = host_new();
    g_autoptr(CpuModel) misspelt =
        model_new(&host, &(CpuModelConfig){.switches = &near, .num_switches = 1});
    g_autoptr(CpuModel) invented =
        model_new(&host, &(CpuModelConfig){.switches = &far, .num_switches = 1});

    assert_refused(misspelt, "-cpu: there is no feature 'avx512q'; did you mean 'avx512f'?");
    assert_refused(invented, "-cpu: there is no feature 'flux-capacitor'");
    host_free(&host);
}
END_TEST

START_TEST(an_unknown_model_is_refused_at_once)
{
    g_autoptr(GError) error = NULL;

    ck_assert_ptr_null(cpu_model_new(NULL, &(CpuModelConfig){.name = "z80"}, &error));
    ck_assert_str_eq(error->message, "-cpu: there is no model 'z80'");
}
END_TEST

START_TEST(a_named_set_shows_its_features_and_the_platforms_only)
{
    Host host = host_new();
    g_autoptr(CpuModel) model = model_new(&host, &(CpuModelConfig){.name = "x86-64-v2"});
    const char *const *set = cpu_feature_set("x86-64-v2");

    for (size_t i = 0; i < cpu_num_features; i++) {
        const char *name = cpu_features[i].name;
        bool is_meant = g_strv_contains(set, name) || cpu_feature_is_platform(name);

        /* One CPU alone has no threads to tell of. */
        if (strcmp(name, "ht") != 0) {
            ck_assert_msg(shows(model, name) == is_meant, "%s", name);
        }
    }
    host_free(&host);
}
END_TEST

START_TEST(a_named_set_can_be_added_to_and_taken_from)
{
    static const CpuFeatureSwitch switches[] = {{"avx", true}, {"popcnt", false}};
    Host host = host_new();
    g_autoptr(CpuModel) model = model_new(
        &host, &(CpuModelConfig){.name = "x86-64-v2", .switches = switches, .num_switches = 2});

    ck_assert(shows(model, "avx"));
    ck_assert(!shows(model, "avx2"));
    ck_assert(!shows(model, "popcnt"));
    host_free(&host);
}
END_TEST

START_TEST(a_named_set_needs_all_its_features)
{
    Host host = host_new();

    host_set(&host, "movbe", false);

    g_autoptr(CpuModel) three = model_new(&host, &(CpuModelConfig){.name = "x86-64-v3"});
    g_autoptr(CpuModel) two = model_new(&host, &(CpuModelConfig){.name = "x86-64-v2"});

    assert_refused(three, "-cpu x86-64-v3: this host does not have feature 'movbe'");
    ck_assert(shows(two, "sse4.2"));
    host_free(&host);
}
END_TEST

START_TEST(each_level_contains_the_one_before)
{
    static const char *const levels[] = {"x86-64-v1", "x86-64-v2", "x86-64-v3", "x86-64-v4"};

    for (size_t i = 0; i < G_N_ELEMENTS(levels); i++) {
        const char *const *set = cpu_feature_set(levels[i]);

        for (size_t n = 0; set[n]; n++) {
            ck_assert_msg(cpu_feature_find(set[n]) != NULL, "%s", set[n]);
        }
        for (const char *const *name = i > 0 ? cpu_feature_set(levels[i - 1]) : set; *name;
             name++) {
            ck_assert_msg(g_strv_contains(set, *name), "%s lacks %s", levels[i], *name);
        }
    }
    ck_assert_ptr_null(cpu_feature_set("host"));
}
END_TEST

/* A shape, and the ids and counts that it comes to. */
typedef struct Shape {
    CpuTopology topology;
    unsigned package_bits; /* of an APIC id, below the socket */
    unsigned per_package;
    unsigned last_id;
    struct {
        uint32_t shift, count;
    } thread, core, die;
} Shape;

static const Shape shapes[] = {
    {{1, 1, 1, 1}, 0, 1, 0, {0, 1}, {0, 1}, {0, 1}},
    {{1, 1, 4, 1}, 2, 4, 3, {0, 1}, {2, 4}, {2, 4}},
    {{1, 1, 1, 2}, 1, 2, 1, {1, 2}, {1, 2}, {1, 2}},
    /* Counts that are no powers of two leave ids unused. */
    {{1, 1, 3, 2}, 3, 6, 5, {1, 2}, {3, 6}, {3, 6}},
    {{2, 1, 3, 1}, 2, 3, 6, {0, 1}, {2, 3}, {2, 3}},
    {{2, 2, 2, 2}, 3, 8, 15, {1, 2}, {2, 4}, {3, 8}},
    {{1, 3, 3, 1}, 4, 9, 10, {0, 1}, {2, 3}, {4, 9}},
};

static CpuModel *shaped(const Host *host, const Shape *shape)
{
    return model_new(host, &(CpuModelConfig){.topology = shape->topology});
}

static unsigned cpus_of(const Shape *shape)
{
    return shape->topology.sockets * shape->per_package;
}

START_TEST(hardware_ids_grow_and_are_as_wide_as_the_shape)
{
    const Shape *shape = &shapes[_i];
    Host host = host_new();
    g_autoptr(CpuModel) model = shaped(&host, shape);

    for (unsigned i = 1; i < cpus_of(shape); i++) {
        ck_assert_uint_gt(cpu_model_hardware_id(model, i), cpu_model_hardware_id(model, i - 1));
    }
    ck_assert_uint_eq(cpu_model_hardware_id(model, cpus_of(shape) - 1), shape->last_id);
    host_free(&host);
}
END_TEST

static void assert_level(const struct kvm_cpuid_entry2 *e, uint32_t type, uint32_t shift,
                         uint32_t count)
{
    ck_assert_uint_eq(e->ecx, type << 8 | e->index);
    ck_assert_uint_eq(e->eax, shift);
    ck_assert_uint_eq(e->ebx, count);
}

START_TEST(the_topology_leaves_tell_the_shape_and_who_asks)
{
    const Shape *shape = &shapes[_i];
    Host host = host_new();
    g_autoptr(CpuModel) model = shaped(&host, shape);
    unsigned last = cpus_of(shape) - 1;
    struct kvm_cpuid_entry2 e;

    e = leaf(model, last, 0xb, 0);
    assert_level(&e, 1, shape->thread.shift, shape->thread.count);
    ck_assert_uint_eq(e.edx, shape->last_id);
    /* This leaf knows no dies: its cores are all those of the package. */
    e = leaf(model, last, 0xb, 1);
    assert_level(&e, 2, shape->package_bits, shape->per_package);
    e = leaf(model, last, 0xb, 2);
    assert_level(&e, 0, 0, 0);
    ck_assert_uint_eq(e.edx, shape->last_id);

    e = leaf(model, last, 0x1f, 1);
    assert_level(&e, 2, shape->core.shift, shape->core.count);
    e = leaf(model, last, 0x1f, 2);
    assert_level(&e, 5, shape->die.shift, shape->die.count);
    e = leaf(model, last, 0x1f, 3);
    assert_level(&e, 0, 0, 0);
    host_free(&host);
}
END_TEST

START_TEST(the_old_leaves_tell_the_package)
{
    const Shape *shape = &shapes[_i];
    Host host = host_new();
    g_autoptr(CpuModel) model = shaped(&host, shape);
    unsigned last = cpus_of(shape) - 1;
    struct kvm_cpuid_entry2 e = leaf(model, last, 0x1, 0);

    ck_assert_uint_eq(e.ebx >> 24, shape->last_id);
    ck_assert_uint_eq(e.ebx >> 16 & 0xff, 1u << shape->package_bits);
    ck_assert_int_eq((e.edx & EDX_HTT) != 0, shape->per_package > 1);
    e = leaf(model, last, 0x80000008, 0);
    ck_assert_uint_eq(e.ecx & 0xff, shape->per_package - 1);
    ck_assert_uint_eq(e.ecx >> 12 & 0xf, shape->package_bits);
    e = leaf(model, last, 0x8000001e, 0);
    ck_assert_uint_eq(e.eax, shape->last_id);
    ck_assert_uint_eq(e.ebx & 0xff, shape->last_id >> shape->thread.shift);
    ck_assert_uint_eq(e.ebx >> 8 & 0xff, shape->topology.threads - 1);
    ck_assert_uint_eq(e.ecx & 0xff, shape->last_id >> shape->core.shift);
    host_free(&host);
}
END_TEST

START_TEST(caches_are_shared_by_a_core_or_by_a_die)
{
    const Shape *shape = &shapes[_i];
    Host host = host_new();
    g_autoptr(CpuModel) model = shaped(&host, shape);
    uint32_t l2 = leaf(model, 0, 0x4, 0).eax;
    uint32_t l3 = leaf(model, 0, 0x4, 1).eax;

    ck_assert_uint_eq(l2 >> 14 & 0xfff, (1u << shape->thread.shift) - 1);
    ck_assert_uint_eq(l3 >> 14 & 0xfff, (1u << shape->core.shift) - 1);
    ck_assert_uint_eq(l3 >> 26, (1u << (shape->package_bits - shape->thread.shift)) - 1);
    ck_assert_uint_eq(l2 & 0x3fff, L2_OF_FOUR & 0x3fff);
    ck_assert_uint_eq(leaf(model, 0, 0x4, 2).eax, NO_CACHE);
    host_free(&host);
}
END_TEST

START_TEST(a_leaf_that_the_host_lacks_is_not_made_up)
{
    Host host = host_new();

    host_leaf(&host, 0x1f, 0)->function = 0x20;

    g_autoptr(CpuModel) model = shaped(&host, &shapes[1]);
    g_autofree struct kvm_cpuid2 *table = cpu_model_table(model, 0);

    ck_assert_ptr_null(entry_of(table, 0x1f, 0));
    ck_assert_ptr_nonnull(entry_of(table, 0xb, 1));
    host_free(&host);
}
END_TEST

START_TEST(a_pmu_shows_only_when_it_is_asked_for)
{
    Host host = host_new();
    g_autoptr(CpuModel) without = model_new(&host, &(CpuModelConfig){0});
    g_autoptr(CpuModel) with = model_new(&host, &(CpuModelConfig){.pmu = true});

    ck_assert_uint_eq(leaf(without, 0, 0xa, 0).eax, 0);
    ck_assert_uint_eq(leaf(with, 0, 0xa, 0).eax, 0x07300802);
    host_free(&host);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("cpu_model");

    tcase_add_test(tc, every_feature_has_one_name_that_help_tells);
    tcase_add_test(tc, a_name_may_be_written_with_underscores);
    tcase_add_test(tc, host_shows_what_kvm_supports_except_nested_virtualization);
    tcase_add_test(tc, a_switch_hides_or_asks_for_one_feature);
    tcase_add_test(tc, the_last_of_two_switches_counts);
    tcase_add_test(tc, a_feature_that_the_host_lacks_can_be_hidden_but_not_asked_for);
    tcase_add_test(tc, an_unknown_feature_is_told_with_the_nearest_known_one);
    tcase_add_test(tc, an_unknown_model_is_refused_at_once);
    tcase_add_test(tc, a_named_set_shows_its_features_and_the_platforms_only);
    tcase_add_test(tc, a_named_set_can_be_added_to_and_taken_from);
    tcase_add_test(tc, a_named_set_needs_all_its_features);
    tcase_add_test(tc, each_level_contains_the_one_before);
    tcase_add_loop_test(tc, hardware_ids_grow_and_are_as_wide_as_the_shape, 0,
                        G_N_ELEMENTS(shapes));
    tcase_add_loop_test(tc, the_topology_leaves_tell_the_shape_and_who_asks, 0,
                        G_N_ELEMENTS(shapes));
    tcase_add_loop_test(tc, the_old_leaves_tell_the_package, 0, G_N_ELEMENTS(shapes));
    tcase_add_loop_test(tc, caches_are_shared_by_a_core_or_by_a_die, 0, G_N_ELEMENTS(shapes));
    tcase_add_test(tc, a_leaf_that_the_host_lacks_is_not_made_up);
    tcase_add_test(tc, a_pmu_shows_only_when_it_is_asked_for);
    return suite_run("cpu_model", tc);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Feature bits of x86 processors by name, and the named sets that -cpu knows: the levels of the
 * x86-64 psABI, so that a template made on one host starts on any host of the same level.
 */
#include "hypervisor/x86/cpu_model.h"

#include <string.h>

/* clang-format off */
const CpuFeatureBit cpu_features[] = {
    {"pni", 0x1, 0, CPUID_ECX, 0},
    {"pclmulqdq", 0x1, 0, CPUID_ECX, 1},
    {"dtes64", 0x1, 0, CPUID_ECX, 2},
    {"monitor", 0x1, 0, CPUID_ECX, 3},
    {"ds-cpl", 0x1, 0, CPUID_ECX, 4},
    {"vmx", 0x1, 0, CPUID_ECX, 5},
    {"smx", 0x1, 0, CPUID_ECX, 6},
    {"est", 0x1, 0, CPUID_ECX, 7},
    {"tm2", 0x1, 0, CPUID_ECX, 8},
    {"ssse3", 0x1, 0, CPUID_ECX, 9},
    {"cid", 0x1, 0, CPUID_ECX, 10},
    {"fma", 0x1, 0, CPUID_ECX, 12},
    {"cx16", 0x1, 0, CPUID_ECX, 13},
    {"xtpr", 0x1, 0, CPUID_ECX, 14},
    {"pdcm", 0x1, 0, CPUID_ECX, 15},
    {"pcid", 0x1, 0, CPUID_ECX, 17},
    {"dca", 0x1, 0, CPUID_ECX, 18},
    {"sse4.1", 0x1, 0, CPUID_ECX, 19},
    {"sse4.2", 0x1, 0, CPUID_ECX, 20},
    {"x2apic", 0x1, 0, CPUID_ECX, 21},
    {"movbe", 0x1, 0, CPUID_ECX, 22},
    {"popcnt", 0x1, 0, CPUID_ECX, 23},
    {"tsc-deadline", 0x1, 0, CPUID_ECX, 24},
    {"aes", 0x1, 0, CPUID_ECX, 25},
    {"xsave", 0x1, 0, CPUID_ECX, 26},
    {"avx", 0x1, 0, CPUID_ECX, 28},
    {"f16c", 0x1, 0, CPUID_ECX, 29},
    {"rdrand", 0x1, 0, CPUID_ECX, 30},
    {"hypervisor", 0x1, 0, CPUID_ECX, 31},
    {"fpu", 0x1, 0, CPUID_EDX, 0},
    {"vme", 0x1, 0, CPUID_EDX, 1},
    {"de", 0x1, 0, CPUID_EDX, 2},
    {"pse", 0x1, 0, CPUID_EDX, 3},
    {"tsc", 0x1, 0, CPUID_EDX, 4},
    {"msr", 0x1, 0, CPUID_EDX, 5},
    {"pae", 0x1, 0, CPUID_EDX, 6},
    {"mce", 0x1, 0, CPUID_EDX, 7},
    {"cx8", 0x1, 0, CPUID_EDX, 8},
    {"apic", 0x1, 0, CPUID_EDX, 9},
    {"sep", 0x1, 0, CPUID_EDX, 11},
    {"mtrr", 0x1, 0, CPUID_EDX, 12},
    {"pge", 0x1, 0, CPUID_EDX, 13},
    {"mca", 0x1, 0, CPUID_EDX, 14},
    {"cmov", 0x1, 0, CPUID_EDX, 15},
    {"pat", 0x1, 0, CPUID_EDX, 16},
    {"pse36", 0x1, 0, CPUID_EDX, 17},
    {"pn", 0x1, 0, CPUID_EDX, 18},
    {"clflush", 0x1, 0, CPUID_EDX, 19},
    {"ds", 0x1, 0, CPUID_EDX, 21},
    {"acpi", 0x1, 0, CPUID_EDX, 22},
    {"mmx", 0x1, 0, CPUID_EDX, 23},
    {"fxsr", 0x1, 0, CPUID_EDX, 24},
    {"sse", 0x1, 0, CPUID_EDX, 25},
    {"sse2", 0x1, 0, CPUID_EDX, 26},
    {"ss", 0x1, 0, CPUID_EDX, 27},
    {"ht", 0x1, 0, CPUID_EDX, 28},
    {"tm", 0x1, 0, CPUID_EDX, 29},
    {"pbe", 0x1, 0, CPUID_EDX, 31},
    {"arat", 0x6, 0, CPUID_EAX, 2},
    {"fsgsbase", 0x7, 0, CPUID_EBX, 0},
    {"tsc-adjust", 0x7, 0, CPUID_EBX, 1},
    {"bmi1", 0x7, 0, CPUID_EBX, 3},
    {"hle", 0x7, 0, CPUID_EBX, 4},
    {"avx2", 0x7, 0, CPUID_EBX, 5},
    {"smep", 0x7, 0, CPUID_EBX, 7},
    {"bmi2", 0x7, 0, CPUID_EBX, 8},
    {"erms", 0x7, 0, CPUID_EBX, 9},
    {"invpcid", 0x7, 0, CPUID_EBX, 10},
    {"rtm", 0x7, 0, CPUID_EBX, 11},
    {"mpx", 0x7, 0, CPUID_EBX, 14},
    {"avx512f", 0x7, 0, CPUID_EBX, 16},
    {"avx512dq", 0x7, 0, CPUID_EBX, 17},
    {"rdseed", 0x7, 0, CPUID_EBX, 18},
    {"adx", 0x7, 0, CPUID_EBX, 19},
    {"smap", 0x7, 0, CPUID_EBX, 20},
    {"avx512ifma", 0x7, 0, CPUID_EBX, 21},
    {"pcommit", 0x7, 0, CPUID_EBX, 22},
    {"clflushopt", 0x7, 0, CPUID_EBX, 23},
    {"clwb", 0x7, 0, CPUID_EBX, 24},
    {"intel-pt", 0x7, 0, CPUID_EBX, 25},
    {"avx512pf", 0x7, 0, CPUID_EBX, 26},
    {"avx512er", 0x7, 0, CPUID_EBX, 27},
    {"avx512cd", 0x7, 0, CPUID_EBX, 28},
    {"sha-ni", 0x7, 0, CPUID_EBX, 29},
    {"avx512bw", 0x7, 0, CPUID_EBX, 30},
    {"avx512vl", 0x7, 0, CPUID_EBX, 31},
    {"avx512vbmi", 0x7, 0, CPUID_ECX, 1},
    {"umip", 0x7, 0, CPUID_ECX, 2},
    {"pku", 0x7, 0, CPUID_ECX, 3},
    {"ospke", 0x7, 0, CPUID_ECX, 4},
    {"waitpkg", 0x7, 0, CPUID_ECX, 5},
    {"avx512vbmi2", 0x7, 0, CPUID_ECX, 6},
    {"gfni", 0x7, 0, CPUID_ECX, 8},
    {"vaes", 0x7, 0, CPUID_ECX, 9},
    {"vpclmulqdq", 0x7, 0, CPUID_ECX, 10},
    {"avx512vnni", 0x7, 0, CPUID_ECX, 11},
    {"avx512bitalg", 0x7, 0, CPUID_ECX, 12},
    {"avx512-vpopcntdq", 0x7, 0, CPUID_ECX, 14},
    {"la57", 0x7, 0, CPUID_ECX, 16},
    {"rdpid", 0x7, 0, CPUID_ECX, 22},
    {"bus-lock-detect", 0x7, 0, CPUID_ECX, 24},
    {"cldemote", 0x7, 0, CPUID_ECX, 25},
    {"movdiri", 0x7, 0, CPUID_ECX, 27},
    {"movdir64b", 0x7, 0, CPUID_ECX, 28},
    {"sgxlc", 0x7, 0, CPUID_ECX, 30},
    {"pks", 0x7, 0, CPUID_ECX, 31},
    {"avx512-4vnniw", 0x7, 0, CPUID_EDX, 2},
    {"avx512-4fmaps", 0x7, 0, CPUID_EDX, 3},
    {"fsrm", 0x7, 0, CPUID_EDX, 4},
    {"avx512-vp2intersect", 0x7, 0, CPUID_EDX, 8},
    {"md-clear", 0x7, 0, CPUID_EDX, 10},
    {"serialize", 0x7, 0, CPUID_EDX, 14},
    {"tsx-ldtrk", 0x7, 0, CPUID_EDX, 16},
    {"arch-lbr", 0x7, 0, CPUID_EDX, 19},
    {"amx-bf16", 0x7, 0, CPUID_EDX, 22},
    {"avx512-fp16", 0x7, 0, CPUID_EDX, 23},
    {"amx-tile", 0x7, 0, CPUID_EDX, 24},
    {"amx-int8", 0x7, 0, CPUID_EDX, 25},
    {"spec-ctrl", 0x7, 0, CPUID_EDX, 26},
    {"stibp", 0x7, 0, CPUID_EDX, 27},
    {"flush-l1d", 0x7, 0, CPUID_EDX, 28},
    {"arch-capabilities", 0x7, 0, CPUID_EDX, 29},
    {"core-capability", 0x7, 0, CPUID_EDX, 30},
    {"ssbd", 0x7, 0, CPUID_EDX, 31},
    {"avx-vnni", 0x7, 1, CPUID_EAX, 4},
    {"avx512-bf16", 0x7, 1, CPUID_EAX, 5},
    {"fzrm", 0x7, 1, CPUID_EAX, 10},
    {"fsrs", 0x7, 1, CPUID_EAX, 11},
    {"fsrc", 0x7, 1, CPUID_EAX, 12},
    {"amx-fp16", 0x7, 1, CPUID_EAX, 21},
    {"avx-ifma", 0x7, 1, CPUID_EAX, 23},
    {"xsaveopt", 0xd, 1, CPUID_EAX, 0},
    {"xsavec", 0xd, 1, CPUID_EAX, 1},
    {"xgetbv1", 0xd, 1, CPUID_EAX, 2},
    {"xsaves", 0xd, 1, CPUID_EAX, 3},
    {"xfd", 0xd, 1, CPUID_EAX, 4},
    {"kvmclock-old", 0x40000001, 0, CPUID_EAX, 0},
    {"kvm-nopiodelay", 0x40000001, 0, CPUID_EAX, 1},
    {"kvmclock", 0x40000001, 0, CPUID_EAX, 3},
    {"kvm-asyncpf", 0x40000001, 0, CPUID_EAX, 4},
    {"kvm-steal-time", 0x40000001, 0, CPUID_EAX, 5},
    {"kvm-pv-eoi", 0x40000001, 0, CPUID_EAX, 6},
    {"kvm-pv-unhalt", 0x40000001, 0, CPUID_EAX, 7},
    {"kvm-pv-tlb-flush", 0x40000001, 0, CPUID_EAX, 9},
    {"kvm-pv-ipi", 0x40000001, 0, CPUID_EAX, 11},
    {"kvm-poll-control", 0x40000001, 0, CPUID_EAX, 12},
    {"kvm-pv-sched-yield", 0x40000001, 0, CPUID_EAX, 13},
    {"kvm-asyncpf-int", 0x40000001, 0, CPUID_EAX, 14},
    {"kvm-msi-ext-dest-id", 0x40000001, 0, CPUID_EAX, 15},
    {"kvmclock-stable-bit", 0x40000001, 0, CPUID_EAX, 24},
    {"lahf-lm", 0x80000001, 0, CPUID_ECX, 0},
    {"cmp-legacy", 0x80000001, 0, CPUID_ECX, 1},
    {"svm", 0x80000001, 0, CPUID_ECX, 2},
    {"extapic", 0x80000001, 0, CPUID_ECX, 3},
    {"cr8legacy", 0x80000001, 0, CPUID_ECX, 4},
    {"abm", 0x80000001, 0, CPUID_ECX, 5},
    {"sse4a", 0x80000001, 0, CPUID_ECX, 6},
    {"misalignsse", 0x80000001, 0, CPUID_ECX, 7},
    {"3dnowprefetch", 0x80000001, 0, CPUID_ECX, 8},
    {"osvw", 0x80000001, 0, CPUID_ECX, 9},
    {"ibs", 0x80000001, 0, CPUID_ECX, 10},
    {"xop", 0x80000001, 0, CPUID_ECX, 11},
    {"skinit", 0x80000001, 0, CPUID_ECX, 12},
    {"wdt", 0x80000001, 0, CPUID_ECX, 13},
    {"lwp", 0x80000001, 0, CPUID_ECX, 15},
    {"fma4", 0x80000001, 0, CPUID_ECX, 16},
    {"tce", 0x80000001, 0, CPUID_ECX, 17},
    {"nodeid-msr", 0x80000001, 0, CPUID_ECX, 19},
    {"tbm", 0x80000001, 0, CPUID_ECX, 21},
    {"topoext", 0x80000001, 0, CPUID_ECX, 22},
    {"perfctr-core", 0x80000001, 0, CPUID_ECX, 23},
    {"perfctr-nb", 0x80000001, 0, CPUID_ECX, 24},
    {"syscall", 0x80000001, 0, CPUID_EDX, 11},
    {"nx", 0x80000001, 0, CPUID_EDX, 20},
    {"mmxext", 0x80000001, 0, CPUID_EDX, 22},
    {"fxsr-opt", 0x80000001, 0, CPUID_EDX, 25},
    {"pdpe1gb", 0x80000001, 0, CPUID_EDX, 26},
    {"rdtscp", 0x80000001, 0, CPUID_EDX, 27},
    {"lm", 0x80000001, 0, CPUID_EDX, 29},
    {"3dnowext", 0x80000001, 0, CPUID_EDX, 30},
    {"3dnow", 0x80000001, 0, CPUID_EDX, 31},
    {"invtsc", 0x80000007, 0, CPUID_EDX, 8},
    {"clzero", 0x80000008, 0, CPUID_EBX, 0},
    {"xsaveerptr", 0x80000008, 0, CPUID_EBX, 2},
    {"wbnoinvd", 0x80000008, 0, CPUID_EBX, 9},
    {"ibpb", 0x80000008, 0, CPUID_EBX, 12},
    {"ibrs", 0x80000008, 0, CPUID_EBX, 14},
    {"amd-stibp", 0x80000008, 0, CPUID_EBX, 15},
    {"amd-ssbd", 0x80000008, 0, CPUID_EBX, 24},
    {"virt-ssbd", 0x80000008, 0, CPUID_EBX, 25},
    {"amd-no-ssb", 0x80000008, 0, CPUID_EBX, 26},
    {"amd-psfd", 0x80000008, 0, CPUID_EBX, 28},
    {"npt", 0x8000000a, 0, CPUID_EDX, 0},
    {"lbrv", 0x8000000a, 0, CPUID_EDX, 1},
    {"svm-lock", 0x8000000a, 0, CPUID_EDX, 2},
    {"nrip-save", 0x8000000a, 0, CPUID_EDX, 3},
    {"tsc-scale", 0x8000000a, 0, CPUID_EDX, 4},
    {"vmcb-clean", 0x8000000a, 0, CPUID_EDX, 5},
    {"flushbyasid", 0x8000000a, 0, CPUID_EDX, 6},
    {"decodeassists", 0x8000000a, 0, CPUID_EDX, 7},
    {"pause-filter", 0x8000000a, 0, CPUID_EDX, 10},
    {"pfthreshold", 0x8000000a, 0, CPUID_EDX, 12},
    {"avic", 0x8000000a, 0, CPUID_EDX, 13},
    {"v-vmsave-vmload", 0x8000000a, 0, CPUID_EDX, 15},
    {"vgif", 0x8000000a, 0, CPUID_EDX, 16},
};
/* clang-format on */
const size_t cpu_num_features = G_N_ELEMENTS(cpu_features);

/* Kept in every set where the host has them; the guest's kernel needs them, programs do not. */
static const char *const platform_features[] = {
    "arat",
    "ht",
    "hypervisor",
    "kvm-nopiodelay",
    "kvm-poll-control",
    "kvm-pv-eoi",
    "kvm-steal-time",
    "kvmclock",
    "kvmclock-old",
    "kvmclock-stable-bit",
    "mca",
    "mce",
    "mtrr",
    "sep",
    "tsc-adjust",
    "tsc-deadline",
    "x2apic",
    NULL,
};

static const char *const level_1[] = {
    "fpu",   "de",      "pse", "tsc",  "msr", "pae",  "cx8",     "apic", "pge", "cmov", "pat",
    "pse36", "clflush", "mmx", "fxsr", "sse", "sse2", "syscall", "nx",   "lm",  NULL,
};
static const char *const level_2[] = {
    "fpu",  "de",      "pse",     "tsc", "msr",    "pae",    "cx8",   "apic",    "pge", "cmov",
    "pat",  "pse36",   "clflush", "mmx", "fxsr",   "sse",    "sse2",  "syscall", "nx",  "lm",
    "cx16", "lahf-lm", "popcnt",  "pni", "sse4.1", "sse4.2", "ssse3", NULL,
};
static const char *const level_3[] = {
    "fpu",  "de",      "pse",     "tsc", "msr",    "pae",    "cx8",   "apic",    "pge",  "cmov",
    "pat",  "pse36",   "clflush", "mmx", "fxsr",   "sse",    "sse2",  "syscall", "nx",   "lm",
    "cx16", "lahf-lm", "popcnt",  "pni", "sse4.1", "sse4.2", "ssse3", "avx",     "avx2", "bmi1",
    "bmi2", "f16c",    "fma",     "abm", "movbe",  "xsave",  NULL,
};
static const char *const level_4[] = {
    "fpu",     "de",      "pse",      "tsc",      "msr",      "pae",      "cx8",
    "apic",    "pge",     "cmov",     "pat",      "pse36",    "clflush",  "mmx",
    "fxsr",    "sse",     "sse2",     "syscall",  "nx",       "lm",       "cx16",
    "lahf-lm", "popcnt",  "pni",      "sse4.1",   "sse4.2",   "ssse3",    "avx",
    "avx2",    "bmi1",    "bmi2",     "f16c",     "fma",      "abm",      "movbe",
    "xsave",   "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", NULL,
};

typedef struct FeatureSet {
    const char *name;
    const char *const *features;
} FeatureSet;

static const FeatureSet feature_sets[] = {
    {"x86-64-v1", level_1},
    {"x86-64-v2", level_2},
    {"x86-64-v3", level_3},
    {"x86-64-v4", level_4},
};

static const char *const model_names[] = {"host",      "max",       "x86-64-v1", "x86-64-v2",
                                          "x86-64-v3", "x86-64-v4", NULL};

static bool same_name(const char *a, const char *b)
{
    while (*a != '\0' && (*a == *b || (*a == '-' && *b == '_'))) {
        a++;
        b++;
    }
    return *a == *b;
}

const CpuFeatureBit *cpu_feature_find(const char *name)
{
    for (size_t i = 0; i < cpu_num_features; i++) {
        if (same_name(cpu_features[i].name, name)) {
            return &cpu_features[i];
        }
    }
    return NULL;
}

const char *const *cpu_feature_set(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(feature_sets); i++) {
        if (strcmp(feature_sets[i].name, name) == 0) {
            return feature_sets[i].features;
        }
    }
    return NULL;
}

bool cpu_feature_is_platform(const char *name)
{
    return g_strv_contains(platform_features, name);
}

const char *const *cpu_model_names(void)
{
    return model_names;
}

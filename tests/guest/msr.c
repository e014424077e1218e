/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Model-specific registers: those that a kernel sets are set to a value of ours and must read back
 * at once and behind the migrate point; those that only describe the machine must not change.
 * A register belongs to a feature, and without the CPUID bit of that feature it is left alone.
 */
#include "tests/guest/lib/boot_info.h"
#include "tests/guest/lib/report.h"
#include "tests/guest/lib/start.h"
#include "tests/guest/lib/trap.h"
#include "tests/guest/lib/x86.h"

#define KVM_LEAF          0x40000000
#define KVM_SIGNATURE_EBX 0x4b4d564b /* "KVMK" */
#define KVM_FEATURES      0x40000001
#define MSR_TSC           0x10
#define INTEL_EBX         0x756e6547 /* "Genu" */

typedef enum CpuidRegister {
    EAX,
    EBX,
    ECX,
    EDX
} CpuidRegister;

typedef struct Feature {
    uint32_t leaf;
    CpuidRegister in;
    unsigned bit;
} Feature;

typedef struct MsrCase {
    const char *name;
    uint32_t index;
    uint64_t value;
    Feature feature; /* leaf 0: every processor has it */
} MsrCase;

/* Pages for KVM to write into, named by the low bits of the MSRs below. */
static uint8_t shared_pages[2][4096] __attribute__((aligned(4096)));

#define MTRR       \
    {              \
        1, EDX, 12 \
    }
#define WRITE_BACK 0x0606060606060606

static const MsrCase written[] = {
    {"SYSENTER_CS", 0x174, 0x10, {0}},
    {"SYSENTER_ESP", 0x175, 0xffff800000123458, {0}},
    {"SYSENTER_EIP", 0x176, 0xffffffff80abcdef, {0}},
    {"PAT", 0x277, 0x0007040600070106, {1, EDX, 16}},
    {"STAR", 0xc0000081, 0x001b000800000000, {0}},
    {"LSTAR", 0xc0000082, 0xffffffff81000040, {0}},
    {"CSTAR", 0xc0000083, 0xffffffff81000080, {0}},
    {"SYSCALL_MASK", 0xc0000084, 0x47700, {0}},
    {"FS_BASE", 0xc0000100, 0x00007f1234567000, {0}},
    {"GS_BASE", 0xc0000101, 0xffff888000001000, {0}},
    {"KERNEL_GS_BASE", 0xc0000102, 0xffff888000002000, {0}},
    {"TSC_AUX", 0xc0000103, 0x00003007, {0x80000001, EDX, 27}},
    {"TSC_ADJUST", 0x3b, 0x100000, {7, EBX, 1}},
    {"MTRR_FIX64K_00000", 0x250, WRITE_BACK, MTRR},
    {"MTRR_FIX16K_80000", 0x258, WRITE_BACK, MTRR},
    {"MTRR_FIX16K_A0000", 0x259, 0, MTRR},
    {"MTRR_FIX4K_C0000", 0x268, 0x0505050505050505, MTRR},
    {"MTRR_FIX4K_F8000", 0x26f, WRITE_BACK, MTRR},
    {"MTRR_PHYSBASE0", 0x200, 0xc0000000, MTRR},
    {"MTRR_PHYSMASK0", 0x201, 0xc0000800, MTRR},
    {"MTRR_PHYSBASE1", 0x202, 0x100000006, MTRR},
    {"MTRR_PHYSMASK1", 0x203, 0xf00000000, MTRR},
    {"MTRR_DEF_TYPE", 0x2ff, 0xc06, MTRR},
    {"KVM_STEAL_TIME", 0x4b564d03, 1, {KVM_FEATURES, EAX, 5}},
    {"KVM_PV_EOI", 0x4b564d04, 1, {KVM_FEATURES, EAX, 6}},
    {"KVM_POLL_CONTROL", 0x4b564d05, 0, {KVM_FEATURES, EAX, 12}},
};

/* Constant for the life of a machine; not every processor has every one. */
static const MsrCase constant[] = {
    {"PLATFORM_ID", 0x17, 0, {0}},        {"APIC_BASE", 0x1b, 0, {0}},
    {"FEATURE_CONTROL", 0x3a, 0, {0}},    {"MICROCODE", 0x8b, 0, {0}},
    {"PLATFORM_INFO", 0xce, 0, {0}},      {"MTRR_CAP", 0xfe, 0, {0}},
    {"ARCH_CAPABILITIES", 0x10a, 0, {0}}, {"MCG_CAP", 0x179, 0, {0}},
    {"MISC_ENABLE", 0x1a0, 0, {0}},       {"EFER", 0xc0000080, 0, {0}},
    {"HWCR", 0xc0010015, 0, {0}},
};

static bool has_feature(const Feature *f)
{
    CpuidLeaf leaf;
    uint32_t values[4];

    if (!f->leaf) {
        return true;
    }
    if (f->leaf == KVM_FEATURES && cpuid(KVM_LEAF, 0).ebx != KVM_SIGNATURE_EBX) {
        return false;
    }
    if (cpuid(f->leaf & 0xffff0000, 0).eax < f->leaf) {
        return false;
    }
    leaf = cpuid(f->leaf, 0);
    values[EAX] = leaf.eax;
    values[EBX] = leaf.ebx;
    values[ECX] = leaf.ecx;
    values[EDX] = leaf.edx;
    return (values[f->in] >> f->bit & 1) != 0;
}

/*
 * KVM's own registers hold an address beside their enable bit.  SYSENTER does not exist in the long
 * mode of other makers' processors: KVM keeps 32 bits of its registers there.
 */
static uint64_t value_of(const MsrCase *m)
{
    switch (m->index) {
    case 0x175:
    case 0x176:
        return cpuid(0, 0).ebx == INTEL_EBX ? m->value : (uint32_t)m->value;
    case 0x4b564d03:
        return (uint64_t)shared_pages[0] | m->value;
    case 0x4b564d04:
        return (uint64_t)shared_pages[1] | m->value;
    default:
        return m->value;
    }
}

static void write_all(bool *is_tested)
{
    uint64_t value;

    for (unsigned i = 0; i < ARRAY_LENGTH(written); i++) {
        const MsrCase *m = &written[i];
        unsigned vector;

        is_tested[i] = has_feature(&m->feature);
        if (!is_tested[i]) {
            report_note("%s: no such feature", m->name);
            continue;
        }
        vector = msr_try_write(m->index, value_of(m));
        if (!report(!vector, "%s can be written", m->name)) {
            is_tested[i] = false;
            continue;
        }
        vector = msr_try_read(m->index, &value);
        report(!vector && value == value_of(m), "%s reads back: 0x%lx, wrote 0x%lx", m->name, value,
               value_of(m));
    }
}

static void read_constant(uint64_t *values, unsigned *vectors)
{
    for (unsigned i = 0; i < ARRAY_LENGTH(constant); i++) {
        vectors[i] = msr_try_read(constant[i].index, &values[i]);
    }
}

static void compare_constant(const uint64_t *values, const unsigned *vectors)
{
    uint64_t now[ARRAY_LENGTH(constant)];
    unsigned now_vectors[ARRAY_LENGTH(constant)];

    read_constant(now, now_vectors);
    for (unsigned i = 0; i < ARRAY_LENGTH(constant); i++) {
        report(vectors[i] == now_vectors[i] && (vectors[i] || values[i] == now[i]),
               "%s stays: 0x%lx, was 0x%lx", constant[i].name, now[i], values[i]);
    }
}

void payload_main(void)
{
    bool is_tested[ARRAY_LENGTH(written)];
    uint64_t values[ARRAY_LENGTH(constant)];
    unsigned vectors[ARRAY_LENGTH(constant)];
    /* QEMU's own processor reads every unknown register, and the TSC one, as zero. */
    bool is_strict = !boot_flag("tcg");
    uint64_t tsc;

    if (is_strict) {
        report_equal(msr_try_read(0xdead, &tsc), VECTOR_GENERAL_PROTECTION,
                     "reading a register that does not exist is a general protection fault");
    }
    write_all(is_tested);
    read_constant(values, vectors);
    tsc = msr_read(MSR_TSC);
    migrate_point();
    report(msr_read(MSR_TSC) > tsc || !is_strict, "the TSC register goes on");
    for (unsigned i = 0; i < ARRAY_LENGTH(written); i++) {
        if (is_tested[i]) {
            uint64_t value = msr_read(written[i].index);

            report(value == value_of(&written[i]), "%s survives: 0x%lx, wrote 0x%lx",
                   written[i].name, value, value_of(&written[i]));
        }
    }
    compare_constant(values, vectors);
}

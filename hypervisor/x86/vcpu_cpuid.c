/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A saved vCPU's CPUID, beside that of the model that this VM was started with.
 *
 * The model comes from this host and the command line.  On the host of the save it is the same
 * table, and a load has nothing to do.  On another host it may lack what the guest has seen, and
 * the load fails and says what; or have more, and then the vCPU gets the saved table in place of
 * the model's, because the guest looked only once.
 */
#include "hypervisor/kvm.h"
#include "hypervisor/x86/cpu_model.h"
#include "hypervisor/x86/vcpu_vmstate.h"
#include "util/crc32c.h"
#include "util/error.h"

#include <inttypes.h>
#include <string.h>

#define LEAF_VENDOR    0x0
#define LEAF_AMD_SIZES 0x80000008
#define ADDRESS_BITS   0xff

/* Where words are in a saved entry. */
enum {
    WORD_FUNCTION,
    WORD_INDEX,
    WORD_FLAGS,
    WORD_EAX,
};

/* One register of one leaf, and some of its bits. */
typedef struct CpuidWord {
    uint32_t function, index;
    CpuidRegister reg;
    uint32_t bits;
} CpuidWord;

/* What KVM changes by itself, as the guest sets control registers and the APIC base. */
static const CpuidWord runtime_bits[] = {
    {0x1, 0, CPUID_ECX, 1u << 27 | 1u << 3}, /* OSXSAVE, MONITOR */
    {0x1, 0, CPUID_EDX, 1u << 9},            /* APIC */
    {0x7, 0, CPUID_ECX, 1u << 4},            /* OSPKE */
    {0xd, 0, CPUID_EBX, UINT32_MAX},         /* size of what XCR0 enables */
    {0xd, 1, CPUID_EBX, UINT32_MAX},         /* and XSS */
    {0x40000001, 0, CPUID_EAX, 1u << 7},     /* halt without an exit */
};

/* Registers in which a set bit is a promise. */
static const CpuidWord feature_words[] = {
    {0x1, 0, CPUID_ECX, UINT32_MAX},        {0x1, 0, CPUID_EDX, UINT32_MAX},
    {0x6, 0, CPUID_EAX, UINT32_MAX},        {0x7, 0, CPUID_EBX, UINT32_MAX},
    {0x7, 0, CPUID_ECX, ~(0x1fu << 17)}, /* without the MPX address width */
    {0x7, 0, CPUID_EDX, UINT32_MAX},        {0x7, 1, CPUID_EAX, UINT32_MAX},
    {0x7, 1, CPUID_EBX, UINT32_MAX},        {0x7, 1, CPUID_ECX, UINT32_MAX},
    {0x7, 1, CPUID_EDX, UINT32_MAX},        {0x7, 2, CPUID_EDX, UINT32_MAX},
    {0xd, 0, CPUID_EAX, UINT32_MAX}, /* parts of XSAVE that XCR0 can enable */
    {0xd, 0, CPUID_EDX, UINT32_MAX},        {0xd, 1, CPUID_EAX, UINT32_MAX},
    {0xd, 1, CPUID_ECX, UINT32_MAX}, /* and that XSS can */
    {0xd, 1, CPUID_EDX, UINT32_MAX},        {0x40000001, 0, CPUID_EAX, UINT32_MAX},
    {0x80000001, 0, CPUID_ECX, UINT32_MAX}, {0x80000001, 0, CPUID_EDX, UINT32_MAX},
    {0x80000007, 0, CPUID_EDX, UINT32_MAX}, {LEAF_AMD_SIZES, 0, CPUID_EBX, UINT32_MAX},
    {0x8000000a, 0, CPUID_EDX, UINT32_MAX}, {0x80000021, 0, CPUID_EAX, UINT32_MAX},
    {0x80000021, 0, CPUID_ECX, UINT32_MAX},
};

static const char *const register_names[] = {"EAX", "EBX", "ECX", "EDX"};

static uint32_t runtime_mask(uint32_t function, uint32_t index, CpuidRegister reg)
{
    for (size_t i = 0; i < G_N_ELEMENTS(runtime_bits); i++) {
        const CpuidWord *w = &runtime_bits[i];

        if (w->function == function && w->index == index && w->reg == reg) {
            return w->bits;
        }
    }
    return 0;
}

/* 0 where there is no such leaf, as a guest reads it. */
static uint32_t saved_register(const VcpuState *state, uint32_t function, uint32_t index,
                               CpuidRegister reg)
{
    for (uint32_t i = 0; i < state->num_cpuid; i += X86_CPUID_WORDS) {
        const uint32_t *words = &state->cpuid[i];

        if (words[WORD_FUNCTION] == function && words[WORD_INDEX] == index) {
            return words[WORD_EAX + reg];
        }
    }
    return 0;
}

static uint32_t entry_register(const struct kvm_cpuid_entry2 *entry, CpuidRegister reg)
{
    const uint32_t words[] = {entry->eax, entry->ebx, entry->ecx, entry->edx};

    return words[reg];
}

static uint32_t table_register(const struct kvm_cpuid2 *table, uint32_t function, uint32_t index,
                               CpuidRegister reg)
{
    for (size_t i = 0; i < table->nent; i++) {
        const struct kvm_cpuid_entry2 *entry = &table->entries[i];

        if (entry->function == function && entry->index == index) {
            return entry_register(entry, reg);
        }
    }
    return 0;
}

bool vcpu_state_has_feature(const VcpuState *state, const char *name)
{
    const CpuFeatureBit *bit = cpu_feature_find(name);

    return bit && saved_register(state, bit->function, bit->index, bit->reg) >> bit->bit & 1;
}

/* --- tables --- */

static bool same_entry(const uint32_t *words, const struct kvm_cpuid_entry2 *entry)
{
    if (words[WORD_FUNCTION] != entry->function || words[WORD_INDEX] != entry->index) {
        return false;
    }
    for (unsigned reg = CPUID_EAX; reg <= CPUID_EDX; reg++) {
        uint32_t ignored = runtime_mask(entry->function, entry->index, (CpuidRegister)reg);

        if ((words[WORD_EAX + reg] ^ entry_register(entry, (CpuidRegister)reg)) & ~ignored) {
            return false;
        }
    }
    return true;
}

static bool same_table(const VcpuState *state, const struct kvm_cpuid2 *table)
{
    if (state->num_cpuid != table->nent * X86_CPUID_WORDS) {
        return false;
    }
    for (size_t i = 0; i < table->nent; i++) {
        if (!same_entry(&state->cpuid[i * X86_CPUID_WORDS], &table->entries[i])) {
            return false;
        }
    }
    return true;
}

static struct kvm_cpuid2 *new_table(void)
{
    struct kvm_cpuid2 *table =
        g_malloc0(sizeof(*table) + X86_MAX_CPUID * sizeof(table->entries[0]));

    table->nent = X86_MAX_CPUID;
    return table;
}

static bool set_saved_table(const Vcpu *vcpu, const VcpuState *state, GError **error)
{
    g_autofree struct kvm_cpuid2 *table = new_table();

    table->nent = state->num_cpuid / X86_CPUID_WORDS;
    for (size_t i = 0; i < table->nent; i++) {
        const uint32_t *words = &state->cpuid[i * X86_CPUID_WORDS];

        table->entries[i] = (struct kvm_cpuid_entry2){
            .function = words[WORD_FUNCTION],
            .index = words[WORD_INDEX],
            .flags = words[WORD_FLAGS],
            .eax = words[WORD_EAX + CPUID_EAX],
            .ebx = words[WORD_EAX + CPUID_EBX],
            .ecx = words[WORD_EAX + CPUID_ECX],
            .edx = words[WORD_EAX + CPUID_EDX],
        };
    }
    return vcpu_ioctl(vcpu, KVM_SET_CPUID2, table, "KVM_SET_CPUID2", error);
}

/* --- compare --- */

static const char *feature_name(const CpuidWord *word, unsigned bit)
{
    for (size_t i = 0; i < cpu_num_features; i++) {
        const CpuFeatureBit *f = &cpu_features[i];

        if (f->function == word->function && f->index == word->index && f->reg == word->reg &&
            f->bit == bit) {
            return f->name;
        }
    }
    return NULL;
}

static void compare_word(const VcpuState *state, const struct kvm_cpuid2 *now,
                         const CpuidWord *word, GString *differences)
{
    uint32_t saved = saved_register(state, word->function, word->index, word->reg);
    uint32_t here = table_register(now, word->function, word->index, word->reg);
    uint32_t missing =
        saved & ~here & word->bits & ~runtime_mask(word->function, word->index, word->reg);

    for (unsigned bit = 0; bit < 32; bit++) {
        const char *name;

        if (!(missing >> bit & 1)) {
            continue;
        }
        name = feature_name(word, bit);
        if (name) {
            g_string_append_printf(differences, "CPU feature '%s': not here\n", name);
        } else {
            g_string_append_printf(
                differences, "CPU feature in CPUID 0x%" PRIx32 ".%" PRIu32 " %s bit %u: not here\n",
                word->function, word->index, register_names[word->reg], bit);
        }
    }
}

static void vendor_name(const uint32_t regs[3], char ret_name[13])
{
    memcpy(ret_name, regs, 12);
    ret_name[12] = '\0';
    for (unsigned i = 0; i < 12; i++) {
        ret_name[i] = g_ascii_isgraph(ret_name[i]) ? ret_name[i] : '?';
    }
}

/* Code for one vendor's processors that has chosen its workarounds does not run on another's. */
static void compare_vendor(const VcpuState *state, const struct kvm_cpuid2 *now,
                           GString *differences)
{
    static const CpuidRegister order[] = {CPUID_EBX, CPUID_EDX, CPUID_ECX};
    uint32_t saved[3], here[3];
    char saved_name[13], here_name[13];

    for (unsigned i = 0; i < G_N_ELEMENTS(order); i++) {
        saved[i] = saved_register(state, LEAF_VENDOR, 0, order[i]);
        here[i] = table_register(now, LEAF_VENDOR, 0, order[i]);
    }
    if (memcmp(saved, here, sizeof(saved)) == 0) {
        return;
    }
    vendor_name(saved, saved_name);
    vendor_name(here, here_name);
    g_string_append_printf(differences, "CPU vendor: %s, here %s\n", saved_name, here_name);
}

static void compare_sizes(const VcpuState *state, const struct kvm_cpuid2 *now,
                          Hypervisor *hypervisor, GString *differences)
{
    uint32_t saved = saved_register(state, LEAF_AMD_SIZES, 0, CPUID_EAX) & ADDRESS_BITS;
    uint32_t here = table_register(now, LEAF_AMD_SIZES, 0, CPUID_EAX) & ADDRESS_BITS;
    uint32_t bytes = vcpu_xsave_bytes(hypervisor);

    if (saved > here) {
        g_string_append_printf(differences,
                               "CPU physical addresses: %" PRIu32 " bits, here %" PRIu32 "\n",
                               saved, here);
    }
    for (uint32_t i = bytes; i < state->xsave_bytes; i++) {
        if (state->xsave[i] != 0) {
            g_string_append_printf(differences,
                                   "CPU XSAVE area: %" PRIu32 " bytes, here %" PRIu32 "\n",
                                   state->xsave_bytes, bytes);
            return;
        }
    }
}

/* One line for everything that the saved guest saw and that a vCPU here does not show. */
static bool check_table(const VcpuState *state, const Vcpu *vcpu, const struct kvm_cpuid2 *now,
                        GError **error)
{
    g_autoptr(GString) differences = g_string_new(NULL);

    compare_vendor(state, now, differences);
    for (size_t i = 0; i < G_N_ELEMENTS(feature_words); i++) {
        compare_word(state, now, &feature_words[i], differences);
    }
    compare_sizes(state, now, vcpu->hypervisor, differences);
    return differences->len == 0 ||
           fail(error, VMM_ERROR_CONFIG,
                "this host's processor is not what the template's guest has seen:\n%s",
                g_strchomp(differences->str));
}

/* --- load --- */

/*
 * What counts is what a vCPU here reads back: some hosts let a guest see more than they say they
 * support.  KVM takes no other table once a vCPU has run; going back to a template does not ask
 * for one, because the vCPU has had that template's since it was loaded from it.
 */
static bool check_and_set_table(Vcpu *vcpu, const VcpuState *state, GError **error)
{
    g_autofree struct kvm_cpuid2 *now = new_table();

    if (!vcpu_ioctl(vcpu, KVM_GET_CPUID2, now, "KVM_GET_CPUID2", error)) {
        return false;
    }
    if (same_table(state, now)) {
        return true;
    }
    if (!check_table(state, vcpu, now, error)) {
        return false;
    }
    vcpu->cpuid_mark = 0;
    return set_saved_table(vcpu, state, error);
}

uint32_t vcpu_cpuid_proof(const Vcpu *vcpu, const VcpuState *state)
{
    return vcpu->cpuid_mark == 0
               ? 0
               : crc32c(vcpu->cpuid_mark, state->cpuid, state->num_cpuid * sizeof(*state->cpuid));
}

bool vcpu_load_cpuid(Vcpu *vcpu, CpuModel *model, const VcpuState *state, GError **error)
{
    g_autofree struct kvm_cpuid2 *own = NULL;

    if (state->cpuid_proof != 0 && state->cpuid_proof == vcpu_cpuid_proof(vcpu, state)) {
        return true;
    }
    own = cpu_model_table(model, vcpu->index);
    return same_table(state, own) || check_and_set_table(vcpu, state, error);
}

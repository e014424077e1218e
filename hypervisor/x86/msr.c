/* SPDX-License-Identifier: Apache-2.0 */
#include "hypervisor/x86/msr.h"

#include "hypervisor/kvm.h"
#include "hypervisor/x86/cpu_model.h"
#include "util/error.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PER_CALL 255 /* KVM refuses 256 */

typedef enum {
    MSR_CARRIED,
    /* Carried, and read even if KVM does not list it, where CPUID has the feature. */
    MSR_IMPLIED,
    /* The same, and 0 in a fresh vCPU. */
    MSR_IMPLIED_ZERO,
    /* Carried; a host that cannot read or take it is no reason to stop. */
    MSR_OPTIONAL,
    /* Carried if the guest has virtualization; set before the state of a nested guest. */
    MSR_VIRTUALIZATION,
    /* Not carried. */
    MSR_LEFT_OUT,
} MsrKind;

typedef struct MsrRange {
    uint32_t first, last;
    MsrKind kind;
    const char *name;
    const char *feature; /* IMPLIED */
} MsrRange;

/*
 * The order matters where it says so.  Left out are what is state of another place (EFER and the
 * APIC base are in the control registers, the TSC in X86Tsc), what is a command rather than a
 * register, and what is not offered to guests.
 */
/* clang-format off */
static const MsrRange msr_table[] = {
    {MSR_FEATURE_CONTROL, MSR_FEATURE_CONTROL, MSR_CARRIED, "feature control", NULL},
    {0x480, 0x493, MSR_VIRTUALIZATION, "VMX capability", NULL},
    {0xc0010117, 0xc0010117, MSR_CARRIED, "VM_HSAVE_PA", NULL},
    {0xc0000104, 0xc0000104, MSR_CARRIED, "TSC ratio", NULL},
    {0x8b, 0x8b, MSR_CARRIED, "microcode revision", NULL},
    {0xce, 0xce, MSR_CARRIED, "platform info", NULL},
    {0x10a, 0x10a, MSR_CARRIED, "architectural capabilities", NULL},
    {0x345, 0x345, MSR_CARRIED, "performance capabilities", NULL},
    {0x140, 0x140, MSR_CARRIED, "misc features", NULL},
    {0x1a0, 0x1a0, MSR_CARRIED, "misc enable", NULL},
    {0xc0010015, 0xc0010015, MSR_CARRIED, "HWCR", NULL},
    {0x1fc, 0x1fc, MSR_CARRIED, "power control", NULL},
    {0x34, 0x34, MSR_OPTIONAL, "SMI count", NULL},
    {0x9e, 0x9e, MSR_CARRIED, "SMBASE", NULL},
    {0x3b, 0x3b, MSR_CARRIED, "TSC adjust", NULL},
    {0xe1, 0xe1, MSR_CARRIED, "UMWAIT control", NULL},
    {0x48, 0x48, MSR_CARRIED, "speculation control", NULL},
    {0xc001011f, 0xc001011f, MSR_CARRIED, "virtual speculation control", NULL},
    {0x122, 0x122, MSR_CARRIED, "TSX control", NULL},
    {0x174, 0x176, MSR_CARRIED, "SYSENTER", NULL},
    {0xc0000081, 0xc0000084, MSR_CARRIED, "SYSCALL", NULL},
    {0xc0000102, 0xc0000103, MSR_CARRIED, "kernel GS base or TSC_AUX", NULL},
    {0x277, 0x277, MSR_CARRIED, "PAT", NULL},
    {0x1c4, 0x1c5, MSR_CARRIED, "XFD", NULL},
    {0xda0, 0xda0, MSR_CARRIED, "XSS", NULL},
    {0x6a0, 0x6a8, MSR_CARRIED, "CET", NULL},
    {0xd90, 0xd90, MSR_CARRIED, "BNDCFGS", NULL},
    {0x1d9, 0x1d9, MSR_CARRIED, "debug control", NULL},
    /* The history of branches: KVM shows it and, on AMD, does not take it. */
    {0x1db, 0x1de, MSR_OPTIONAL, "last branch", NULL},
    {0x560, 0x561, MSR_CARRIED, "trace output", NULL},
    {0x571, 0x572, MSR_CARRIED, "trace", NULL},
    {0x580, 0x587, MSR_CARRIED, "trace address", NULL},
    {0x570, 0x570, MSR_CARRIED, "trace control", NULL}, /* enables: after the rest of it */
    {0x200, 0x20f, MSR_IMPLIED_ZERO, "variable MTRR", "mtrr"},
    {0x250, 0x250, MSR_IMPLIED_ZERO, "fixed MTRR", "mtrr"},
    {0x258, 0x259, MSR_IMPLIED_ZERO, "fixed MTRR", "mtrr"},
    {0x268, 0x26f, MSR_IMPLIED_ZERO, "fixed MTRR", "mtrr"},
    {0x2ff, 0x2ff, MSR_IMPLIED, "MTRR default type", "mtrr"}, /* enables: after its ranges */
    {0x17a, 0x17b, MSR_CARRIED, "machine check", NULL},
    {0x4d0, 0x4d0, MSR_CARRIED, "machine check", NULL},
    {0x400, 0x47f, MSR_IMPLIED_ZERO, "machine check bank", "mca"},
    {0x186, 0x18d, MSR_CARRIED, "event select", NULL},
    {0xc1, 0xc8, MSR_CARRIED, "event counter", NULL},
    {0x4c1, 0x4c8, MSR_CARRIED, "event counter", NULL},
    {0x309, 0x318, MSR_CARRIED, "fixed event counter", NULL},
    {0x38d, 0x38e, MSR_CARRIED, "event counter control", NULL},
    {0x3f1, 0x3f2, MSR_CARRIED, "PEBS", NULL},
    {0x600, 0x600, MSR_CARRIED, "debug store", NULL},
    {0xc0010000, 0xc0010007, MSR_CARRIED, "event counter", NULL},
    {0xc0010200, 0xc001020b, MSR_CARRIED, "event counter", NULL},
    {0xc0000300, 0xc0000301, MSR_CARRIED, "event counter control", NULL},
    {0x38f, 0x38f, MSR_CARRIED, "event counters enable", NULL}, /* after the counters */
    /* Setting these makes KVM write into guest RAM, so RAM comes first. */
    {MSR_KVM_SYSTEM_TIME1, MSR_KVM_SYSTEM_TIME1, MSR_CARRIED, "KVM system time", NULL},
    {MSR_KVM_SYSTEM_TIME, MSR_KVM_SYSTEM_TIME, MSR_CARRIED, "KVM system time", NULL},
    {0x4b564d03, 0x4b564d05, MSR_CARRIED, "KVM steal time, end of interrupt or polling", NULL},
    {0x4b564d08, 0x4b564d08, MSR_CARRIED, "KVM migration control", NULL},
    /*
     * The vector before the enabling, which also wakes everything that waits for a page, so that
     * a "page ready" which was under way at the save is not waited for.
     */
    {0x4b564d06, 0x4b564d06, MSR_CARRIED, "KVM page fault vector", NULL},
    {0x4b564d02, 0x4b564d02, MSR_CARRIED, "KVM page fault", NULL},
    /* After the TSC, and after the LAPIC, whose timer mode says whether it counts. */
    {MSR_TSC_DEADLINE, MSR_TSC_DEADLINE, MSR_CARRIED, "TSC deadline", NULL},

    {MSR_TSC, MSR_TSC, MSR_LEFT_OUT, "TSC", NULL},
    {0x1b, 0x1b, MSR_LEFT_OUT, "APIC base", NULL},
    {0xc0000080, 0xc0000080, MSR_LEFT_OUT, "EFER", NULL},
    /* Commands: write the wall clock into RAM now, wherever this pointed long ago. */
    {0x11, 0x11, MSR_LEFT_OUT, "KVM wall clock", NULL},
    {0x4b564d00, 0x4b564d00, MSR_LEFT_OUT, "KVM wall clock", NULL},
    {0x4b564d07, 0x4b564d07, MSR_LEFT_OUT, "KVM page fault acknowledge", NULL},
    {0x49, 0x49, MSR_LEFT_OUT, "prediction command", NULL},
    {0x10b, 0x10b, MSR_LEFT_OUT, "flush command", NULL},
    {0x390, 0x390, MSR_LEFT_OUT, "event counter overflow control", NULL},
    {0xc0000302, 0xc0000303, MSR_LEFT_OUT, "event counter status command", NULL},
    /* Hyper-V's interfaces are not offered to guests. */
    {0x40000000, 0x400001ff, MSR_LEFT_OUT, "Hyper-V", NULL},
};
/* clang-format on */

/* Looks from here on: who goes through indexes in the table's order goes through it only once. */
static const MsrRange *msr_find_from(const MsrRange *range, uint32_t index)
{
    for (; range < msr_table + G_N_ELEMENTS(msr_table); range++) {
        if (index >= range->first && index <= range->last) {
            return range;
        }
    }
    return NULL;
}

static const MsrRange *msr_find(uint32_t index)
{
    return msr_find_from(msr_table, index);
}

static MsrKind msr_kind(uint32_t index)
{
    const MsrRange *range = msr_find(index);

    return range ? range->kind : MSR_LEFT_OUT;
}

static const char *msr_name(uint32_t index)
{
    const MsrRange *range = msr_find(index);

    return range ? range->name : "unknown";
}

bool msr_check_order(const uint32_t *indexes, uint32_t count, GError **error)
{
    const MsrRange *last = msr_table;

    for (uint32_t i = 0; i < count; i++) {
        uint32_t index = indexes[i];
        const MsrRange *range = msr_find_from(last, index);

        if (!range || range->kind == MSR_LEFT_OUT ||
            (i > 0 && range == last && index <= indexes[i - 1])) {
            return fail(error, VMM_ERROR_WIRE,
                        "msr_index[%" PRIu32 "]: 0x%" PRIx32 " (%s) is out of order, sent twice or "
                        "not one that a template carries",
                        i, index, msr_name(index));
        }
        last = range;
    }
    return true;
}

/* --- talking to KVM --- */

typedef struct MsrBatch {
    uint32_t count;
    struct kvm_msr_entry entries[X86_MAX_MSRS];
} MsrBatch;

/* Answers how many of them KVM has done, or -errno. */
static int batch_ioctl(const Vcpu *vcpu, unsigned long request, struct kvm_msr_entry *entries,
                       uint32_t count)
{
    _Alignas(struct kvm_msrs)
        uint8_t buffer[sizeof(struct kvm_msrs) + MAX_PER_CALL * sizeof(*entries)];
    struct kvm_msrs *msrs = (struct kvm_msrs *)(void *)buffer;
    uint32_t n = MIN(count, MAX_PER_CALL);

    *msrs = (struct kvm_msrs){.nmsrs = n};
    memcpy(msrs->entries, entries, n * sizeof(*entries));

    int done = kvm_ioctl(vcpu->fd, request, msrs);

    if (done > 0 && request == KVM_GET_MSRS) {
        memcpy(entries, msrs->entries, (size_t)done * sizeof(*entries));
    }
    return done;
}

bool msr_get(const Vcpu *vcpu, uint32_t index, uint64_t *ret_value, GError **error)
{
    struct kvm_msr_entry entry = {.index = index};
    int done = batch_ioctl(vcpu, KVM_GET_MSRS, &entry, 1);

    if (done != 1) {
        return fail_errno(error, done < 0 ? -done : EINVAL, "KVM_GET_MSRS 0x%" PRIx32 " (%s)",
                          index, msr_name(index));
    }
    *ret_value = entry.data;
    return true;
}

bool msr_set(const Vcpu *vcpu, uint32_t index, uint64_t value, GError **error)
{
    struct kvm_msr_entry entry = {.index = index, .data = value};
    int done = batch_ioctl(vcpu, KVM_SET_MSRS, &entry, 1);

    return done == 1 || fail_errno(error, done < 0 ? -done : EINVAL,
                                   "KVM_SET_MSRS 0x%" PRIx32 " (%s) to 0x%" PRIx64, index,
                                   msr_name(index), value);
}

/* --- save --- */

static bool has_virtualization(const VcpuState *state)
{
    return vcpu_state_has_feature(state, "vmx") || vcpu_state_has_feature(state, "svm");
}

static void add_index(MsrBatch *batch, uint32_t index)
{
    if (batch->count < X86_MAX_MSRS) {
        batch->entries[batch->count++] = (struct kvm_msr_entry){.index = index};
    }
}

static int by_index(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

/* What KVM lists, by index. */
static struct kvm_msr_list *get_list(const Vcpu *vcpu, GError **error)
{
    g_autofree struct kvm_msr_list *list =
        g_malloc0(sizeof(*list) + X86_MAX_MSRS * sizeof(list->indices[0]));

    list->nmsrs = X86_MAX_MSRS;

    int result = kvm_ioctl(kvm_of(vcpu->hypervisor)->fd, KVM_GET_MSR_INDEX_LIST, list);

    if (result < 0) {
        return fail_errno_null(error, -result, "KVM_GET_MSR_INDEX_LIST");
    }
    qsort(list->indices, list->nmsrs, sizeof(list->indices[0]), by_index);
    return g_steal_pointer(&list);
}

static bool is_implied(MsrKind kind)
{
    return kind == MSR_IMPLIED || kind == MSR_IMPLIED_ZERO;
}

static void add_range(const MsrRange *range, const VcpuState *state,
                      const struct kvm_msr_list *list, MsrBatch *batch)
{
    if (range->kind == MSR_LEFT_OUT ||
        (range->kind == MSR_VIRTUALIZATION && !has_virtualization(state)) ||
        (is_implied(range->kind) && !vcpu_state_has_feature(state, range->feature))) {
        return;
    }
    if (is_implied(range->kind)) {
        for (uint32_t index = range->first; index <= range->last; index++) {
            add_index(batch, index);
        }
        return;
    }
    for (uint32_t i = 0; i < list->nmsrs; i++) {
        if (list->indices[i] >= range->first && list->indices[i] <= range->last) {
            add_index(batch, list->indices[i]);
        }
    }
}

/* In the order of the table, and behind that what KVM lists and the table does not know. */
static bool make_batch(const Vcpu *vcpu, const VcpuState *state, MsrBatch *batch, GError **error)
{
    g_autofree struct kvm_msr_list *list = get_list(vcpu, error);

    if (!list) {
        return false;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(msr_table); i++) {
        add_range(&msr_table[i], state, list, batch);
    }
    for (uint32_t i = 0; i < list->nmsrs; i++) {
        if (!msr_find(list->indices[i])) {
            add_index(batch, list->indices[i]);
        }
    }
    return true;
}

/* Not every MTRR and not every bank that CPUID could mean is there. */
static bool may_be_unreadable(uint32_t index)
{
    const MsrRange *range = msr_find(index);

    return !range || is_implied(range->kind) || range->kind == MSR_OPTIONAL;
}

/* Reads them all, and drops those that cannot be read and need not be. */
static bool read_batch(const Vcpu *vcpu, MsrBatch *batch, GError **error)
{
    uint32_t at = 0;

    while (at < batch->count) {
        int done = batch_ioctl(vcpu, KVM_GET_MSRS, &batch->entries[at], batch->count - at);

        if (done < 0) {
            return fail_errno(error, -done, "KVM_GET_MSRS");
        }
        at += (uint32_t)done;
        if (at == batch->count || done == MAX_PER_CALL) {
            continue;
        }

        uint32_t index = batch->entries[at].index;

        if (!may_be_unreadable(index)) {
            return fail(error, VMM_ERROR_HOST,
                        "MSR 0x%" PRIx32 " (%s): KVM lists it and does not tell its value", index,
                        msr_name(index));
        }
        batch->count--;
        memmove(&batch->entries[at], &batch->entries[at + 1],
                (batch->count - at) * sizeof(batch->entries[0]));
    }
    return true;
}

/* An MSR that a newer KVM has brought is no loss while it is 0, as at power-on. */
static bool check_unknown(const MsrBatch *batch, GError **error)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct kvm_msr_entry *entry = &batch->entries[i];

        if (entry->data != 0 && !msr_find(entry->index)) {
            return fail(error, VMM_ERROR_STATE,
                        "MSR 0x%" PRIx32 " is 0x%llx: this version does not know it and would "
                        "lose it",
                        entry->index, entry->data);
        }
    }
    return true;
}

static void keep_batch(const MsrBatch *batch, VcpuState *state)
{
    uint32_t kept = 0;

    g_free(state->msr_index);
    g_free(state->msr_value);
    state->msr_index = g_new(uint32_t, batch->count);
    state->msr_value = g_new(uint64_t, batch->count);
    for (uint32_t i = 0; i < batch->count; i++) {
        if (msr_find(batch->entries[i].index)) {
            state->msr_index[kept] = batch->entries[i].index;
            state->msr_value[kept++] = batch->entries[i].data;
        }
    }
    state->num_msr_indexes = state->num_msr_values = kept;
}

bool msr_save(const Vcpu *vcpu, VcpuState *state, GError **error)
{
    g_autofree MsrBatch *batch = g_new0(MsrBatch, 1);

    if (!make_batch(vcpu, state, batch, error) || !read_batch(vcpu, batch, error) ||
        !check_unknown(batch, error)) {
        return false;
    }
    keep_batch(batch, state);
    return true;
}

/* --- load --- */

/* KVM stops at one that it refuses, and says how far it came. */
static bool set_entries(const Vcpu *vcpu, struct kvm_msr_entry *entries, uint32_t count,
                        GError **error)
{
    uint32_t at = 0;

    while (at < count) {
        int done = batch_ioctl(vcpu, KVM_SET_MSRS, &entries[at], count - at);

        if (done < 0) {
            return fail_errno(error, -done, "KVM_SET_MSRS");
        }
        at += (uint32_t)done;
        if (at == count) {
            break;
        }
        if (msr_kind(entries[at].index) != MSR_OPTIONAL) {
            return fail(error, VMM_ERROR_HOST, "MSR 0x%x (%s): KVM refuses 0x%llx",
                        entries[at].index, msr_name(entries[at].index), entries[at].data);
        }
        at++;
    }
    return true;
}

/*
 * Sets those from at to end.  A fresh vCPU is spared the many that are 0 in it anyway; each costs
 * 60 ns, and there are some 150.
 */
static bool set_range(const Vcpu *vcpu, const VcpuState *state, uint32_t at, uint32_t end,
                      GError **error)
{
    struct kvm_msr_entry entries[MAX_PER_CALL];
    const MsrRange *range = msr_table;
    uint32_t n = 0;

    for (; at < end; at++) {
        uint32_t index = state->msr_index[at];
        uint64_t value = state->msr_value[at];

        range = msr_find_from(range, index);
        g_assert(range); /* the order was checked */
        if (!vcpu->has_run && value == 0 && range->kind == MSR_IMPLIED_ZERO) {
            continue;
        }
        entries[n++] = (struct kvm_msr_entry){.index = index, .data = value};
        if (n == MAX_PER_CALL) {
            if (!set_entries(vcpu, entries, n, error)) {
                return false;
            }
            n = 0;
        }
    }
    return set_entries(vcpu, entries, n, error);
}

bool msr_load(const Vcpu *vcpu, const VcpuState *state, GError **error)
{
    return set_range(vcpu, state, 0, state->num_msr_indexes, error);
}

bool msr_load_virtualization(const Vcpu *vcpu, const VcpuState *state, GError **error)
{
    uint32_t end = 0;

    while (end < state->num_msr_indexes &&
           (state->msr_index[end] == MSR_FEATURE_CONTROL ||
            msr_kind(state->msr_index[end]) == MSR_VIRTUALIZATION)) {
        end++;
    }
    return set_range(vcpu, state, 0, end, error);
}

uint64_t msr_value(const VcpuState *state, uint32_t index)
{
    for (uint32_t i = 0; i < state->num_msr_indexes; i++) {
        if (state->msr_index[i] == index) {
            return state->msr_value[i];
        }
    }
    return 0;
}

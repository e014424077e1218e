/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a vCPU from KVM.  The order is part of the result:
 *
 *     MP state   first, because asking for it lets KVM act on a pending INIT or start-up message,
 *                which changes everything else
 *     CPUID      before MSRs, to know which there are
 *     MSRs       before the LAPIC: KVM clears a TSC deadline that has passed when it makes the
 *                interrupt pending in the LAPIC, so that in this order one of the two has it
 *     events     last, because reading other parts can change what is pending
 */
#include "hypervisor/kvm.h"
#include "hypervisor/x86/msr.h"
#include "hypervisor/x86/vcpu_vmstate.h"
#include "util/error.h"

#include <string.h>

#define LEAF_WORDS ((size_t)X86_CPUID_WORDS)

_Static_assert(sizeof(X86Regs) == sizeof(struct kvm_regs), "X86Regs is struct kvm_regs");
_Static_assert(offsetof(X86Regs, rflags) == offsetof(struct kvm_regs, rflags), "in its order");
_Static_assert(sizeof(((struct kvm_lapic_state *)0)->regs) == X86_LAPIC_BYTES, "the LAPIC's page");
_Static_assert(offsetof(struct kvm_sregs, interrupt_bitmap) == offsetof(struct kvm_sregs2, flags),
               "the old form begins like the new");

uint32_t vcpu_xsave_bytes(Hypervisor *hypervisor)
{
    int bytes = kvm_ioctl_value(kvm_of(hypervisor)->vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_XSAVE2);

    return (uint32_t)CLAMP(bytes, X86_MIN_XSAVE_BYTES, X86_MAX_XSAVE_BYTES);
}

static bool save_mp_state(const Vcpu *vcpu, VcpuState *state, GError **error)
{
    struct kvm_mp_state mp;

    if (!vcpu_ioctl(vcpu, KVM_GET_MP_STATE, &mp, "KVM_GET_MP_STATE", error)) {
        return false;
    }
    state->mp_state = mp.mp_state;
    return true;
}

/* As KVM has it, not as the model would make it again: KVM changes bits of it as the guest runs. */
static bool save_cpuid(const Vcpu *vcpu, VcpuState *state, GError **error)
{
    g_autofree struct kvm_cpuid2 *table =
        g_malloc0(sizeof(*table) + X86_MAX_CPUID * sizeof(table->entries[0]));

    table->nent = X86_MAX_CPUID;
    if (!vcpu_ioctl(vcpu, KVM_GET_CPUID2, table, "KVM_GET_CPUID2", error)) {
        return false;
    }
    g_free(state->cpuid);
    state->num_cpuid = table->nent * X86_CPUID_WORDS;
    state->cpuid = g_new(uint32_t, state->num_cpuid);
    for (size_t i = 0; i < table->nent; i++) {
        const struct kvm_cpuid_entry2 *e = &table->entries[i];
        const uint32_t words[X86_CPUID_WORDS] = {e->function, e->index, e->flags, e->eax,
                                                 e->ebx,      e->ecx,   e->edx};

        memcpy(&state->cpuid[i * LEAF_WORDS], words, sizeof(words));
    }
    state->cpuid_proof = vcpu_cpuid_proof(vcpu, state);
    return true;
}

static bool save_regs(const Vcpu *vcpu, VcpuState *state, GError **error)
{
    return vcpu_ioctl(vcpu, KVM_GET_REGS, &state->regs, "KVM_GET_REGS", error);
}

X86Segment x86_segment_of(const struct kvm_segment *from)
{
    return (X86Segment){
        .base = from->base,
        .limit = from->limit,
        .selector = from->selector,
        .rights = (uint32_t)from->type | (uint32_t)from->s << 4 | (uint32_t)from->dpl << 5 |
                  (uint32_t)from->present << 7 | (uint32_t)from->avl << 12 |
                  (uint32_t)from->l << 13 | (uint32_t)from->db << 14 | (uint32_t)from->g << 15 |
                  (uint32_t)from->unusable << 16,
    };
}

/* The old form has the interrupt that is on its way in besides; the events have it, too. */
static bool get_sregs(const Vcpu *vcpu, struct kvm_sregs2 *sregs, GError **error)
{
    struct kvm_sregs old;

    if (kvm_ioctl(vcpu->fd, KVM_GET_SREGS2, sregs) >= 0) {
        return true;
    }
    if (!vcpu_ioctl(vcpu, KVM_GET_SREGS, &old, "KVM_GET_SREGS", error)) {
        return false;
    }
    *sregs = (struct kvm_sregs2){0};
    memcpy(sregs, &old, offsetof(struct kvm_sregs, interrupt_bitmap));
    return true;
}

static bool save_xcr0(const Vcpu *vcpu, uint64_t *ret_xcr0, GError **error)
{
    struct kvm_xcrs xcrs = {0};

    if (!vcpu_ioctl(vcpu, KVM_GET_XCRS, &xcrs, "KVM_GET_XCRS", error)) {
        return false;
    }
    if (xcrs.nr_xcrs != 1 || xcrs.xcrs[0].xcr != 0) {
        return fail(error, VMM_ERROR_HOST, "KVM_GET_XCRS: %u registers, expected XCR0 alone",
                    xcrs.nr_xcrs);
    }
    *ret_xcr0 = xcrs.xcrs[0].value;
    return true;
}

static bool save_control(const Vcpu *vcpu, VcpuState *state, GError **error)
{
    struct kvm_sregs2 s;
    X86Control *c = &state->control;

    if (!get_sregs(vcpu, &s, error)) {
        return false;
    }
    *c = (X86Control){
        .cs = x86_segment_of(&s.cs),
        .ds = x86_segment_of(&s.ds),
        .es = x86_segment_of(&s.es),
        .fs = x86_segment_of(&s.fs),
        .gs = x86_segment_of(&s.gs),
        .ss = x86_segment_of(&s.ss),
        .tr = x86_segment_of(&s.tr),
        .ldt = x86_segment_of(&s.ldt),
        .gdt_base = s.gdt.base,
        .gdt_limit = s.gdt.limit,
        .idt_base = s.idt.base,
        .idt_limit = s.idt.limit,
        .cr0 = s.cr0,
        .cr2 = s.cr2,
        .cr3 = s.cr3,
        .cr4 = s.cr4,
        .cr8 = s.cr8,
        .efer = s.efer,
        .apic_base = s.apic_base,
        .has_pdptrs = (s.flags & KVM_SREGS2_FLAGS_PDPTRS_VALID) != 0,
    };
    memcpy(c->pdptrs, s.pdptrs, c->has_pdptrs ? sizeof(c->pdptrs) : 0);
    return save_xcr0(vcpu, &c->xcr0, error);
}

static bool save_xsave(const Vcpu *vcpu, VcpuState *state, GError **error)
{
    bool has_xsave2 =
        kvm_ioctl_value(kvm_of(vcpu->hypervisor)->fd, KVM_CHECK_EXTENSION, KVM_CAP_XSAVE2) > 0;

    g_free(state->xsave);
    state->xsave_bytes = vcpu_xsave_bytes(vcpu->hypervisor);
    state->xsave = g_malloc0(state->xsave_bytes);
    return has_xsave2 ? vcpu_ioctl(vcpu, KVM_GET_XSAVE2, state->xsave, "KVM_GET_XSAVE2", error)
                      : vcpu_ioctl(vcpu, KVM_GET_XSAVE, state->xsave, "KVM_GET_XSAVE", error);
}

static bool save_debug(const Vcpu *vcpu, VcpuState *state, GError **error)
{
    struct kvm_debugregs debug = {0};

    if (!vcpu_ioctl(vcpu, KVM_GET_DEBUGREGS, &debug, "KVM_GET_DEBUGREGS", error)) {
        return false;
    }
    state->debug.dr6 = debug.dr6;
    state->debug.dr7 = debug.dr7;
    memcpy(state->debug.db, debug.db, sizeof(state->debug.db));
    return true;
}

static bool save_nested(const Vcpu *vcpu, VcpuState *state, GError **error)
{
    int max = 0;

    g_free(state->nested);
    state->nested = NULL;
    state->nested_bytes = 0;
    if (vcpu_state_has_feature(state, "vmx") || vcpu_state_has_feature(state, "svm")) {
        max = kvm_ioctl_value(kvm_of(vcpu->hypervisor)->fd, KVM_CHECK_EXTENSION,
                              KVM_CAP_NESTED_STATE);
        if (max < (int)sizeof(struct kvm_nested_state) || max > X86_MAX_NESTED) {
            return fail(error, VMM_ERROR_HOST,
                        "this host's KVM cannot save a processor with nested virtualization "
                        "(KVM_CAP_NESTED_STATE is %d)",
                        max);
        }
    }
    if (max == 0) {
        return true;
    }

    g_autofree struct kvm_nested_state *nested = g_malloc0((size_t)max);

    nested->size = (uint32_t)max;
    if (!vcpu_ioctl(vcpu, KVM_GET_NESTED_STATE, nested, "KVM_GET_NESTED_STATE", error)) {
        return false;
    }
    state->nested_bytes = nested->size;
    state->nested = g_memdup2(nested, nested->size);
    return true;
}

static bool save_lapic(const Vcpu *vcpu, VcpuState *state, GError **error)
{
    return vcpu_ioctl(vcpu, KVM_GET_LAPIC, state->lapic, "KVM_GET_LAPIC", error);
}

static bool save_events(const Vcpu *vcpu, VcpuState *state, GError **error)
{
    memset(&state->events, 0, sizeof(state->events));
    if (!vcpu_ioctl(vcpu, KVM_GET_VCPU_EVENTS, &state->events, "KVM_GET_VCPU_EVENTS", error)) {
        return false;
    }
    state->exception_payload = state->events.exception_payload;
    return true;
}

bool vcpu_arch_save(Vcpu *vcpu, VcpuState *state, GError **error)
{
    if (vcpu->fd < 0) {
        state->present = false;
        return true;
    }
    state->present = true;
    return save_mp_state(vcpu, state, error) && save_cpuid(vcpu, state, error) &&
           save_regs(vcpu, state, error) && save_control(vcpu, state, error) &&
           save_xsave(vcpu, state, error) && save_debug(vcpu, state, error) &&
           vcpu_save_tsc(vcpu, &state->tsc, error) && save_nested(vcpu, state, error) &&
           msr_save(vcpu, state, error) && save_lapic(vcpu, state, error) &&
           save_events(vcpu, state, error);
}

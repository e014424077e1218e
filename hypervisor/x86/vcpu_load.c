/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gives KVM a saved vCPU.  What the order is for:
 *
 *     CPUID      first: it says which registers and bits there are
 *     MP state   before events, which say more exactly what is pending
 *     control    before the LAPIC, which lies where the APIC base says
 *     registers  before events, because setting them drops a pending exception
 *     TSC        before the MSRs, which have the deadline that is compared with it
 *     LAPIC      before the MSRs, because a deadline counts only in the timer's deadline mode
 *     nested     after the control registers, and before the MSRs
 *     MSRs       the deadline last (msr.c); one that has passed meanwhile fires at once
 *     events     last
 *
 * No ioctl is free (some 5 us where KVM runs in a VM itself), so a vCPU that has never run is not
 * told what it holds already since it was made.
 */
#include "hypervisor/kvm.h"
#include "hypervisor/x86/cpu_model.h"
#include "hypervisor/x86/msr.h"
#include "hypervisor/x86/vcpu_vmstate.h"
#include "util/error.h"

#include <string.h>

#define DR6_POWER_ON   UINT64_C(0xffff0ff0)
#define DR7_POWER_ON   UINT64_C(0x400)
#define XCR0_POWER_ON  UINT64_C(1)
#define SYSTEM_TIME_ON 1

static bool load_mp_state(const Vcpu *vcpu, const VcpuState *state, GError **error)
{
    struct kvm_mp_state mp = {.mp_state = state->mp_state};
    uint32_t fresh = vcpu->index == 0 ? KVM_MP_STATE_RUNNABLE : KVM_MP_STATE_UNINITIALIZED;

    if (!vcpu->has_run && state->mp_state == fresh) {
        return true;
    }
    return vcpu_ioctl(vcpu, KVM_SET_MP_STATE, &mp, "KVM_SET_MP_STATE", error);
}

struct kvm_segment x86_segment_to_kvm(const X86Segment *from)
{
    return (struct kvm_segment){
        .base = from->base,
        .limit = from->limit,
        .selector = from->selector,
        .type = from->rights & 0xf,
        .s = from->rights >> 4 & 1,
        .dpl = from->rights >> 5 & 3,
        .present = from->rights >> 7 & 1,
        .avl = from->rights >> 12 & 1,
        .l = from->rights >> 13 & 1,
        .db = from->rights >> 14 & 1,
        .g = from->rights >> 15 & 1,
        .unusable = from->rights >> 16 & 1,
    };
}

static bool set_sregs(const Vcpu *vcpu, struct kvm_sregs2 *sregs, GError **error)
{
    struct kvm_sregs old = {0};
    int has = kvm_ioctl_value(kvm_of(vcpu->hypervisor)->fd, KVM_CHECK_EXTENSION, KVM_CAP_SREGS2);

    if (has > 0) {
        return vcpu_ioctl(vcpu, KVM_SET_SREGS2, sregs, "KVM_SET_SREGS2", error);
    }
    memcpy(&old, sregs, offsetof(struct kvm_sregs, interrupt_bitmap));
    return vcpu_ioctl(vcpu, KVM_SET_SREGS, &old, "KVM_SET_SREGS", error);
}

static bool load_control(const Vcpu *vcpu, const VcpuState *state, GError **error)
{
    const X86Control *c = &state->control;
    struct kvm_sregs2 s = {
        .cs = x86_segment_to_kvm(&c->cs),
        .ds = x86_segment_to_kvm(&c->ds),
        .es = x86_segment_to_kvm(&c->es),
        .fs = x86_segment_to_kvm(&c->fs),
        .gs = x86_segment_to_kvm(&c->gs),
        .ss = x86_segment_to_kvm(&c->ss),
        .tr = x86_segment_to_kvm(&c->tr),
        .ldt = x86_segment_to_kvm(&c->ldt),
        .gdt = {.base = c->gdt_base, .limit = c->gdt_limit},
        .idt = {.base = c->idt_base, .limit = c->idt_limit},
        .cr0 = c->cr0,
        .cr2 = c->cr2,
        .cr3 = c->cr3,
        .cr4 = c->cr4,
        .cr8 = c->cr8,
        .efer = c->efer,
        .apic_base = c->apic_base,
        .flags = c->has_pdptrs ? KVM_SREGS2_FLAGS_PDPTRS_VALID : 0,
    };

    memcpy(s.pdptrs, c->pdptrs, sizeof(s.pdptrs));
    return set_sregs(vcpu, &s, error);
}

static bool load_regs(const Vcpu *vcpu, const VcpuState *state, GError **error)
{
    X86Regs regs = state->regs;

    return vcpu_ioctl(vcpu, KVM_SET_REGS, &regs, "KVM_SET_REGS", error);
}

/* Saved where the buffer is smaller: what it lacks is as at power-on, and 0. */
static bool load_xsave(const Vcpu *vcpu, const VcpuState *state, GError **error)
{
    uint32_t bytes = vcpu_xsave_bytes(vcpu->hypervisor);
    g_autofree uint8_t *grown = NULL;

    if (state->xsave_bytes < bytes) {
        grown = g_malloc0(bytes);
        memcpy(grown, state->xsave, state->xsave_bytes);
    }
    return vcpu_ioctl(vcpu, KVM_SET_XSAVE, grown ? grown : state->xsave, "KVM_SET_XSAVE", error);
}

static bool load_xcr0(const Vcpu *vcpu, const VcpuState *state, GError **error)
{
    struct kvm_xcrs xcrs = {.nr_xcrs = 1, .xcrs[0].value = state->control.xcr0};

    if (!vcpu->has_run && state->control.xcr0 == XCR0_POWER_ON) {
        return true;
    }
    return vcpu_ioctl(vcpu, KVM_SET_XCRS, &xcrs, "KVM_SET_XCRS", error);
}

static bool load_debug(const Vcpu *vcpu, const VcpuState *state, GError **error)
{
    static const X86Debug power_on = {.dr6 = DR6_POWER_ON, .dr7 = DR7_POWER_ON};
    struct kvm_debugregs debug = {.dr6 = state->debug.dr6, .dr7 = state->debug.dr7};

    if (!vcpu->has_run && memcmp(&state->debug, &power_on, sizeof(power_on)) == 0) {
        return true;
    }
    memcpy(debug.db, state->debug.db, sizeof(debug.db));
    return vcpu_ioctl(vcpu, KVM_SET_DEBUGREGS, &debug, "KVM_SET_DEBUGREGS", error);
}

/* --- interrupts and events --- */

static bool load_lapic(const Vcpu *vcpu, const VcpuState *state, GError **error)
{
    struct kvm_lapic_state lapic;

    memcpy(lapic.regs, state->lapic, sizeof(lapic.regs));
    return vcpu_ioctl(vcpu, KVM_SET_LAPIC, &lapic, "KVM_SET_LAPIC", error);
}

/*
 * Where KVM does not move TSCs (vcpu_tsc.c) the guest's may have gone back; its timer is then put
 * back as far, or it would not end for as long as the host has been up.
 */
static bool load_late_deadline(const Vcpu *vcpu, const VcpuState *state, int64_t moved,
                               GError **error)
{
    uint64_t deadline = msr_value(state, MSR_TSC_DEADLINE);

    return deadline == 0 || moved >= 0 ||
           msr_set(vcpu, MSR_TSC_DEADLINE, MAX(deadline + (uint64_t)moved, 1), error);
}

static bool load_nested(const Vcpu *vcpu, const VcpuState *state, GError **error)
{
    if (state->nested_bytes == 0) {
        return true;
    }
    return msr_load_virtualization(vcpu, state, error) &&
           vcpu_ioctl(vcpu, KVM_SET_NESTED_STATE, state->nested, "KVM_SET_NESTED_STATE", error);
}

/* Nothing on its way to the guest, and nothing in its way. */
static bool is_quiet(const struct kvm_vcpu_events *events)
{
    struct kvm_vcpu_events quiet = {.flags = events->flags};

    quiet.exception.nr = events->exception.nr;
    quiet.exception.error_code = events->exception.error_code;
    quiet.exception.has_error_code = events->exception.has_error_code;
    quiet.interrupt.nr = events->interrupt.nr;
    quiet.interrupt.soft = events->interrupt.soft;
    quiet.exception_payload = events->exception_payload;
    return memcmp(&quiet, events, sizeof(quiet)) == 0;
}

static bool load_events(const Vcpu *vcpu, const VcpuState *state, GError **error)
{
    struct kvm_vcpu_events events = state->events;

    if (!vcpu->has_run && is_quiet(&events)) {
        return true;
    }
    events.exception_payload = state->exception_payload;
    return vcpu_ioctl(vcpu, KVM_SET_VCPU_EVENTS, &events, "KVM_SET_VCPU_EVENTS", error);
}

/* Tells a guest with a paravirtual clock that it stood still, so that its watchdogs keep quiet. */
static bool tell_pause(const Vcpu *vcpu, const VcpuState *state, GError **error)
{
    if (!((msr_value(state, MSR_KVM_SYSTEM_TIME) | msr_value(state, MSR_KVM_SYSTEM_TIME1)) &
          SYSTEM_TIME_ON)) {
        return true;
    }
    return vcpu_ioctl(vcpu, KVM_KVMCLOCK_CTRL, NULL, "KVM_KVMCLOCK_CTRL", error);
}

bool vcpu_arch_load(Vcpu *vcpu, CpuModel *model, const VcpuState *state, GError **error)
{
    if (vcpu->fd < 0) {
        return true;
    }
    if (!state->present) {
        return fail(error, VMM_ERROR_STATE, "it was saved without a processor");
    }

    int64_t moved = 0;

    return vcpu_load_cpuid(vcpu, model, state, error) && load_mp_state(vcpu, state, error) &&
           load_control(vcpu, state, error) && load_regs(vcpu, state, error) &&
           load_xsave(vcpu, state, error) && load_xcr0(vcpu, state, error) &&
           load_debug(vcpu, state, error) && vcpu_load_tsc(vcpu, &state->tsc, &moved, error) &&
           load_lapic(vcpu, state, error) && load_nested(vcpu, state, error) &&
           msr_load(vcpu, state, error) && load_late_deadline(vcpu, state, moved, error) &&
           load_events(vcpu, state, error) && tell_pause(vcpu, state, error);
}

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
#include "util/loop.h"

#include <inttypes.h>
#include <string.h>

#define DR6_POWER_ON      UINT64_C(0xffff0ff0)
#define DR7_POWER_ON      UINT64_C(0x400)
#define XCR0_POWER_ON     UINT64_C(1)
#define SYSTEM_TIME_ON    1
#define TSC_TOLERANCE_PPM 250 /* what a guest's own clock discipline takes */
#define PPM               UINT64_C(1000000)
#define NS_PER_MS         UINT64_C(1000000)

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

/* --- time --- */

/* Known once any vCPU has been made (cpu_model.c). */
static uint32_t host_khz(Hypervisor *hypervisor)
{
    return atomic_load(&kvm_of(hypervisor)->tsc_khz);
}

/* Can the guest's TSC simply be the host's plus an offset? */
static bool khz_matches(uint32_t khz, uint32_t host)
{
    uint64_t difference = khz > host ? khz - host : host - khz;

    return difference * PPM <= (uint64_t)host * TSC_TOLERANCE_PPM;
}

void vcpu_compare_tsc(const VcpuState *state, Hypervisor *hypervisor, GString *differences)
{
    uint32_t host = host_khz(hypervisor);
    int scales = kvm_ioctl_value(kvm_of(hypervisor)->fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_CONTROL);

    if (!khz_matches(state->tsc.khz, host) && scales <= 0) {
        g_string_append_printf(differences,
                               "TSC: %" PRIu32 " kHz, here %" PRIu32
                               " kHz, and this host cannot scale it\n",
                               state->tsc.khz, host);
    }
}

static bool scale_tsc(const Vcpu *vcpu, uint32_t khz, GError **error)
{
    int result = kvm_ioctl_value(vcpu->fd, KVM_SET_TSC_KHZ, khz);

    return result >= 0 || fail(error, VMM_ERROR_HOST,
                               "the guest's TSC runs at %" PRIu32 " kHz, this host's at %" PRIu32
                               " kHz, and this host cannot scale it: %s",
                               khz, host_khz(vcpu->hypervisor), g_strerror(-result));
}

static uint64_t ns_to_cycles(uint64_t ns, uint32_t khz)
{
    return ns / NS_PER_MS * khz + ns % NS_PER_MS * khz / NS_PER_MS;
}

/*
 * Moves the TSC by as much as vm_state_load moved the guest's clock.  By offset where that is
 * possible: then TSCs that ran together run together.  Else by value: KVM takes values that are
 * written close together for one and the same instant, and gives all vCPUs one offset.
 */
static bool load_tsc(const Vcpu *vcpu, const VcpuState *state, GError **error)
{
    const KvmTimeShift *shift = &kvm_of(vcpu->hypervisor)->time_shift;
    const X86Tsc *tsc = &state->tsc;
    bool scaled = !khz_matches(tsc->khz, host_khz(vcpu->hypervisor));

    if (!shift->known) {
        return fail(error, VMM_ERROR_STATE, "the VM's clock must be loaded before its vCPUs");
    }
    if (scaled && !scale_tsc(vcpu, tsc->khz, error)) {
        return false;
    }

    uint64_t offset = tsc->offset + ns_to_cycles(shift->advance_ns, tsc->khz) -
                      (shift->host_tsc_loaded - shift->host_tsc_saved);
    struct kvm_device_attr attr = {
        .group = KVM_VCPU_TSC_CTRL,
        .attr = KVM_VCPU_TSC_OFFSET,
        .addr = (uintptr_t)&offset,
    };

    if (tsc->has_offset && !scaled && kvm_ioctl(vcpu->fd, KVM_SET_DEVICE_ATTR, &attr) >= 0) {
        return true;
    }

    uint64_t since = (uint64_t)(loop_now_ns() - shift->loaded_ns);

    return msr_set(vcpu, MSR_TSC, tsc->value + ns_to_cycles(shift->advance_ns + since, tsc->khz),
                   error);
}

/* --- interrupts and events --- */

static bool load_lapic(const Vcpu *vcpu, const VcpuState *state, GError **error)
{
    struct kvm_lapic_state lapic;

    memcpy(lapic.regs, state->lapic, sizeof(lapic.regs));
    return vcpu_ioctl(vcpu, KVM_SET_LAPIC, &lapic, "KVM_SET_LAPIC", error);
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
    return vcpu_load_cpuid(vcpu, model, state, error) && load_mp_state(vcpu, state, error) &&
           load_control(vcpu, state, error) && load_regs(vcpu, state, error) &&
           load_xsave(vcpu, state, error) && load_xcr0(vcpu, state, error) &&
           load_debug(vcpu, state, error) && load_tsc(vcpu, state, error) &&
           load_lapic(vcpu, state, error) && load_nested(vcpu, state, error) &&
           msr_load(vcpu, state, error) && load_events(vcpu, state, error) &&
           tell_pause(vcpu, state, error);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables of a saved x86 vCPU, and what may stand in them.  KVM checks every register that it
 * is given; checked here is what this house uses itself (lengths, counts, indexes), and what KVM
 * would take without a word.
 */
#include "hypervisor/x86/vcpu_vmstate.h"

#include "hypervisor/x86/msr.h"
#include "migration/vmstate.h"
#include "util/bytes.h"
#include "util/error.h"

#define LAST_MP_STATE       KVM_MP_STATE_SIPI_RECEIVED
#define LAST_EXCEPTION      31
#define VECTOR_NMI          2
#define XCR0_X87            1
#define SEGMENT_RIGHTS      UINT32_C(0x1f0ff) /* all that X86Segment.rights can have */

#define XSAVE_HEADER        512
#define XSAVE_COMPACTED     (XSAVE_HEADER + 8)
#define XSAVE_HEADER_END    (XSAVE_HEADER + 64)

#define NESTED_HEADER_BYTES 128

#define KNOWN_EVENT_FLAGS                                                                 \
    (KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SIPI_VECTOR |                  \
     KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_SMM | KVM_VCPUEVENT_VALID_PAYLOAD | \
     KVM_VCPUEVENT_VALID_TRIPLE_FAULT)

static const VmStateField regs_fields[] = {
    VMSTATE_FIELD_U64(X86Regs, rax, 1), VMSTATE_FIELD_U64(X86Regs, rbx, 1),
    VMSTATE_FIELD_U64(X86Regs, rcx, 1), VMSTATE_FIELD_U64(X86Regs, rdx, 1),
    VMSTATE_FIELD_U64(X86Regs, rsi, 1), VMSTATE_FIELD_U64(X86Regs, rdi, 1),
    VMSTATE_FIELD_U64(X86Regs, rsp, 1), VMSTATE_FIELD_U64(X86Regs, rbp, 1),
    VMSTATE_FIELD_U64(X86Regs, r8, 1),  VMSTATE_FIELD_U64(X86Regs, r9, 1),
    VMSTATE_FIELD_U64(X86Regs, r10, 1), VMSTATE_FIELD_U64(X86Regs, r11, 1),
    VMSTATE_FIELD_U64(X86Regs, r12, 1), VMSTATE_FIELD_U64(X86Regs, r13, 1),
    VMSTATE_FIELD_U64(X86Regs, r14, 1), VMSTATE_FIELD_U64(X86Regs, r15, 1),
    VMSTATE_FIELD_U64(X86Regs, rip, 1), VMSTATE_FIELD_U64(X86Regs, rflags, 1),
};

static const VmStateDesc regs_vmstate = {
    .name = "regs",
    .version = 1,
    .min_version = 1,
    .fields = regs_fields,
    .num_fields = G_N_ELEMENTS(regs_fields),
};

static bool check_segment(void *dev, uint32_t version, GError **error)
{
    const X86Segment *segment = dev;

    (void)version;
    return (segment->rights & ~SEGMENT_RIGHTS) == 0 ||
           fail(error, VMM_ERROR_WIRE, "rights: 0x%x has bits outside 0x%x", segment->rights,
                SEGMENT_RIGHTS);
}

static const VmStateField segment_fields[] = {
    VMSTATE_FIELD_U64(X86Segment, base, 1),
    VMSTATE_FIELD_U32(X86Segment, limit, 1),
    VMSTATE_FIELD_U32(X86Segment, rights, 1),
    VMSTATE_FIELD_U16(X86Segment, selector, 1),
};

static const VmStateDesc segment_vmstate = {
    .name = "segment",
    .version = 1,
    .min_version = 1,
    .fields = segment_fields,
    .num_fields = G_N_ELEMENTS(segment_fields),
    .post_load = check_segment,
};

static const VmStateField control_fields[] = {
    VMSTATE_FIELD_STRUCT(X86Control, cs, X86Segment, &segment_vmstate, 1),
    VMSTATE_FIELD_STRUCT(X86Control, ds, X86Segment, &segment_vmstate, 1),
    VMSTATE_FIELD_STRUCT(X86Control, es, X86Segment, &segment_vmstate, 1),
    VMSTATE_FIELD_STRUCT(X86Control, fs, X86Segment, &segment_vmstate, 1),
    VMSTATE_FIELD_STRUCT(X86Control, gs, X86Segment, &segment_vmstate, 1),
    VMSTATE_FIELD_STRUCT(X86Control, ss, X86Segment, &segment_vmstate, 1),
    VMSTATE_FIELD_STRUCT(X86Control, tr, X86Segment, &segment_vmstate, 1),
    VMSTATE_FIELD_STRUCT(X86Control, ldt, X86Segment, &segment_vmstate, 1),
    VMSTATE_FIELD_U64(X86Control, gdt_base, 1),
    VMSTATE_FIELD_U64(X86Control, idt_base, 1),
    VMSTATE_FIELD_U16(X86Control, gdt_limit, 1),
    VMSTATE_FIELD_U16(X86Control, idt_limit, 1),
    VMSTATE_FIELD_U64(X86Control, cr0, 1),
    VMSTATE_FIELD_U64(X86Control, cr2, 1),
    VMSTATE_FIELD_U64(X86Control, cr3, 1),
    VMSTATE_FIELD_U64(X86Control, cr4, 1),
    VMSTATE_FIELD_U64(X86Control, cr8, 1),
    VMSTATE_FIELD_U64(X86Control, xcr0, 1),
    VMSTATE_FIELD_U64(X86Control, efer, 1),
    VMSTATE_FIELD_U64(X86Control, apic_base, 1),
    VMSTATE_FIELD_BOOL(X86Control, has_pdptrs, 1),
    VMSTATE_FIELD_U64_ARRAY(X86Control, pdptrs, 1),
};

static const VmStateDesc control_vmstate = {
    .name = "control",
    .version = 1,
    .min_version = 1,
    .fields = control_fields,
    .num_fields = G_N_ELEMENTS(control_fields),
};

static const VmStateField debug_fields[] = {
    VMSTATE_FIELD_U64_ARRAY(X86Debug, db, 1),
    VMSTATE_FIELD_U64(X86Debug, dr6, 1),
    VMSTATE_FIELD_U64(X86Debug, dr7, 1),
};

static const VmStateDesc debug_vmstate = {
    .name = "debug",
    .version = 1,
    .min_version = 1,
    .fields = debug_fields,
    .num_fields = G_N_ELEMENTS(debug_fields),
};

static const VmStateField tsc_fields[] = {
    VMSTATE_FIELD_U32(X86Tsc, khz, 1),
    VMSTATE_FIELD_BOOL(X86Tsc, has_offset, 1),
    VMSTATE_FIELD_U64(X86Tsc, offset, 1),
    VMSTATE_FIELD_U64(X86Tsc, value, 1),
};

static const VmStateDesc tsc_vmstate = {
    .name = "tsc",
    .version = 1,
    .min_version = 1,
    .fields = tsc_fields,
    .num_fields = G_N_ELEMENTS(tsc_fields),
};

typedef struct kvm_vcpu_events Events;

static bool check_events(void *dev, uint32_t version, GError **error)
{
    const Events *events = dev;
    bool exception = events->exception.injected || events->exception.pending;

    (void)version;
    if (events->flags & ~(uint32_t)KNOWN_EVENT_FLAGS) {
        return fail(error, VMM_ERROR_WIRE, "flags: 0x%x has bits outside 0x%x", events->flags,
                    (unsigned)KNOWN_EVENT_FLAGS);
    }
    if (exception &&
        (events->exception.nr > LAST_EXCEPTION || events->exception.nr == VECTOR_NMI)) {
        return fail(error, VMM_ERROR_WIRE, "exception.nr: %u, expected 0..%d but not %d",
                    events->exception.nr, LAST_EXCEPTION, VECTOR_NMI);
    }
    return true;
}

static const VmStateField events_fields[] = {
    VMSTATE_FIELD_U32(Events, flags, 1),
    VMSTATE_FIELD_BOOL(Events, exception.injected, 1),
    VMSTATE_FIELD_BOOL(Events, exception.pending, 1),
    VMSTATE_FIELD_U8(Events, exception.nr, 1),
    VMSTATE_FIELD_BOOL(Events, exception.has_error_code, 1),
    VMSTATE_FIELD_U32(Events, exception.error_code, 1),
    VMSTATE_FIELD_BOOL(Events, exception_has_payload, 1),
    VMSTATE_FIELD_BOOL(Events, interrupt.injected, 1),
    VMSTATE_FIELD_U8(Events, interrupt.nr, 1),
    VMSTATE_FIELD_BOOL(Events, interrupt.soft, 1),
    VMSTATE_FIELD_U8(Events, interrupt.shadow, 1),
    VMSTATE_FIELD_BOOL(Events, nmi.injected, 1),
    VMSTATE_FIELD_U8(Events, nmi.pending, 1),
    VMSTATE_FIELD_BOOL(Events, nmi.masked, 1),
    VMSTATE_FIELD_U32(Events, sipi_vector, 1),
    VMSTATE_FIELD_BOOL(Events, smi.smm, 1),
    VMSTATE_FIELD_BOOL(Events, smi.pending, 1),
    VMSTATE_FIELD_BOOL(Events, smi.smm_inside_nmi, 1),
    VMSTATE_FIELD_BOOL(Events, smi.latched_init, 1),
    VMSTATE_FIELD_BOOL(Events, triple_fault.pending, 1),
};

static const VmStateDesc events_vmstate = {
    .name = "events",
    .version = 1,
    .min_version = 1,
    .fields = events_fields,
    .num_fields = G_N_ELEMENTS(events_fields),
    .post_load = check_events,
};

static bool needs_nested(const void *dev)
{
    const VcpuState *state = dev;

    return state->nested_bytes > 0;
}

static bool check_nested(void *dev, uint32_t version, GError **error)
{
    const VcpuState *state = dev;

    (void)version;
    if (state->nested_bytes < NESTED_HEADER_BYTES) {
        return fail(error, VMM_ERROR_WIRE, "nested: %u bytes, expected at least %d",
                    state->nested_bytes, NESTED_HEADER_BYTES);
    }

    uint32_t size = load_le32(state->nested + offsetof(struct kvm_nested_state, size));

    return size == state->nested_bytes ||
           fail(error, VMM_ERROR_WIRE, "nested: says that it has %u bytes and has %u", size,
                state->nested_bytes);
}

static const VmStateField nested_fields[] = {
    VMSTATE_FIELD_BUFFER(VcpuState, nested, nested_bytes, X86_MAX_NESTED, 1),
};

static const VmStateDesc nested_vmstate = {
    .name = "nested-virtualization",
    .version = 1,
    .min_version = 1,
    .fields = nested_fields,
    .num_fields = G_N_ELEMENTS(nested_fields),
    .needed = needs_nested,
    .post_load = check_nested,
};

/* What KVM reads of it is the standard form: compaction and what is reserved must be 0. */
static bool check_xsave(const VcpuState *state, GError **error)
{
    if (state->xsave_bytes < X86_MIN_XSAVE_BYTES) {
        return fail(error, VMM_ERROR_WIRE, "xsave: %u bytes, expected at least %d",
                    state->xsave_bytes, X86_MIN_XSAVE_BYTES);
    }
    for (size_t at = XSAVE_COMPACTED; at < XSAVE_HEADER_END; at++) {
        if (state->xsave[at] != 0) {
            return fail(error, VMM_ERROR_WIRE, "xsave: 0x%x in its header at byte %zu, expected 0",
                        state->xsave[at], at);
        }
    }
    return true;
}

static bool check_cpuid(const VcpuState *state, GError **error)
{
    return (state->num_cpuid > 0 && state->num_cpuid % X86_CPUID_WORDS == 0) ||
           fail(error, VMM_ERROR_WIRE, "cpuid: %u words, expected a multiple of %d",
                state->num_cpuid, X86_CPUID_WORDS);
}

static bool check_msrs(const VcpuState *state, GError **error)
{
    if (state->num_msr_indexes != state->num_msr_values) {
        return fail(error, VMM_ERROR_WIRE, "msr_value: %u values for %u indexes",
                    state->num_msr_values, state->num_msr_indexes);
    }
    return msr_check_order(state->msr_index, state->num_msr_indexes, error);
}

static bool check_vcpu(void *dev, uint32_t version, GError **error)
{
    const VcpuState *state = dev;

    (void)version;
    if (!state->present) {
        return true;
    }
    if (state->mp_state > LAST_MP_STATE) {
        return fail(error, VMM_ERROR_WIRE, "mp_state: %u, expected 0..%d", state->mp_state,
                    LAST_MP_STATE);
    }
    if (!(state->control.xcr0 & XCR0_X87)) {
        return fail(error, VMM_ERROR_WIRE, "control.xcr0: 0x%llx lacks bit 0",
                    (unsigned long long)state->control.xcr0);
    }
    if (state->tsc.khz == 0) {
        return fail(error, VMM_ERROR_WIRE, "tsc.khz: 0, expected a frequency");
    }
    return check_xsave(state, error) && check_cpuid(state, error) && check_msrs(state, error);
}

static const VmStateField vcpu_fields[] = {
    VMSTATE_FIELD_BOOL(VcpuState, present, 1),
    VMSTATE_FIELD_U32(VcpuState, mp_state, 1),
    VMSTATE_FIELD_STRUCT(VcpuState, regs, X86Regs, &regs_vmstate, 1),
    VMSTATE_FIELD_STRUCT(VcpuState, control, X86Control, &control_vmstate, 1),
    VMSTATE_FIELD_STRUCT(VcpuState, debug, X86Debug, &debug_vmstate, 1),
    VMSTATE_FIELD_STRUCT(VcpuState, tsc, X86Tsc, &tsc_vmstate, 1),
    VMSTATE_FIELD_STRUCT(VcpuState, events, Events, &events_vmstate, 1),
    VMSTATE_FIELD_U64(VcpuState, exception_payload, 1),
    VMSTATE_FIELD_BYTES(VcpuState, lapic, 1),
    VMSTATE_FIELD_BUFFER(VcpuState, xsave, xsave_bytes, X86_MAX_XSAVE_BYTES, 1),
    VMSTATE_FIELD_U32_BUFFER(VcpuState, msr_index, num_msr_indexes, X86_MAX_MSRS, 1),
    VMSTATE_FIELD_U64_BUFFER(VcpuState, msr_value, num_msr_values, X86_MAX_MSRS, 1),
    VMSTATE_FIELD_U32_BUFFER(VcpuState, cpuid, num_cpuid, X86_MAX_CPUID *X86_CPUID_WORDS, 1),
    VMSTATE_FIELD_U32(VcpuState, cpuid_proof, 2),
};

static const VmStateDesc *const vcpu_subsections[] = {&nested_vmstate};

const VmStateDesc vcpu_state_vmstate = {
    .name = "x86-vcpu",
    .version = 2,
    .min_version = 1,
    .fields = vcpu_fields,
    .num_fields = G_N_ELEMENTS(vcpu_fields),
    .subsections = vcpu_subsections,
    .num_subsections = G_N_ELEMENTS(vcpu_subsections),
    .post_load = check_vcpu,
};

VcpuState *vcpu_state_new(void)
{
    return g_new0(VcpuState, 1);
}

void vcpu_state_free(VcpuState *state)
{
    if (!state) {
        return;
    }
    g_free(state->xsave);
    g_free(state->msr_index);
    g_free(state->msr_value);
    g_free(state->cpuid);
    g_free(state->nested);
    g_free(state);
}

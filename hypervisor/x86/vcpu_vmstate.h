/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HYPERVISOR_X86_VCPU_VMSTATE_H
#define HYPERVISOR_X86_VCPU_VMSTATE_H

/*
 * What of an x86 vCPU survives a save, as plain data: vcpu_vmstate.c describes and checks it,
 * vcpu_save.c reads it from KVM, vcpu_load.c sets it, vcpu_compare.c asks whether this host can.
 *
 * Where a structure has the layout of one of KVM's it says so, and vcpu_save.c asserts it.
 */

#include "hypervisor/vcpu_arch.h"

#include <linux/kvm.h>

#define X86_MAX_MSRS        1024
#define X86_MAX_CPUID       256 /* entries */
#define X86_CPUID_WORDS     7   /* function, index, flags, eax, ebx, ecx, edx */
#define X86_MAX_XSAVE_BYTES 65536
#define X86_MIN_XSAVE_BYTES 4096
#define X86_MAX_NESTED      65536
#define X86_LAPIC_BYTES     1024
#define X86_DEBUG_REGISTERS 4
#define X86_PDPTRS          4

/* As struct kvm_regs. */
typedef struct X86Regs {
    uint64_t rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp;
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
    uint64_t rip, rflags;
} X86Regs;

/* rights has the bits of a descriptor's second word, shifted down by 8, and bit 16: unusable. */
typedef struct X86Segment {
    uint64_t base;
    uint32_t limit;
    uint32_t rights;
    uint16_t selector;
} X86Segment;

typedef struct X86Control {
    X86Segment cs, ds, es, fs, gs, ss, tr, ldt;
    uint64_t gdt_base, idt_base;
    uint16_t gdt_limit, idt_limit;
    uint64_t cr0, cr2, cr3, cr4, cr8;
    uint64_t xcr0, efer, apic_base;
    uint8_t has_pdptrs; /* 32-bit PAE: the processor's copy, which RAM need not have any more */
    uint64_t pdptrs[X86_PDPTRS];
} X86Control;

typedef struct X86Debug {
    uint64_t db[X86_DEBUG_REGISTERS];
    uint64_t dr6, dr7;
} X86Debug;

/*
 * The guest's TSC is the host's plus offset.  Where KVM does not tell the offset, or scales, only
 * the value counts.
 */
typedef struct X86Tsc {
    uint32_t khz;
    uint8_t has_offset;
    uint64_t offset;
    uint64_t value;
} X86Tsc;

struct VcpuState {
    uint8_t present; /* false: of a vCPU that is none (the fake hypervisor's) */
    uint32_t mp_state;
    X86Regs regs;
    X86Control control;
    X86Debug debug;
    X86Tsc tsc;
    struct kvm_vcpu_events events;
    uint64_t exception_payload; /* that of events has a type that tables do not take */
    uint8_t lapic[X86_LAPIC_BYTES];

    uint32_t xsave_bytes;
    uint8_t *xsave;
    /* In the order of the table in msr.c, which is the order to set them in. */
    uint32_t num_msr_indexes, num_msr_values;
    uint32_t *msr_index;
    uint64_t *msr_value;
    uint32_t num_cpuid; /* words */
    uint32_t *cpuid;
    uint32_t cpuid_proof;  /* what vcpu_cpuid_proof makes of them; 0: nothing is proved */
    uint32_t nested_bytes; /* 0: the guest's processor has no virtualization */
    uint8_t *nested;
};

/* A vCPU's ioctl; name says which, in the message. */
bool vcpu_ioctl(const Vcpu *vcpu, unsigned long request, void *argument, const char *name,
                GError **error);

/* Segments between KVM's form and ours. */
X86Segment x86_segment_of(const struct kvm_segment *from);
struct kvm_segment x86_segment_to_kvm(const X86Segment *from);

/* Did the saved guest see this feature?  name is one of cpu_features. */
bool vcpu_state_has_feature(const VcpuState *state, const char *name);

/* vCPU thread: gives the vCPU the saved table, if it differs from the one that it has. */
bool vcpu_load_cpuid(Vcpu *vcpu, CpuModel *model, const VcpuState *state, GError **error);

/*
 * Ties the CPUID table of state to the one that vcpu's model asked for.  A vCPU that was given the
 * same shows the same, so nobody has to look; 0 if it was given another one.
 */
uint32_t vcpu_cpuid_proof(const Vcpu *vcpu, const VcpuState *state);

/*
 * vCPU thread.  *ret_moved is set if KVM would not let the TSC go on from where it was: to how far
 * it has jumped.
 */
bool vcpu_save_tsc(const Vcpu *vcpu, X86Tsc *tsc, GError **error);
bool vcpu_load_tsc(const Vcpu *vcpu, const X86Tsc *tsc, int64_t *ret_moved, GError **error);

/* The size of the buffer of KVM_GET_XSAVE2 and KVM_SET_XSAVE on this host. */
uint32_t vcpu_xsave_bytes(Hypervisor *hypervisor);

#endif

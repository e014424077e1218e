/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The register state of an x86 vCPU: power-on, and in words.
 *
 * Boot without firmware starts the boot processor in the mode that the kernel's boot protocol
 * asks for; the others stay as after RESET and wait for INIT and SIPI.
 */
#include "hypervisor/kvm.h"
#include "hypervisor/vcpu_arch.h"
#include "hypervisor/x86/cpu_model.h"
#include "hypervisor/x86/msr.h"
#include "util/bytes.h"
#include "util/error.h"

#include <linux/kvm.h>

#define CR0_PE              (UINT64_C(1) << 0)
#define CR0_ET              (UINT64_C(1) << 4)
#define CR0_NW              (UINT64_C(1) << 29)
#define CR0_CD              (UINT64_C(1) << 30)
#define CR0_PG              (UINT64_C(1) << 31)
#define CR4_PAE             (UINT64_C(1) << 5)
#define EFER_LME            (UINT64_C(1) << 8)
#define EFER_LMA            (UINT64_C(1) << 10)
#define RFLAGS_FIXED        UINT64_C(2)

#define APIC_BASE_BSP       (UINT64_C(1) << 8)
#define APIC_BASE_ENABLE    (UINT64_C(1) << 11)
#define APIC_BASE           UINT64_C(0xfee00000)

#define MSR_MISC_ENABLE     0x1a0
#define MSR_PAT             0x277
#define MSR_MTRR_DEF_TYPE   0x2ff
#define MSR_KVM_ASYNC_PF    0x4b564d02
#define MSR_KVM_STEAL_TIME  0x4b564d03
#define MSR_KVM_PV_EOI      0x4b564d04
#define MISC_ENABLE_STRINGS 1
#define MTRR_ENABLED        (UINT64_C(1) << 11)
#define MTRR_WRITE_BACK     6
#define PAT_POWER_ON        UINT64_C(0x0007040600070406)

/* Offsets into the local APIC's register page, and what goes there. */
#define LAPIC_ID            0x20
#define LAPIC_VERSION       0x30
#define LAPIC_DFR           0xe0
#define LAPIC_SVR           0xf0
#define LAPIC_LVT_FIRST     0x320
#define LAPIC_LVT_LINT0     0x350
#define LAPIC_LVT_LINT1     0x360
#define LAPIC_LVT_LAST      0x370
#define LAPIC_VERSION_VALUE 0x50014
#define LVT_MASKED          0x10000
#define LVT_EXTINT          0x700
#define LVT_NMI             0x400

enum {
    SEGMENT_DATA = 3,
    SEGMENT_CODE = 11,
    SEGMENT_TSS_BUSY = 11,
    SEGMENT_LDT = 2
};

bool vcpu_ioctl(const Vcpu *vcpu, unsigned long request, void *argument, const char *name,
                GError **error)
{
    int result = kvm_ioctl(vcpu->fd, request, argument);

    return result >= 0 || fail_errno(error, -result, "%s", name);
}

static struct kvm_segment flat_segment(uint16_t selector, uint8_t type, bool is_long)
{
    return (struct kvm_segment){
        .base = 0,
        .limit = 0xffffffff,
        .selector = selector,
        .type = type,
        .present = 1,
        .db = type == SEGMENT_CODE && is_long ? 0 : 1,
        .s = 1,
        .l = type == SEGMENT_CODE && is_long ? 1 : 0,
        .g = 1,
    };
}

static struct kvm_segment real_segment(uint16_t selector, uint64_t base, uint8_t type)
{
    return (struct kvm_segment){
        .base = base, .limit = 0xffff, .selector = selector, .type = type, .present = 1, .s = 1};
}

static void set_data_segments(struct kvm_sregs *sregs, struct kvm_segment segment)
{
    sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = segment;
}

static void sregs_after_reset(struct kvm_sregs *sregs)
{
    set_data_segments(sregs, real_segment(0, 0, SEGMENT_DATA));
    sregs->cs = real_segment(0xf000, 0xffff0000, SEGMENT_CODE);
    sregs->tr = (struct kvm_segment){.limit = 0xffff, .type = SEGMENT_TSS_BUSY, .present = 1};
    sregs->ldt = (struct kvm_segment){.limit = 0xffff, .type = SEGMENT_LDT, .present = 1};
    sregs->gdt = (struct kvm_dtable){.limit = 0xffff};
    sregs->idt = (struct kvm_dtable){.limit = 0xffff};
    sregs->cr0 = CR0_ET | CR0_NW | CR0_CD;
    sregs->cr2 = sregs->cr3 = sregs->cr4 = sregs->cr8 = 0;
    sregs->efer = 0;
    memset(sregs->interrupt_bitmap, 0, sizeof(sregs->interrupt_bitmap));
}

/* Selectors as in the GDT that the boot tables hold: 0x10 code, 0x18 data. */
static void sregs_for_entry(struct kvm_sregs *sregs, const VcpuEntry *entry)
{
    bool is_long = entry->mode == VCPU_ENTRY_LONG64;

    if (entry->mode == VCPU_ENTRY_POWER_ON) {
        return;
    }
    sregs->cs = flat_segment(0x10, SEGMENT_CODE, is_long);
    set_data_segments(sregs, flat_segment(0x18, SEGMENT_DATA, is_long));
    sregs->gdt = (struct kvm_dtable){.base = entry->gdt_base, .limit = entry->gdt_limit};
    sregs->idt = (struct kvm_dtable){0};
    sregs->cr0 = CR0_PE | CR0_ET;
    if (is_long) {
        sregs->cr0 |= CR0_PG;
        sregs->cr3 = entry->cr3;
        sregs->cr4 = CR4_PAE;
        sregs->efer = EFER_LME | EFER_LMA;
    }
}

static bool reset_registers(const Vcpu *vcpu, const VcpuEntry *entry, GError **error)
{
    struct kvm_sregs sregs = {0};
    struct kvm_regs regs = {.rflags = RFLAGS_FIXED, .rip = 0xfff0};

    sregs.apic_base = APIC_BASE | APIC_BASE_ENABLE | (entry ? APIC_BASE_BSP : 0);
    sregs_after_reset(&sregs);
    if (entry) {
        sregs_for_entry(&sregs, entry);
        regs.rbx = entry->rbx;
        regs.rsi = entry->rsi;
        regs.rsp = entry->rsp;
        regs.rip = entry->mode == VCPU_ENTRY_POWER_ON ? regs.rip : entry->rip;
    }
    return vcpu_ioctl(vcpu, KVM_SET_SREGS, &sregs, "KVM_SET_SREGS", error) &&
           vcpu_ioctl(vcpu, KVM_SET_REGS, &regs, "KVM_SET_REGS", error);
}

/* An xAPIC after RESET, with the PC's wiring: external interrupts on LINT0 and NMI on LINT1. */
static bool reset_lapic(const Vcpu *vcpu, uint32_t apic_id, GError **error)
{
    struct kvm_lapic_state lapic = {0};
    uint8_t *regs = (uint8_t *)lapic.regs;

    store_le32(regs + LAPIC_ID, apic_id << 24);
    store_le32(regs + LAPIC_VERSION, LAPIC_VERSION_VALUE);
    store_le32(regs + LAPIC_DFR, 0xffffffff);
    store_le32(regs + LAPIC_SVR, 0xff);
    for (unsigned lvt = LAPIC_LVT_FIRST; lvt <= LAPIC_LVT_LAST; lvt += 0x10) {
        store_le32(regs + lvt, LVT_MASKED);
    }
    store_le32(regs + LAPIC_LVT_LINT0, LVT_EXTINT);
    store_le32(regs + LAPIC_LVT_LINT1, LVT_NMI);
    return vcpu_ioctl(vcpu, KVM_SET_LAPIC, &lapic, "KVM_SET_LAPIC", error);
}

/* What firmware would have set: fast string instructions, write-back memory by default. */
static const struct kvm_msr_entry firmware_msrs[] = {
    {.index = MSR_MISC_ENABLE, .data = MISC_ENABLE_STRINGS},
    {.index = MSR_MTRR_DEF_TYPE, .data = MTRR_ENABLED | MTRR_WRITE_BACK},
};

/*
 * What would go on writing into guest RAM, or interrupt the next kernel, after a reset.  The TSC is
 * among them because a guest's time was once seen to jump to the host's after a triple fault, as if
 * KVM had lost the offset.  KVM takes zeroes written close together for one and the same instant.
 */
static const struct kvm_msr_entry reset_msrs[] = {
    {.index = MSR_TSC, .data = 0},          {.index = MSR_PAT, .data = PAT_POWER_ON},
    {.index = MSR_TSC_DEADLINE, .data = 0}, {.index = MSR_KVM_SYSTEM_TIME, .data = 0},
    {.index = MSR_KVM_ASYNC_PF, .data = 0}, {.index = MSR_KVM_STEAL_TIME, .data = 0},
    {.index = MSR_KVM_PV_EOI, .data = 0},
};

/* An MSR that this host's KVM does not have needs no value either. */
static bool set_msrs(const Vcpu *vcpu, const struct kvm_msr_entry *values, size_t count,
                     GError **error)
{
    _Alignas(struct kvm_msrs)
        uint8_t buffer[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)] = {0};
    struct kvm_msrs *msrs = (struct kvm_msrs *)(void *)buffer;

    msrs->nmsrs = 1;
    for (size_t i = 0; i < count; i++) {
        msrs->entries[0] = values[i];

        int done = kvm_ioctl(vcpu->fd, KVM_SET_MSRS, msrs);

        if (done < 0) {
            return fail_errno(error, -done, "KVM_SET_MSRS 0x%x", values[i].index);
        }
    }
    return true;
}

static bool reset_events(const Vcpu *vcpu, bool boot_processor, GError **error)
{
    struct kvm_vcpu_events events = {0};
    struct kvm_debugregs debug = {.dr6 = 0xffff0ff0, .dr7 = 0x400};
    struct kvm_mp_state mp = {.mp_state = boot_processor ? KVM_MP_STATE_RUNNABLE
                                                         : KVM_MP_STATE_UNINITIALIZED};

    return vcpu_ioctl(vcpu, KVM_SET_VCPU_EVENTS, &events, "KVM_SET_VCPU_EVENTS", error) &&
           vcpu_ioctl(vcpu, KVM_SET_DEBUGREGS, &debug, "KVM_SET_DEBUGREGS", error) &&
           vcpu_ioctl(vcpu, KVM_SET_MP_STATE, &mp, "KVM_SET_MP_STATE", error);
}

bool vcpu_arch_init(Vcpu *vcpu, CpuModel *model, GError **error)
{
    return cpu_model_apply(model, vcpu, error);
}

bool vcpu_arch_enter(Vcpu *vcpu, const CpuModel *model, const VcpuEntry *entry, GError **error)
{
    return reset_registers(vcpu, entry, error) &&
           reset_lapic(vcpu, cpu_model_hardware_id(model, vcpu->index), error) &&
           set_msrs(vcpu, firmware_msrs, G_N_ELEMENTS(firmware_msrs), error);
}

bool vcpu_arch_reset(Vcpu *vcpu, CpuModel *model, const VcpuEntry *entry, GError **error)
{
    struct kvm_fpu fpu = {.fcw = 0x37f, .mxcsr = 0x1f80};

    return vcpu_arch_enter(vcpu, model, entry, error) &&
           vcpu_ioctl(vcpu, KVM_SET_FPU, &fpu, "KVM_SET_FPU", error) &&
           set_msrs(vcpu, reset_msrs, G_N_ELEMENTS(reset_msrs), error) &&
           reset_events(vcpu, entry != NULL, error);
}

char *vcpu_arch_describe(Vcpu *vcpu)
{
    struct kvm_regs r;
    struct kvm_sregs s;

    if (vcpu->fd < 0 || kvm_ioctl(vcpu->fd, KVM_GET_REGS, &r) < 0 ||
        kvm_ioctl(vcpu->fd, KVM_GET_SREGS, &s) < 0) {
        return g_strdup("no registers");
    }
    return g_strdup_printf(
        "rip=%llx cs=%x:%llx rflags=%llx rax=%llx rbx=%llx rcx=%llx rdx=%llx rsi=%llx rdi=%llx "
        "rsp=%llx rbp=%llx r8=%llx r9=%llx r10=%llx r11=%llx r12=%llx r13=%llx r14=%llx r15=%llx "
        "cr0=%llx cr2=%llx cr3=%llx cr4=%llx efer=%llx",
        r.rip, s.cs.selector, s.cs.base, r.rflags, r.rax, r.rbx, r.rcx, r.rdx, r.rsi, r.rdi, r.rsp,
        r.rbp, r.r8, r.r9, r.r10, r.r11, r.r12, r.r13, r.r14, r.r15, s.cr0, s.cr2, s.cr3, s.cr4,
        s.efer);
}

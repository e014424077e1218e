/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything a kernel can see of its processor, set to values of our own and compared behind the
 * migrate point: general registers and flags (frozen in the middle of a loop of cpu_state_hold.S),
 * segment bases, selectors, control and debug registers, descriptor table pointers.
 */
#include "tests/guest/lib/apic.h"
#include "tests/guest/lib/report.h"
#include "tests/guest/lib/start.h"
#include "tests/guest/lib/trap.h"
#include "tests/guest/lib/x86.h"

#define MSR_FS_BASE          0xc0000100
#define MSR_GS_BASE          0xc0000101
#define MSR_KERNEL_GS_BASE   0xc0000102
#define EFER_NXE             0x800
#define CPUID_NX             (1u << 20)
#define CR0_AM               0x00040000
#define CR4_DE               0x00000008
#define CR4_PGE              0x00000080
#define CR4_OSFXSR           0x00000200
#define CR4_FSGSBASE         0x00010000
#define CPUID_7_EBX_FSGSBASE 0x1
#define CR2_PATTERN          0x0000123456789abc
#define CR8_PATTERN          5
/* Write breakpoints of four bytes, globally enabled, on words that nobody touches. */
#define DR7_PATTERN    0xdddd06aa
#define DR6_PATTERN    0xffff0ff0

#define HOLD_REGISTERS 12

/* The values that cpu_state_hold.S loads, in the order in which it stores them. */
extern const uint64_t cpu_state_patterns[HOLD_REGISTERS];
extern const uint64_t cpu_state_flags;

/* Loads, waits for a byte on the console, stores; flags go last. */
void cpu_state_hold(uint64_t *stored);

typedef struct Snapshot {
    uint64_t cr0, cr2, cr3, cr4, cr8, efer;
    uint64_t dr0, dr1, dr2, dr3, dr6, dr7;
    uint64_t fs_base, gs_base, kernel_gs_base;
    uint64_t cs, ds, es, fs, gs, ss, tr, ldtr;
    uint64_t gdt_base, gdt_limit, idt_base, idt_limit;
    uint64_t apic_base, apic_id;
} Snapshot;

typedef struct SnapshotField {
    const char *name;
    size_t offset;
} SnapshotField;

#define FIELD(name)                     \
    {                                   \
#name, offsetof(Snapshot, name) \
    }

static const SnapshotField snapshot_fields[] = {
    FIELD(cr0),      FIELD(cr2),       FIELD(cr3),       FIELD(cr4),      FIELD(cr8),
    FIELD(efer),     FIELD(dr0),       FIELD(dr1),       FIELD(dr2),      FIELD(dr3),
    FIELD(dr6),      FIELD(dr7),       FIELD(fs_base),   FIELD(gs_base),  FIELD(kernel_gs_base),
    FIELD(cs),       FIELD(ds),        FIELD(es),        FIELD(fs),       FIELD(gs),
    FIELD(ss),       FIELD(tr),        FIELD(ldtr),      FIELD(gdt_base), FIELD(gdt_limit),
    FIELD(idt_base), FIELD(idt_limit), FIELD(apic_base), FIELD(apic_id),
};

static uint32_t untouched[4] __attribute__((aligned(16)));

#define READ_SELECTOR(name, to)                        \
    do {                                               \
        uint16_t selector;                             \
        __asm__ volatile(name " %0" : "=m"(selector)); \
        (to) = selector;                               \
    } while (0)

static void take_snapshot(Snapshot *s)
{
    TablePointer gdt, idt;

    __asm__ volatile("sgdt %0" : "=m"(gdt));
    __asm__ volatile("sidt %0" : "=m"(idt));
    *s = (Snapshot){
        .cr0 = cr0_read(),
        .cr2 = cr2_read(),
        .cr3 = cr3_read(),
        .cr4 = cr4_read(),
        .cr8 = cr8_read(),
        .efer = msr_read(MSR_EFER),
        .dr0 = dr0_read(),
        .dr1 = dr1_read(),
        .dr2 = dr2_read(),
        .dr3 = dr3_read(),
        .dr6 = dr6_read(),
        .dr7 = dr7_read(),
        .fs_base = msr_read(MSR_FS_BASE),
        .gs_base = msr_read(MSR_GS_BASE),
        .kernel_gs_base = msr_read(MSR_KERNEL_GS_BASE),
        .gdt_base = gdt.base,
        .gdt_limit = gdt.limit,
        .idt_base = idt.base,
        .idt_limit = idt.limit,
        .apic_base = msr_read(MSR_APIC_BASE),
        .apic_id = apic_id(),
    };
    READ_SELECTOR("movw %%cs,", s->cs);
    READ_SELECTOR("movw %%ds,", s->ds);
    READ_SELECTOR("movw %%es,", s->es);
    READ_SELECTOR("movw %%fs,", s->fs);
    READ_SELECTOR("movw %%gs,", s->gs);
    READ_SELECTOR("movw %%ss,", s->ss);
    READ_SELECTOR("str", s->tr);
    READ_SELECTOR("sldt", s->ldtr);
}

static void set_control_registers(void)
{
    uint64_t cr4 = CR4_DE | CR4_PGE | CR4_OSFXSR;

    if (cpuid(7, 0).ebx & CPUID_7_EBX_FSGSBASE) {
        cr4 |= CR4_FSGSBASE;
    }
    if (cpuid(0x80000001, 0).edx & CPUID_NX) {
        msr_write(MSR_EFER, msr_read(MSR_EFER) | EFER_NXE);
    }
    cr0_write(cr0_read() | CR0_AM);
    cr4_write(cr4_read() | cr4);
    cr2_write(CR2_PATTERN);
    cr8_write(CR8_PATTERN);
    report_equal(cr4_read() & cr4, cr4, "CR4 takes the features that CPUID offers");
    report_equal(cr2_read(), CR2_PATTERN, "CR2 keeps what is written");
    report_equal(cr8_read(), CR8_PATTERN, "CR8 keeps what is written");
    report_equal(apic_read(APIC_TPR), CR8_PATTERN << 4, "CR8 is the APIC's task priority");
}

static void set_debug_registers(void)
{
    dr0_write((uint64_t)&untouched[0]);
    dr1_write((uint64_t)&untouched[1]);
    dr2_write((uint64_t)&untouched[2]);
    dr3_write((uint64_t)&untouched[3]);
    dr6_write(DR6_PATTERN);
    dr7_write(DR7_PATTERN);
    report_equal(dr3_read(), (uint64_t)&untouched[3], "DR3 keeps what is written");
    report_equal(dr7_read(), DR7_PATTERN, "DR7 keeps what is written");
}

static void set_segments(void)
{
    __asm__ volatile("movw %w0, %%fs\n\tmovw %w1, %%gs\n\tmovw %w1, %%es"
                     :
                     : "r"(SEGMENT_USER_DATA), "r"(SEGMENT_DATA));
    msr_write(MSR_FS_BASE, 0x00001111deadbeef);
    msr_write(MSR_GS_BASE, 0xffff888812345000);
    msr_write(MSR_KERNEL_GS_BASE, 0xffffffff81234567);
    report_equal(msr_read(MSR_FS_BASE), 0x00001111deadbeef, "the FS base keeps what is written");
}

static void compare_snapshots(const Snapshot *before, const Snapshot *after)
{
    for (unsigned i = 0; i < ARRAY_LENGTH(snapshot_fields); i++) {
        const SnapshotField *f = &snapshot_fields[i];
        uint64_t was = *(const uint64_t *)((const uint8_t *)before + f->offset);
        uint64_t is = *(const uint64_t *)((const uint8_t *)after + f->offset);

        report(was == is, "%s survives: 0x%lx, was 0x%lx", f->name, is, was);
    }
}

static void test_general_registers(void)
{
    uint64_t stored[HOLD_REGISTERS + 1] = {0};

    migrate_point_announce();
    cpu_state_hold(stored);
    for (unsigned i = 0; i < HOLD_REGISTERS; i++) {
        if (stored[i] != cpu_state_patterns[i]) {
            report(false, "general register %u survives: 0x%lx, was 0x%lx", i, stored[i],
                   cpu_state_patterns[i]);
        }
    }
    report_equal(stored[HOLD_REGISTERS], cpu_state_flags, "RFLAGS survives");
}

void payload_main(void)
{
    Snapshot before, after;

    set_control_registers();
    set_debug_registers();
    set_segments();
    take_snapshot(&before);
    test_general_registers();
    take_snapshot(&after);
    compare_snapshots(&before, &after);
}

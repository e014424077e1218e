/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HYPERVISOR_VCPU_H
#define HYPERVISOR_VCPU_H

/*
 * The vCPUs of one VM, a thread each, and the one way to stop them.
 *
 *                 vcpus_pause                        vcpus_resume
 *     running --> asked to stop --> parked (counted) -----------> running
 *
 * Stopping is a counted handshake: a thread that was asked to stop finishes the exit it is in,
 * lets KVM complete the instruction that caused it, counts itself as parked and sleeps; whoever
 * asked sleeps until all are counted.  Nothing polls and nothing times out.
 *
 * A vCPU that cannot go on (triple fault, failed entry, internal error) reports why, once, and
 * parks for good: only a reset revives it.
 */

#include "hypervisor/hypervisor.h"
#include "util/lock.h"

#include <stdatomic.h>

typedef struct Vcpus Vcpus;

typedef enum {
    VCPU_SPACE_MMIO,
    VCPU_SPACE_PORT,
} VcpuSpace;

/* What exits turn into.  All members are called on vCPU threads, several at a time. */
typedef struct VcpuHooks {
    /*
     * Optional: the first thing that each vCPU's thread does, while the main thread goes on
     * building.  An error in it comes out of the first vcpus_each or vcpu_call.
     */
    bool (*started)(void *opaque, Vcpu *vcpu, GError **error);
    uint64_t (*read)(void *opaque, VcpuSpace space, uint64_t address, unsigned size);
    void (*write)(void *opaque, VcpuSpace space, uint64_t address, unsigned size, uint64_t value);
    /* The guest acknowledged a level interrupt that is routed to an IOAPIC pin. */
    void (*eoi)(void *opaque, unsigned vector);
    /* Triple fault, or what the architecture has in its place. */
    void (*shutdown)(void *opaque, Vcpu *vcpu);
    /* A firmware call asked for power-off or reset (AArch64 PSCI). */
    void (*system_event)(void *opaque, uint32_t type);
    /*
     * Optional: the vCPU stopped for a debugger, and waits for vcpu_revive.  False: it did not,
     * the reason is the guest's own.
     */
    bool (*debug)(void *opaque, Vcpu *vcpu, const DebugStop *stop);
    /* The vCPU is lost.  why names the vCPU, the reason and its registers. */
    void (*failed)(void *opaque, Vcpu *vcpu, const char *why);
} VcpuHooks;

/* KVM_EXIT_ numbers above this are counted together. */
#define VCPU_EXIT_REASONS 40

/* What KVM calls such a reason, "mmio"; NULL if it is of no interest. */
const char *vcpu_exit_name(unsigned reason);

struct Vcpu {
    /* fixed after creation */
    unsigned index;
    Hypervisor *hypervisor;
    Vcpus *group;
    int fd; /* -1 with the fake hypervisor */
    struct kvm_run *run;
    void *backend; /* of the fake hypervisor */

    /* vCPU thread only */
    bool has_run;        /* since it was made; a fresh one holds what KVM makes vCPUs with */
    DebugSettings debug; /* in force */
    uint32_t cpuid_mark; /* x86: of the table that its model gave it; 0: it has another */

    /* written by the vCPU's thread, read by anybody */
    atomic_int thread_id;
    atomic_uint_fast64_t exits[VCPU_EXIT_REASONS];
};

/* How the boot processor starts.  The others wait: for INIT and SIPI, or for PSCI CPU_ON. */
typedef enum {
    VCPU_ENTRY_POWER_ON, /* x86 F000:FFF0 in real mode; AArch64 address 0 at EL1 */
    VCPU_ENTRY_PVH,      /* x86 32-bit protected mode, paging off, start info in rbx */
    VCPU_ENTRY_LONG64,   /* x86 64-bit with identity page tables at cr3, boot parameters in rsi */
    VCPU_ENTRY_ARM64,    /* AArch64 EL1, MMU off, device tree at x0 */
} VcpuEntryMode;

typedef struct VcpuEntry {
    VcpuEntryMode mode;
    uint64_t rip, rsp, rbx, rsi, cr3;
    uint64_t gdt_base;
    uint16_t gdt_limit;
    uint64_t pc, x0; /* AArch64 */
} VcpuEntry;

/*
 * Creates count vCPUs and a parked thread for each.  hooks stays the caller's and outlives them.
 */
Vcpus *vcpus_new(Hypervisor *hypervisor, unsigned count, const VcpuHooks *hooks, void *opaque,
                 GError **error);

/* Accepts NULL.  Stops and joins the threads wherever they are. */
void vcpus_free(Vcpus *vcpus);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Vcpus, vcpus_free)

unsigned vcpus_count(const Vcpus *vcpus);
Vcpu *vcpus_get(Vcpus *vcpus, unsigned index);

/* Main thread: returns when every thread is parked.  Harmless when they are already. */
void vcpus_pause(Vcpus *vcpus);

/*
 * Any thread, a vCPU's own included: asks all to stop and does not wait.  The caller arranges for
 * the main thread to call vcpus_pause or vcpus_resume soon.
 */
void vcpus_pause_begin(Vcpus *vcpus);

/* Main thread. */
void vcpus_resume(Vcpus *vcpus);

/*
 * Main thread, vCPUs parked: runs fn for every vCPU, each on its own thread and all at once, and
 * returns the first error.  This is where vCPU state is set and read.
 */
typedef bool (*VcpuFn)(Vcpu *vcpu, void *opaque, GError **error);
bool vcpus_each(Vcpus *vcpus, VcpuFn fn, void *opaque, GError **error);

/* After a reset of their state: vCPUs that had given up may run again. */
void vcpus_revive(Vcpus *vcpus);

/* The same for one vCPU. */
void vcpu_revive(Vcpu *vcpu);

/* Main thread, vCPUs parked: a vCPU that is held stays parked when the others run. */
void vcpu_hold(Vcpu *vcpu, bool hold);

/* As vcpus_each, on one vCPU's thread only. */
bool vcpu_call(Vcpu *vcpu, VcpuFn fn, void *opaque, GError **error);

#endif

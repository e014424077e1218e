/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HYPERVISOR_VCPU_ARCH_H
#define HYPERVISOR_VCPU_ARCH_H

/*
 * What each architecture provides to the portable half; x86/ and arm64/ define these, meson picks.
 */

#include "hypervisor/cpu_model.h"
#include "hypervisor/vcpu.h"
#include "migration/vmstate.h"

/*
 * vCPU thread, once, on a fresh vCPU: what the guest will see as its processor.  What it holds is
 * told by one of those below.
 */
bool vcpu_arch_init(Vcpu *vcpu, CpuModel *model, GError **error);

/*
 * vCPU thread, on a fresh vCPU: where it starts.  entry is for the boot processor; it is NULL for
 * the others, which wait to be started by it.
 */
bool vcpu_arch_enter(Vcpu *vcpu, const CpuModel *model, const VcpuEntry *entry, GError **error);

/* vCPU thread: everything back to power-on, then as vcpu_arch_enter. */
bool vcpu_arch_reset(Vcpu *vcpu, CpuModel *model, const VcpuEntry *entry, GError **error);

/*
 * vCPU thread, parked: a non-maskable interrupt, if the guest has set the vCPU up to listen to the
 * machine's NMI wire.
 */
bool vcpu_arch_nmi(Vcpu *vcpu, GError **error);

/*
 * vCPU thread, parked: appends what tools that look into core files want to know besides the registers
 * that a debugger is shown.  Nothing on AArch64 and with the fake hypervisor.
 */
bool vcpu_arch_core_note(Vcpu *vcpu, GByteArray *note, GError **error);

/* vCPU thread: the registers in one line for a message; never NULL. */
char *vcpu_arch_describe(Vcpu *vcpu);

/* What of a vCPU survives a save; vcpu_state_vmstate describes a VcpuState. */
typedef struct VcpuState VcpuState;
extern const VmStateDesc vcpu_state_vmstate;

VcpuState *vcpu_state_new(void);

/* Accepts NULL. */
void vcpu_state_free(VcpuState *state);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VcpuState, vcpu_state_free)

/*
 * vCPU thread, all vCPUs parked: reads everything from KVM into a state, which may have been used
 * before.  A vCPU of the fake hypervisor has an empty one.
 */
bool vcpu_arch_save(Vcpu *vcpu, VcpuState *state, GError **error);

/*
 * vCPU thread, all vCPUs parked, after vm_state_load (vm_state.h), which tells how far the guest's
 * time has gone on; and with guest RAM in place.  The vCPU is fresh (vcpu_arch_init) or ran before
 * (going back to a template).  A processor that was saved elsewhere keeps its features; the error lists
 * those that cannot be had here.
 */
bool vcpu_arch_load(Vcpu *vcpu, CpuModel *model, const VcpuState *state, GError **error);

#endif

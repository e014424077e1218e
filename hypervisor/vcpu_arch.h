/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HYPERVISOR_VCPU_ARCH_H
#define HYPERVISOR_VCPU_ARCH_H

/*
 * What each architecture provides to the portable half; x86/ and arm64/ define these, meson picks.
 */

#include "hypervisor/cpu_model.h"
#include "hypervisor/vcpu.h"

/* vCPU thread, once, on a fresh vCPU: what the guest will see as its processor. */
bool vcpu_arch_init(Vcpu *vcpu, CpuModel *model, GError **error);

/*
 * vCPU thread, on a fresh vCPU: where it starts.  entry is for the boot processor; it is NULL for
 * the others, which wait to be started by it.
 */
bool vcpu_arch_enter(Vcpu *vcpu, const VcpuEntry *entry, GError **error);

/* vCPU thread: everything back to power-on, then as vcpu_arch_enter. */
bool vcpu_arch_reset(Vcpu *vcpu, CpuModel *model, const VcpuEntry *entry, GError **error);

/* vCPU thread: the registers in one line for a message; never NULL. */
char *vcpu_arch_describe(Vcpu *vcpu);

#endif

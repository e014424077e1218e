/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HYPERVISOR_X86_MSR_H
#define HYPERVISOR_X86_MSR_H

/*
 * Which model-specific registers a template carries: what KVM lists, if the table in msr.c knows
 * it, and what KVM does not list although the guest's CPUID promises it (MTRRs, machine check
 * banks).  The order of the table is the order in which they are set.
 */

#include "hypervisor/x86/vcpu_vmstate.h"

#define MSR_TSC              0x10
#define MSR_TSC_DEADLINE     0x6e0
#define MSR_FEATURE_CONTROL  0x3a
#define MSR_KVM_SYSTEM_TIME  0x4b564d01
#define MSR_KVM_SYSTEM_TIME1 0x12 /* its old number */

/* Are these indexes a template may carry, in the order of the table and each once? */
bool msr_check_order(const uint32_t *indexes, uint32_t count, GError **error);

/* vCPU thread: reads all that the vCPU has into state.  cpuid must be there already. */
bool msr_save(const Vcpu *vcpu, VcpuState *state, GError **error);

/*
 * vCPU thread: sets all of state's.  What KVM refuses is named, but for a few that a host may lack
 * without harm.
 */
bool msr_load(const Vcpu *vcpu, const VcpuState *state, GError **error);

/* Sets those that KVM wants to know before it is told about a nested guest. */
bool msr_load_virtualization(const Vcpu *vcpu, const VcpuState *state, GError **error);

/* One by itself. */
bool msr_get(const Vcpu *vcpu, uint32_t index, uint64_t *ret_value, GError **error);
bool msr_set(const Vcpu *vcpu, uint32_t index, uint64_t value, GError **error);

/* The value that state has for it; 0 if it has none. */
uint64_t msr_value(const VcpuState *state, uint32_t index);

#endif

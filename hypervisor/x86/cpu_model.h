/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HYPERVISOR_X86_CPU_MODEL_H
#define HYPERVISOR_X86_CPU_MODEL_H

/* The x86 side of a CPU model: a CPUID table, with a few leaves that differ from vCPU to vCPU. */

#include "hypervisor/cpu_model.h"
#include "hypervisor/vcpu.h"

struct kvm_cpuid2;
struct kvm_cpuid_entry2;

/* vCPU thread: gives the vCPU its table. */
bool cpu_model_apply(CpuModel *model, Vcpu *vcpu, GError **error);

/* For tests, before the first use: what KVM would say it supports, instead of asking it. */
void cpu_model_assume(CpuModel *model, const struct kvm_cpuid2 *supported);

/* The table as this vCPU gets it; the caller's to g_free. */
struct kvm_cpuid2 *cpu_model_table(CpuModel *model, unsigned index);

/* The table as vCPU 0 gets it, for introspection and templates. */
const struct kvm_cpuid_entry2 *cpu_model_entries(CpuModel *model, size_t *ret_count);

/*
 * One feature bit, by the name that -cpu and /proc/cpuinfo use.
 */
typedef enum {
    CPUID_EAX,
    CPUID_EBX,
    CPUID_ECX,
    CPUID_EDX
} CpuidRegister;

typedef struct CpuFeatureBit {
    const char *name;
    uint32_t function;
    uint32_t index;
    CpuidRegister reg;
    unsigned bit;
} CpuFeatureBit;

/* NULL if there is no such feature.  '_' and '-' are the same. */
const CpuFeatureBit *cpu_feature_find(const char *name);
extern const CpuFeatureBit cpu_features[];
extern const size_t cpu_num_features;

/*
 * A named set, "x86-64-v2": NULL-terminated feature names that must be there; NULL if there is no
 * such set.  Features of the platform stay in each set if the host has them.
 */
const char *const *cpu_feature_set(const char *name);
bool cpu_feature_is_platform(const char *name);

#endif

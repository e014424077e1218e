/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HYPERVISOR_ARM64_CPU_MODEL_H
#define HYPERVISOR_ARM64_CPU_MODEL_H

/* The AArch64 side of a CPU model: what KVM_ARM_VCPU_INIT is told. */

#include "hypervisor/cpu_model.h"

#include <linux/kvm.h>

/* For every vCPU alike; who starts powered off is not the model's matter. */
const struct kvm_vcpu_init *cpu_model_vcpu_init(const CpuModel *model);

/* The vector registers are as wide as the host's, and fixed before the vCPU first runs. */
bool cpu_model_has_sve(const CpuModel *model);

#endif

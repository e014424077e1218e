/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HYPERVISOR_ARM64_DEBUG_H
#define HYPERVISOR_ARM64_DEBUG_H

/* The parts of debugging an AArch64 vCPU that need no vCPU, and its registers as gdb sees them. */

#include "hypervisor/debug.h"

#include <linux/kvm.h>

/* How many addresses of each kind a processor watches. */
typedef struct Arm64DebugLimits {
    unsigned breakpoints;
    unsigned watchpoints;
} Arm64DebugLimits;

bool arm64_debug_check(const DebugSettings *settings, const Arm64DebugLimits *limits,
                       GError **error);

/* To and from the words of KVM.  The settings passed the check. */
void arm64_debug_encode(const DebugSettings *settings, struct kvm_guest_debug *ret_debug);
void arm64_debug_decode(const DebugSettings *settings, const struct kvm_debug_exit_arch *exit,
                        uint64_t pc, DebugStop *ret_stop);

/* What an exception that is taken to EL1 changes. */
typedef struct Arm64Exception {
    uint64_t pc, pstate;
    uint64_t elr, spsr, esr, far;
} Arm64Exception;

/* What a processor at pc does that takes exit's exception; vbar is the vectors' base. */
void arm64_debug_take(const struct kvm_debug_exit_arch *exit, uint64_t pc, uint64_t pstate,
                      uint64_t vbar, Arm64Exception *ret_exception);

bool arm64_debug_get(Vcpu *vcpu, uint64_t id, uint64_t *ret_value, GError **error);
bool arm64_debug_set(Vcpu *vcpu, uint64_t id, uint64_t value, GError **error);

bool arm64_debug_read_registers(Vcpu *vcpu, uint8_t *ret_block, GError **error);
bool arm64_debug_read_numbered(Vcpu *vcpu, uint64_t number, uint8_t *ret_value, size_t *ret_bytes,
                               GError **error);
bool arm64_debug_write_registers(Vcpu *vcpu, const uint8_t *block, GError **error);

/* KVM's names of registers. */
#define ARM64_CORE_REG(member) \
    (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(member))
#define ARM64_CORE_REG32(member) \
    (KVM_REG_ARM64 | KVM_REG_SIZE_U32 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(member))
#define ARM64_CORE_REG128(member) \
    (KVM_REG_ARM64 | KVM_REG_SIZE_U128 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(member))
#define ARM64_SCTLR_EL1 ARM64_SYS_REG(3, 0, 1, 0, 0)
#define ARM64_TTBR0_EL1 ARM64_SYS_REG(3, 0, 2, 0, 0)
#define ARM64_TTBR1_EL1 ARM64_SYS_REG(3, 0, 2, 0, 1)
#define ARM64_TCR_EL1   ARM64_SYS_REG(3, 0, 2, 0, 2)
#define ARM64_ESR_EL1   ARM64_SYS_REG(3, 0, 5, 2, 0)
#define ARM64_FAR_EL1   ARM64_SYS_REG(3, 0, 6, 0, 0)
#define ARM64_VBAR_EL1  ARM64_SYS_REG(3, 0, 12, 0, 0)

#endif

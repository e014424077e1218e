/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HYPERVISOR_X86_DEBUG_H
#define HYPERVISOR_X86_DEBUG_H

/* The parts of debugging an x86 vCPU that need no vCPU, and its registers as gdb sees them. */

#include "hypervisor/debug.h"

#include <linux/kvm.h>

/* To and from the words of KVM.  The settings passed check. */
void x86_debug_encode(const DebugSettings *settings, struct kvm_guest_debug *ret_debug);
void x86_debug_decode(const DebugSettings *settings, const struct kvm_debug_exit_arch *exit,
                      DebugStop *ret_stop);

/* What KVM keeps of a vCPU and a debugger sees. */
typedef struct X86DebugState {
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    struct kvm_fpu fpu;
    uint64_t kernel_gs_base;
    uint32_t ftag; /* fpu.ftwx, two bits a register as the processor has them */
} X86DebugState;

void x86_debug_state_to_block(const X86DebugState *state, uint8_t *ret_block);
void x86_debug_state_from_block(X86DebugState *state, const uint8_t *block);

bool x86_debug_read_state(const Vcpu *vcpu, X86DebugState *ret_state, GError **error);
bool x86_debug_read_registers(Vcpu *vcpu, uint8_t *ret_block, GError **error);
bool x86_debug_write_registers(Vcpu *vcpu, const uint8_t *block, GError **error);

/* What vcpu_arch_core_note appends. */
void x86_core_note_encode(const X86DebugState *state, GByteArray *note);

#endif

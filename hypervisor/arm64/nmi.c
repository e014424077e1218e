/* SPDX-License-Identifier: Apache-2.0 */
#include "hypervisor/vcpu_arch.h"
#include "util/error.h"

bool vcpu_arch_nmi(Vcpu *vcpu, GError **error)
{
    (void)vcpu;
    return fail(error, VMM_ERROR_STATE, "KVM has no non-maskable interrupt for AArch64 guests");
}

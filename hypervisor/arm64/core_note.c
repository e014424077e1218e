/* SPDX-License-Identifier: Apache-2.0 */
/* Tools find all that they need in what Linux's own core files say of an AArch64 processor. */
#include "hypervisor/vcpu_arch.h"

bool vcpu_arch_core_note(Vcpu *vcpu, GByteArray *note, GError **error)
{
    (void)vcpu;
    (void)note;
    (void)error;
    return true;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The NMI button of a PC is wired to LINT1 of every local APIC; each decides by its LVT entry for
 * that pin what comes of it.  Linux listens on the boot processor only.
 */
#include "hypervisor/kvm.h"
#include "hypervisor/vcpu_arch.h"
#include "util/bytes.h"
#include "util/error.h"

#include <linux/kvm.h>

#define APIC_LVT_LINT1   0x360
#define LVT_MASKED       (UINT32_C(1) << 16)
#define LVT_DELIVERY     UINT32_C(0x700)
#define LVT_DELIVERY_NMI UINT32_C(0x400)

bool vcpu_arch_nmi(Vcpu *vcpu, GError **error)
{
    struct kvm_lapic_state apic;
    uint32_t lvt;
    int result;

    if (vcpu->fd < 0) {
        return true;
    }
    result = kvm_ioctl(vcpu->fd, KVM_GET_LAPIC, &apic);
    if (result < 0) {
        return fail_errno(error, -result, "KVM_GET_LAPIC");
    }
    lvt = load_le32((const uint8_t *)apic.regs + APIC_LVT_LINT1);
    if ((lvt & LVT_MASKED) || (lvt & LVT_DELIVERY) != LVT_DELIVERY_NMI) {
        return true;
    }
    result = kvm_ioctl(vcpu->fd, KVM_NMI, NULL);
    return result >= 0 || fail_errno(error, -result, "KVM_NMI");
}

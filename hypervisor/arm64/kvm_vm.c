/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An AArch64 VM in KVM.  The interrupt controller, a GICv3, is not made here: KVM wants to know
 * where in the guest's address space it lies and how many vCPUs it serves, so the machine model
 * creates it, after the vCPUs and before the first of them runs.  What is checked here is that it
 * will be able to.
 */
#include "hypervisor/kvm.h"

#include "util/error.h"

#include <linux/kvm.h>

/* Guest addresses have so many bits unless KVM says something else. */
#define DEFAULT_ADDRESS_BITS 40

const KvmCapability kvm_arch_capabilities[] = {
    {KVM_CAP_ONE_REG, 1, "KVM_CAP_ONE_REG", "the guest's registers cannot be set"},
    {KVM_CAP_ARM_PSCI_0_2, 1, "KVM_CAP_ARM_PSCI_0_2", "the guest could not start its processors"},
    {KVM_CAP_DEVICE_CTRL, 1, "KVM_CAP_DEVICE_CTRL", "there is no interrupt controller"},
    {KVM_CAP_VCPU_EVENTS, 1, "KVM_CAP_VCPU_EVENTS", "pending errors would be lost in a save"},
};
const size_t kvm_arch_num_capabilities = G_N_ELEMENTS(kvm_arch_capabilities);

/* A processor with a narrower bus refuses the default; a wider one gains nothing from more. */
unsigned long kvm_arch_vm_type(const Kvm *kvm)
{
    int bits = kvm_ioctl_value(kvm->fd, KVM_CHECK_EXTENSION, KVM_CAP_ARM_VM_IPA_SIZE);

    return bits > 0 && bits < DEFAULT_ADDRESS_BITS ? KVM_VM_TYPE_ARM_IPA_SIZE((unsigned long)bits)
                                                   : 0;
}

bool kvm_arch_init_vm(Kvm *kvm, unsigned ioapic_pins, GError **error)
{
    struct kvm_create_device gic = {
        .type = KVM_DEV_TYPE_ARM_VGIC_V3,
        .flags = KVM_CREATE_DEVICE_TEST,
    };
    int result = kvm_ioctl(kvm->vm_fd, KVM_CREATE_DEVICE, &gic);

    (void)ioapic_pins; /* there is no interrupt controller in user space */
    return result >= 0 || fail_errno(error, -result,
                                     "this host's KVM cannot give a guest a GICv3, the only "
                                     "interrupt controller that AArch64 guests have here");
}

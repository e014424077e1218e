/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An x86 VM in KVM: the local APICs are the kernel's, the IOAPIC is ours (devices/platform/), and
 * there is no PIC and no PIT.  Besides being faster to start and to end, that leaves no state of a
 * chip in the kernel which a template would have to carry.
 */
#include "hypervisor/kvm.h"

#include "util/error.h"

#include <linux/kvm.h>

/* Three pages and one that KVM uses on old Intel processors, below the firmware's place. */
#define TSS_ADDRESS          0xfeffd000UL
#define IDENTITY_MAP_ADDRESS 0xfeffc000ULL

const KvmCapability kvm_arch_capabilities[] = {
    {KVM_CAP_SPLIT_IRQCHIP, 1, "KVM_CAP_SPLIT_IRQCHIP", "interrupts cannot be set up"},
    {KVM_CAP_EXT_CPUID, 1, "KVM_CAP_EXT_CPUID", "the guest's processor cannot be described"},
    {KVM_CAP_VCPU_EVENTS, 1, "KVM_CAP_VCPU_EVENTS", "pending interrupts would be lost in a save"},
    {KVM_CAP_XSAVE, 1, "KVM_CAP_XSAVE", "floating point state would be lost in a save"},
    {KVM_CAP_XCRS, 1, "KVM_CAP_XCRS", "floating point state would be lost in a save"},
    {KVM_CAP_ADJUST_CLOCK, 1, "KVM_CAP_ADJUST_CLOCK", "the guest's clock would jump at a restore"},
};
const size_t kvm_arch_num_capabilities = G_N_ELEMENTS(kvm_arch_capabilities);

static bool enable(const Kvm *kvm, uint32_t capability, uint64_t argument, const char *what,
                   GError **error)
{
    struct kvm_enable_cap cap = {.cap = capability, .args = {argument}};
    int result = kvm_ioctl(kvm->vm_fd, KVM_ENABLE_CAP, &cap);

    return result >= 0 || fail_errno(error, -result, "%s", what);
}

/*
 * An exception that is about to be raised is saved with what it will leave in CR2 or DR6, and a
 * triple fault that nobody has handled yet is saved at all.  A KVM that is too old for these merges
 * the first into what it tells of the exception, and does not stop between the second and its exit.
 */
static void enable_exact_events(const Kvm *kvm)
{
    enable(kvm, KVM_CAP_EXCEPTION_PAYLOAD, 1, "", NULL);
    enable(kvm, KVM_CAP_X86_TRIPLE_FAULT_EVENT, 1, "", NULL);
}

unsigned long kvm_arch_vm_type(const Kvm *kvm)
{
    (void)kvm;
    return 0;
}

bool kvm_arch_init_vm(Kvm *kvm, unsigned ioapic_pins, GError **error)
{
    uint64_t identity = IDENTITY_MAP_ADDRESS;
    int result = kvm_ioctl_value(kvm->vm_fd, KVM_SET_TSS_ADDR, TSS_ADDRESS);

    if (result >= 0) {
        result = kvm_ioctl(kvm->vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity);
    }
    if (result < 0) {
        return fail_errno(error, -result, "reserve guest pages for KVM");
    }
    if (!enable(kvm, KVM_CAP_SPLIT_IRQCHIP, ioapic_pins, "split interrupt controller", error)) {
        return false;
    }
    enable_exact_events(kvm);
    /* APIC ids above 255 in interrupt messages; harmless to do without on a small VM. */
    if (kvm_ioctl_value(kvm->fd, KVM_CHECK_EXTENSION, KVM_CAP_X2APIC_API) > 0) {
        return enable(kvm, KVM_CAP_X2APIC_API,
                      KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK,
                      "32-bit APIC ids", error);
    }
    return true;
}

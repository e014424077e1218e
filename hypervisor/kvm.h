/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HYPERVISOR_KVM_H
#define HYPERVISOR_KVM_H

/*
 * Linux KVM as a Hypervisor.  What Stencil needs of it stands in one table in kvm.c, each line
 * with the reason that a user is shown when it is missing.
 */

#include "hypervisor/hypervisor.h"

#include <stdatomic.h>

/*
 * Begins to open the device ("/dev/kvm"), to check it and to create an empty VM, beside the calling
 * thread: the kernel takes its time, and so do the command line and the template.  A child that is
 * forked afterwards cannot use it.  What went wrong is what hypervisor_init says; after it, the
 * split interrupt controller of x86 exists (on AArch64 the machine model makes one when it has
 * vCPUs).
 */
Hypervisor *kvm_new(const char *device, GError **error);

/*
 * From a save to a load: how far the guest's clock has gone on, and what the host's TSC was when
 * it was read and when it was set.  vm_state_load tells it to the loads of the vCPUs.
 */
typedef struct KvmTimeShift {
    bool known;
    uint64_t advance_ns;
    uint64_t host_tsc_saved;
    uint64_t host_tsc_loaded;
    int64_t loaded_ns; /* loop_now_ns at the load */
} KvmTimeShift;

/* For the files of this folder that do what only KVM can. */
typedef struct Kvm {
    Hypervisor base;
    int fd; /* /dev/kvm */
    int vm_fd;
    size_t run_bytes;
    const char *device;

    /* main thread; the starter's jobs so far: the VM is there, and the latest of its slots */
    unsigned opened;
    unsigned last_slot;
    bool settled;

    /* main thread, while vCPU threads are parked; theirs to read on errands */
    KvmTimeShift time_shift;

    atomic_uint tsc_khz;   /* x86: the host's, as KVM tells it; 0 before there is a vCPU */
    atomic_uint tsc_moves; /* x86: what vcpu_tsc.c found out about it */
} Kvm;

bool hypervisor_is_kvm(const Hypervisor *hypervisor);

static inline Kvm *kvm_of(Hypervisor *hv)
{
    return (Kvm *)hv;
}

/* ioctl that retries EINTR and answers -errno. */
int kvm_ioctl(int fd, unsigned long request, void *argument);
int kvm_ioctl_value(int fd, unsigned long request, unsigned long value);

/* What KVM_CREATE_VM is told, and what a fresh VM needs next; x86/ and arm64/ define them. */
unsigned long kvm_arch_vm_type(const Kvm *kvm);
bool kvm_arch_init_vm(Kvm *kvm, unsigned ioapic_pins, GError **error);

/* The capabilities that only this architecture needs. */
typedef struct KvmCapability {
    int number;
    int at_least;
    const char *name;
    const char *reason; /* what does not work without it */
} KvmCapability;
extern const KvmCapability kvm_arch_capabilities[];
extern const size_t kvm_arch_num_capabilities;

#endif

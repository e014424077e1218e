/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HYPERVISOR_X86_CPUID_CACHE_H
#define HYPERVISOR_X86_CPUID_CACHE_H

/*
 * What KVM said to KVM_GET_SUPPORTED_CPUID, kept in a small file until the host boots again.
 *
 * To answer, the kernel executes some fifty CPUID instructions.  On bare metal that is nothing; where
 * the host is itself a virtual machine each of them goes to its own host, and the answer takes as
 * long as making the VM.  So an answer that was slow is kept, and only such.
 *
 * The file lies in $XDG_RUNTIME_DIR, or in /run for root, where nobody else can write.  It counts
 * only for the boot and for the /dev/kvm it was made with (a reload of the module makes a new
 * node), if its owner is who reads it, and if its checksum is right.  Without any of that KVM is
 * asked as if there were no cache; nothing here can fail a start.
 */

#include <stdbool.h>
#include <stdint.h>

struct kvm_cpuid2;

/* Fills table, which has room for max entries, as the ioctl would.  folder NULL: the usual one. */
bool cpuid_cache_load(const char *folder, int kvm_fd, struct kvm_cpuid2 *table, uint32_t max);

/* Replaces the file as a whole. */
void cpuid_cache_save(const char *folder, int kvm_fd, const struct kvm_cpuid2 *table);

#endif

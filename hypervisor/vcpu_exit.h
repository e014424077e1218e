/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HYPERVISOR_VCPU_EXIT_H
#define HYPERVISOR_VCPU_EXIT_H

/* What each KVM exit reason means, as one const table. */

#include "hypervisor/vcpu.h"

/*
 * vCPU thread.  result is what the hypervisor's run answered: 0, and then kvm_run describes an
 * exit, or -errno.  True if the vCPU can be entered again; on false it has reported why not.
 */
bool vcpu_handle_exit(Vcpu *vcpu, const VcpuHooks *hooks, void *opaque, int result);

#endif

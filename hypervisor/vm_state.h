/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HYPERVISOR_VM_STATE_H
#define HYPERVISOR_VM_STATE_H

/*
 * The state that KVM keeps once per VM, which is time.
 *
 *     save    vCPUs parked -> vcpu_arch_save on each -> vm_state_save
 *     load    vCPUs parked -> vm_state_load -> vcpu_arch_load on each -> resume soon
 *
 * On x86 time is the paravirtual clock and the TSCs, and all move together: vm_state_load sets
 * the clock and remembers by how much it went on; vcpu_arch_load moves each TSC by the same, so
 * that what was equal or a fixed distance apart stays so.  From vm_state_load on, time runs.
 */

#include "hypervisor/hypervisor.h"
#include "migration/vmstate.h"

typedef struct VmState VmState;
extern const VmStateDesc vm_state_vmstate;

VmState *vm_state_new(void);

/* Accepts NULL. */
void vm_state_free(VmState *state);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmState, vm_state_free)

/* What has become of the time between the save and the load, for the guest? */
typedef enum {
    CLOCK_CATCH_UP, /* it has passed */
    CLOCK_FREEZE,   /* it never was */
} ClockPolicy;

/* Main thread, vCPUs parked.  The fake hypervisor's VM has an empty state. */
bool vm_state_save(Hypervisor *hypervisor, VmState *state, GError **error);
bool vm_state_load(Hypervisor *hypervisor, const VmState *state, ClockPolicy policy,
                   GError **error);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_VM_RESET_H
#define MACHINE_VM_RESET_H

#include "machine/vm.h"

/*
 * A reset, in three parts, for giving back RAM takes as long as much of it was touched:
 *
 *     main loop    vm_reset_begin    vCPUs stand still, devices are as after power-on
 *     any thread   vm_reset_empty    RAM is given back
 *     main loop    vm_reset_end      what the guest boots from is there; the VM runs on if it is to
 *
 * In between the VM may be stopped and continued, which shows at the end.  A reset that cannot begin
 * leaves the VM as it was; one that fails at the end leaves nothing that could run.
 */
bool vm_reset_begin(Vm *vm, GError **error);
void vm_reset_empty(const Vm *vm);
bool vm_reset_end(Vm *vm, bool from_guest, const char *reason, GError **error);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_VM_INSPECT_H
#define MACHINE_VM_INSPECT_H

/*
 * Looking at vCPUs, and poking them, whether the VM runs or not: all stand still meanwhile, each is
 * asked on its own thread, and then they run on if they did.  Main loop only.
 */

#include "machine/vm.h"

/* Is there a vCPU of that number? */
bool vm_has_vcpu(const Vm *vm, int64_t vcpu, GError **error);

/*
 * Where the tables of a vCPU put memory now: the guest addresses of the pages from the one of
 * address on, count of them or as many as can be found before it takes too long.  0: the first is
 * nowhere, and error is set.
 */
size_t vm_translate(Vm *vm, unsigned vcpu, uint64_t address, uint64_t *ret_pages, size_t count,
                    GError **error);

/*
 * A register by its name (hypervisor/debug.h), or by its number in hexadecimal: its value, in
 * hexadecimal.
 */
char *vm_read_register(Vm *vm, unsigned vcpu, const char *name, GError **error);

/* The registers of each vCPU, one line each; NULL-terminated. */
char **vm_describe_vcpus(Vm *vm, GError **error);

/* Presses the NMI button: the vCPUs that listen to it get a non-maskable interrupt. */
bool vm_inject_nmi(Vm *vm, GError **error);

#endif

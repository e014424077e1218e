/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_VM_RECORD_H
#define MACHINE_VM_RECORD_H

/* What of the VM itself survives a save, and the names of a template's sections. */

#include "migration/vmstate.h"

typedef struct VmRecord {
    uint8_t running; /* it ran when the save was asked for, and so will what is restored */
    uint64_t clock_ns;
    uint64_t saved_at_us; /* of the host's wall clock, since 1970 */
    uint32_t cpus;
} VmRecord;

extern const VmStateDesc vm_record_vmstate;

#define SECTION_VM  "vm"
#define SECTION_KVM "kvm"

/* The section of a vCPU: "0", "1", ... */
#define SECTION_VCPU_SIZE 11
void section_vcpu_name(unsigned index, char ret_name[SECTION_VCPU_SIZE]);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/vm_record.h"

#include <stdio.h>

static const VmStateField fields[] = {
    VMSTATE_FIELD_BOOL(VmRecord, running, 1),
    VMSTATE_FIELD_U64(VmRecord, clock_ns, 1),
    VMSTATE_FIELD_U64(VmRecord, saved_at_us, 1),
    VMSTATE_FIELD_U32(VmRecord, cpus, 1),
};

const VmStateDesc vm_record_vmstate = {
    .name = "vm",
    .version = 1,
    .min_version = 1,
    .fields = fields,
    .num_fields = G_N_ELEMENTS(fields),
};

void section_vcpu_name(unsigned index, char ret_name[SECTION_VCPU_SIZE])
{
    snprintf(ret_name, SECTION_VCPU_SIZE, "%u", index);
}

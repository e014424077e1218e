/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A saved AArch64 vCPU.  The table is there, so that a VM of the fake hypervisor has a state like
 * everywhere; a real vCPU's registers are not in it yet, and saying so is the save's answer.
 */
#include "hypervisor/vcpu_arch.h"
#include "util/error.h"

struct VcpuState {
    uint8_t present; /* false: of a vCPU that is none (the fake hypervisor's) */
};

static bool check_vcpu(void *dev, uint32_t version, GError **error)
{
    const VcpuState *state = dev;

    (void)version;
    return !state->present || fail(error, VMM_ERROR_WIRE, "present: 1, expected 0");
}

static const VmStateField fields[] = {
    VMSTATE_FIELD_BOOL(VcpuState, present, 1),
};

const VmStateDesc vcpu_state_vmstate = {
    .name = "arm64-vcpu",
    .version = 1,
    .min_version = 1,
    .fields = fields,
    .num_fields = G_N_ELEMENTS(fields),
    .post_load = check_vcpu,
};

VcpuState *vcpu_state_new(void)
{
    return g_new0(VcpuState, 1);
}

void vcpu_state_free(VcpuState *state)
{
    g_free(state);
}

bool vcpu_arch_save(Vcpu *vcpu, VcpuState *state, GError **error)
{
    state->present = false;
    return vcpu->fd < 0 || fail(error, VMM_ERROR_STATE, "an AArch64 processor cannot be saved yet");
}

bool vcpu_arch_load(Vcpu *vcpu, CpuModel *model, const VcpuState *state, GError **error)
{
    (void)model;
    (void)state;
    return vcpu->fd < 0 || fail(error, VMM_ERROR_STATE, "it was saved without a processor");
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A saved vCPU reads the input.  What it accepts must save to something that it accepts again and
 * that saves to the same bytes; and what is asked of it without KVM must have an answer.
 */
#include "hypervisor/x86/msr.h"
#include "hypervisor/x86/vcpu_vmstate.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static GByteArray *save(VcpuState *state)
{
    GByteArray *out = g_byte_array_new();
    bool ok = vmstate_save(&vcpu_state_vmstate, state, out, NULL);

    g_assert(ok);
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(VcpuState) state = vcpu_state_new();
    g_autoptr(VcpuState) again = vcpu_state_new();
    g_autoptr(GError) error = NULL;

    if (!vmstate_load(&vcpu_state_vmstate, state, data, size, &error)) {
        g_assert(error && error->message[0] != '\0');
        return 0;
    }
    vcpu_state_has_feature(state, "avx");
    msr_value(state, MSR_TSC_DEADLINE);
    x86_segment_to_kvm(&state->control.cs);

    g_autoptr(GByteArray) first = save(state);
    bool ok = vmstate_load(&vcpu_state_vmstate, again, first->data, first->len, &error);

    g_assert(ok);

    g_autoptr(GByteArray) second = save(again);

    g_assert(first->len == second->len && memcmp(first->data, second->data, first->len) == 0);
    return 0;
}

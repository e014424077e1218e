/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The paravirtual clock of an x86 VM, and the instant at which it was read: in the host's wall
 * time, to catch up, and in its TSC, to move the guest's TSCs by the same.
 */
#include "hypervisor/vm_state.h"

#include "hypervisor/kvm.h"
#include "util/error.h"
#include "util/loop.h"

#include <linux/kvm.h>
#include <time.h>

#define NS_PER_S UINT64_C(1000000000)

struct VmState {
    uint8_t present; /* false: of the fake hypervisor */
    uint64_t clock_ns;
    uint64_t realtime_ns;
    uint64_t host_tsc;
};

/* A time further away than this is not one: the sum of two such still fits. */
#define MAX_NS (UINT64_MAX / 4)

static bool check_vm_state(void *dev, uint32_t version, GError **error)
{
    const VmState *state = dev;

    (void)version;
    if (state->clock_ns > MAX_NS) {
        return fail(error, VMM_ERROR_WIRE, "clock_ns: %" G_GUINT64_FORMAT " is out of range",
                    state->clock_ns);
    }
    return state->realtime_ns <= MAX_NS ||
           fail(error, VMM_ERROR_WIRE, "realtime_ns: %" G_GUINT64_FORMAT " is out of range",
                state->realtime_ns);
}

static const VmStateField fields[] = {
    VMSTATE_FIELD_BOOL(VmState, present, 1),
    VMSTATE_FIELD_U64(VmState, clock_ns, 1),
    VMSTATE_FIELD_U64(VmState, realtime_ns, 1),
    VMSTATE_FIELD_U64(VmState, host_tsc, 1),
};

const VmStateDesc vm_state_vmstate = {
    .name = "x86-vm",
    .version = 1,
    .min_version = 1,
    .fields = fields,
    .num_fields = G_N_ELEMENTS(fields),
    .post_load = check_vm_state,
};

VmState *vm_state_new(void)
{
    return g_new0(VmState, 1);
}

void vm_state_free(VmState *state)
{
    g_free(state);
}

static uint64_t realtime_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* The middle of the time that something took, for what happened somewhere in it. */
static uint64_t midway(uint64_t before, uint64_t after)
{
    return before + (after - before) / 2;
}

/*
 * Newer kernels tell the instant themselves, if they trust their TSC; else it is measured around
 * the call.  The flags are for reading only: given back to KVM_SET_CLOCK they are an error.
 */
bool vm_state_save(Hypervisor *hypervisor, VmState *state, GError **error)
{
    struct kvm_clock_data clock = {0};

    state->present = hypervisor_is_kvm(hypervisor);
    if (!state->present) {
        return true;
    }

    uint64_t tsc_before = __builtin_ia32_rdtsc();
    uint64_t real_before = realtime_ns();
    int result = kvm_ioctl(kvm_of(hypervisor)->vm_fd, KVM_GET_CLOCK, &clock);
    uint64_t real_after = realtime_ns();
    uint64_t tsc_after = __builtin_ia32_rdtsc();

    if (result < 0) {
        return fail_errno(error, -result, "KVM_GET_CLOCK");
    }
    state->clock_ns = clock.clock;
    state->realtime_ns =
        clock.flags & KVM_CLOCK_REALTIME ? clock.realtime : midway(real_before, real_after);
    state->host_tsc =
        clock.flags & KVM_CLOCK_HOST_TSC ? clock.host_tsc : midway(tsc_before, tsc_after);
    return true;
}

/*
 * A host whose wall clock is behind that of the save has nothing to catch up.  KVM could add the
 * difference itself (KVM_CLOCK_REALTIME), but then the TSCs would not know by how much.
 */
bool vm_state_load(Hypervisor *hypervisor, const VmState *state, ClockPolicy policy, GError **error)
{
    if (!hypervisor_is_kvm(hypervisor)) {
        return true;
    }
    if (!state->present) {
        return fail(error, VMM_ERROR_STATE, "it was saved without a clock");
    }

    Kvm *kvm = kvm_of(hypervisor);
    uint64_t now = realtime_ns();
    uint64_t advance =
        policy == CLOCK_CATCH_UP && now > state->realtime_ns ? now - state->realtime_ns : 0;
    struct kvm_clock_data clock = {.clock = state->clock_ns + advance};
    uint64_t tsc_before = __builtin_ia32_rdtsc();
    int result = kvm_ioctl(kvm->vm_fd, KVM_SET_CLOCK, &clock);
    uint64_t tsc_after = __builtin_ia32_rdtsc();

    if (result < 0) {
        return fail_errno(error, -result, "KVM_SET_CLOCK");
    }
    kvm->time_shift = (KvmTimeShift){
        .known = true,
        .advance_ns = advance,
        .host_tsc_saved = state->host_tsc,
        .host_tsc_loaded = midway(tsc_before, tsc_after),
        .loaded_ns = loop_now_ns(),
    };
    return true;
}

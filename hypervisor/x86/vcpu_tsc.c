/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TSC of a vCPU, which is the host's plus an offset, and at a load goes on by as much as
 * vm_state_load moved the guest's clock.
 *
 * By offset where that is possible: it is exact, and TSCs that ran together run together.  Else by
 * value: KVM takes values that are written close together for one and the same instant, and gives
 * all vCPUs one offset.
 */
#include "hypervisor/kvm.h"
#include "hypervisor/x86/msr.h"
#include "hypervisor/x86/vcpu_vmstate.h"
#include "util/error.h"
#include "util/log.h"
#include "util/loop.h"

#include <inttypes.h>

#define TOLERANCE_PPM 250 /* what a guest's own clock discipline takes */
#define PPM           UINT64_C(1000000)
#define NS_PER_MS     UINT64_C(1000000)
#define TOLERANCE_MS  2000 /* KVM itself takes a value that is 1 s off for a small correction */

/* Does this KVM move TSCs?  Kvm.tsc_moves; the first vCPU to be loaded finds out. */
enum {
    TSC_UNTRIED,
    TSC_MOVES,
    TSC_STAYS,
};

/* The offset counts only if the guest's TSC is as fast as the host's: if it leads to the value. */
bool vcpu_save_tsc(const Vcpu *vcpu, X86Tsc *tsc, GError **error)
{
    struct kvm_device_attr attr = {
        .group = KVM_VCPU_TSC_CTRL,
        .attr = KVM_VCPU_TSC_OFFSET,
        .addr = (uintptr_t)&tsc->offset,
    };
    int khz = kvm_ioctl_value(vcpu->fd, KVM_GET_TSC_KHZ, 0);

    if (khz <= 0) {
        return fail_errno(error, -khz, "KVM_GET_TSC_KHZ");
    }
    tsc->khz = (uint32_t)khz;
    tsc->offset = 0;
    tsc->has_offset = kvm_ioctl(vcpu->fd, KVM_GET_DEVICE_ATTR, &attr) >= 0;

    uint64_t before = __builtin_ia32_rdtsc();

    if (!msr_get(vcpu, MSR_TSC, &tsc->value, error)) {
        return false;
    }

    uint64_t after = __builtin_ia32_rdtsc();

    tsc->has_offset = tsc->has_offset && tsc->value - (before + tsc->offset) <= after - before;
    return true;
}

/* Known once any vCPU has been made (cpu_model.c). */
static uint32_t host_khz(Hypervisor *hypervisor)
{
    return atomic_load(&kvm_of(hypervisor)->tsc_khz);
}

/* Can the guest's TSC simply be the host's plus an offset? */
static bool khz_matches(uint32_t khz, uint32_t host)
{
    uint64_t difference = khz > host ? khz - host : host - khz;

    return difference * PPM <= (uint64_t)host * TOLERANCE_PPM;
}

static bool scale_tsc(const Vcpu *vcpu, uint32_t khz, GError **error)
{
    int result = kvm_ioctl_value(vcpu->fd, KVM_SET_TSC_KHZ, khz);

    return result >= 0 || fail(error, VMM_ERROR_HOST,
                               "the guest's TSC runs at %" PRIu32 " kHz, this host's at %" PRIu32
                               " kHz, and this host cannot scale it: %s",
                               khz, host_khz(vcpu->hypervisor), error_words(-result));
}

static uint64_t ns_to_cycles(uint64_t ns, uint32_t khz)
{
    return ns / NS_PER_MS * khz + ns % NS_PER_MS * khz / NS_PER_MS;
}

/* Where the TSC is to go: to the host's plus offset, or to a value that goes on from loaded_ns. */
typedef struct TscTarget {
    bool by_offset;
    uint64_t offset;
    uint64_t value;
    uint32_t khz;
    int64_t loaded_ns;
} TscTarget;

static TscTarget target_of(const X86Tsc *tsc, const KvmTimeShift *shift, bool scaled)
{
    uint64_t advance = ns_to_cycles(shift->advance_ns, tsc->khz);

    return (TscTarget){
        .by_offset = tsc->has_offset && !scaled,
        .offset = tsc->offset + advance - (shift->host_tsc_loaded - shift->host_tsc_saved),
        .value = tsc->value + advance,
        .khz = tsc->khz,
        .loaded_ns = shift->loaded_ns,
    };
}

static uint64_t target_now(const TscTarget *target)
{
    uint64_t since = (uint64_t)(loop_now_ns() - target->loaded_ns);

    return target->by_offset ? __builtin_ia32_rdtsc() + target->offset
                             : target->value + ns_to_cycles(since, target->khz);
}

static bool set_tsc(const Vcpu *vcpu, TscTarget *target, GError **error)
{
    struct kvm_device_attr attr = {
        .group = KVM_VCPU_TSC_CTRL,
        .attr = KVM_VCPU_TSC_OFFSET,
        .addr = (uintptr_t)&target->offset,
    };

    return (target->by_offset && kvm_ioctl(vcpu->fd, KVM_SET_DEVICE_ATTR, &attr) >= 0) ||
           msr_set(vcpu, MSR_TSC, target_now(target), error);
}

/*
 * There are KVMs, with guests that read the host's TSC itself, which take a new one and leave it
 * as it is.  That is worth knowing, but nothing to refuse: on the same host time has gone on.
 */
static bool check_tsc(const Vcpu *vcpu, const TscTarget *target, int64_t *ret_moved, GError **error)
{
    atomic_uint *moves = &kvm_of(vcpu->hypervisor)->tsc_moves;
    int64_t tolerance = (int64_t)target->khz * TOLERANCE_MS;
    uint64_t is;

    if (atomic_load(moves) == TSC_MOVES) {
        return true;
    }
    if (!msr_get(vcpu, MSR_TSC, &is, error)) {
        return false;
    }

    int64_t moved = (int64_t)(is - target_now(target));

    if (moved > -tolerance && moved < tolerance) {
        atomic_store(moves, TSC_MOVES);
        return true;
    }
    *ret_moved = moved;
    if (atomic_exchange(moves, TSC_STAYS) == TSC_UNTRIED) {
        log_line(LOG_LEVEL_WARNING,
                 "this host's KVM does not set a guest's TSC, which jumps by %" PRId64 " ms",
                 moved / (int64_t)target->khz);
    }
    return true;
}

bool vcpu_load_tsc(const Vcpu *vcpu, const X86Tsc *tsc, int64_t *ret_moved, GError **error)
{
    const KvmTimeShift *shift = &kvm_of(vcpu->hypervisor)->time_shift;
    bool scaled = !khz_matches(tsc->khz, host_khz(vcpu->hypervisor));
    TscTarget target = target_of(tsc, shift, scaled);

    if (!shift->known) {
        return fail(error, VMM_ERROR_STATE, "the VM's clock must be loaded before its vCPUs");
    }
    return (!scaled || scale_tsc(vcpu, tsc->khz, error)) && set_tsc(vcpu, &target, error) &&
           check_tsc(vcpu, &target, ret_moved, error);
}

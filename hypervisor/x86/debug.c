/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Debugging an x86 vCPU through KVM: the four debug registers, single steps, breakpoint
 * instructions.  While the debug registers are ours the guest's own are not in force.
 */
#include "hypervisor/x86/debug.h"

#include "hypervisor/kvm.h"
#include "hypervisor/vcpu.h"
#include "hypervisor/x86/msr.h"
#include "util/bytes.h"
#include "util/error.h"

#include <inttypes.h>
#include <linux/kvm.h>

#define VECTOR_BREAKPOINT 3

#define CR4_LA57          (UINT64_C(1) << 12)
#define BITS_4_LEVELS     48
#define BITS_5_LEVELS     57

#define NUM_POINTS        4
#define DR6_STEP          (UINT64_C(1) << 14)
#define DR7_FIXED         UINT64_C(0x600) /* a bit that is always set, and exact data breakpoints */
#define DR7_ENABLE(n)     (UINT64_C(2) << ((n)*2))
#define DR7_KIND_SHIFT(n) (16 + (n)*4)
#define DR7_LEN_SHIFT(n)  (18 + (n)*4)

/* As the debug registers encode them; there is no watching for reads alone. */
static const int dr7_kinds[] = {
    [DEBUG_POINT_EXECUTE] = 0,
    [DEBUG_POINT_WRITE] = 1,
    [DEBUG_POINT_READ] = -1,
    [DEBUG_POINT_ACCESS] = 3,
};
static const int dr7_lens[] = {
    [0] = -1, [1] = 0, [2] = 1, [3] = -1, [4] = 3, [5] = -1, [6] = -1, [7] = -1, [8] = 2};

static bool check(Hypervisor *hv, const DebugSettings *settings, GError **error)
{
    (void)hv;
    if (settings->num_points > NUM_POINTS) {
        return fail(error, VMM_ERROR_HOST, "the processor watches %d addresses, not %u", NUM_POINTS,
                    settings->num_points);
    }
    for (unsigned i = 0; i < settings->num_points; i++) {
        const DebugPoint *point = &settings->points[i];

        if (dr7_kinds[point->kind] < 0) {
            return fail(error, VMM_ERROR_HOST, "the processor cannot watch for reads alone");
        }
        if (point->len >= G_N_ELEMENTS(dr7_lens) || dr7_lens[point->len] < 0 ||
            !is_aligned(point->address, point->len)) {
            return fail(error, VMM_ERROR_HOST,
                        "0x%" PRIx64 " +%" PRIu64 ": the processor watches 1, 2, 4 or 8 bytes "
                        "that are aligned",
                        point->address, point->len);
        }
    }
    return true;
}

static bool can_block_interrupts(const Vcpu *vcpu)
{
    int controls = kvm_ioctl_value(kvm_of(vcpu->hypervisor)->fd, KVM_CHECK_EXTENSION,
                                   KVM_CAP_SET_GUEST_DEBUG2);

    return controls > 0 && (controls & KVM_GUESTDBG_BLOCKIRQ);
}

void x86_debug_encode(const DebugSettings *settings, struct kvm_guest_debug *ret_debug)
{
    struct kvm_guest_debug debug = {0};

    if (settings->software) {
        debug.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP;
    }
    if (settings->step) {
        debug.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP;
    }
    if (settings->step && settings->mask) {
        debug.control |= KVM_GUESTDBG_BLOCKIRQ;
    }
    if (settings->num_points > 0) {
        debug.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP;
        debug.arch.debugreg[7] = DR7_FIXED;
    }
    for (unsigned i = 0; i < settings->num_points; i++) {
        const DebugPoint *point = &settings->points[i];

        debug.arch.debugreg[i] = point->address;
        debug.arch.debugreg[7] |= DR7_ENABLE(i) |
                                  (uint64_t)dr7_kinds[point->kind] << DR7_KIND_SHIFT(i) |
                                  (uint64_t)dr7_lens[point->len] << DR7_LEN_SHIFT(i);
    }
    *ret_debug = debug;
}

static bool set_guest_debug(Vcpu *vcpu, const DebugSettings *settings, uint32_t more,
                            GError **error)
{
    struct kvm_guest_debug debug;
    int result;

    x86_debug_encode(settings, &debug);
    debug.control |= more;
    result = kvm_ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &debug);
    return result >= 0 || fail_errno(error, -result, "KVM_SET_GUEST_DEBUG");
}

static bool apply(Vcpu *vcpu, const DebugSettings *settings, GError **error)
{
    vcpu->debug = *settings;
    vcpu->debug.mask = settings->step && settings->mask && can_block_interrupts(vcpu);
    return set_guest_debug(vcpu, &vcpu->debug, 0, error);
}

/* A step may end where a breakpoint is; it is a step all the same. */
static bool hit_point(const DebugSettings *settings, uint64_t dr6, DebugStop *ret_stop)
{
    for (unsigned i = 0; i < settings->num_points; i++) {
        const DebugPoint *point = &settings->points[i];

        if ((dr6 & UINT64_C(1) << i) && !(settings->step && point->kind == DEBUG_POINT_EXECUTE)) {
            *ret_stop = (DebugStop){DEBUG_STOP_POINT, point->address, point->kind};
            return true;
        }
    }
    return false;
}

void x86_debug_decode(const DebugSettings *settings, const struct kvm_debug_exit_arch *exit,
                      DebugStop *ret_stop)
{
    if (exit->exception == VECTOR_BREAKPOINT) {
        *ret_stop = (DebugStop){.kind = DEBUG_STOP_SOFTWARE, .address = exit->pc};
    } else if (!hit_point(settings, exit->dr6, ret_stop)) {
        bool step = settings->step && (exit->dr6 & DR6_STEP);

        *ret_stop =
            (DebugStop){.kind = step ? DEBUG_STOP_STEP : DEBUG_STOP_NONE, .address = exit->pc};
    }
}

static void explain(Vcpu *vcpu, DebugStop *ret_stop)
{
    x86_debug_decode(&vcpu->debug, &vcpu->run->debug.arch, ret_stop);
}

/* KVM has told us what DR6 would hold; the guest's handler reads it there. */
static bool give_back(Vcpu *vcpu, GError **error)
{
    const struct kvm_debug_exit_arch exit = vcpu->run->debug.arch;
    struct kvm_debugregs regs;
    int result;

    if (exit.exception == VECTOR_BREAKPOINT) {
        return set_guest_debug(vcpu, &vcpu->debug, KVM_GUESTDBG_INJECT_BP, error);
    }
    result = kvm_ioctl(vcpu->fd, KVM_GET_DEBUGREGS, &regs);
    if (result >= 0) {
        regs.dr6 = exit.dr6;
        result = kvm_ioctl(vcpu->fd, KVM_SET_DEBUGREGS, &regs);
    }
    if (result < 0) {
        return fail_errno(error, -result, "KVM_SET_DEBUGREGS");
    }
    return set_guest_debug(vcpu, &vcpu->debug, KVM_GUESTDBG_INJECT_DB, error);
}

/* Numbers are those of model-specific registers. */
static bool read_numbered(Vcpu *vcpu, uint64_t number, uint8_t *ret_value, size_t *ret_bytes,
                          GError **error)
{
    uint64_t value;

    if (number > UINT32_MAX) {
        return fail(error, VMM_ERROR_CONFIG,
                    "there is no register 0x%" PRIx64
                    ": model-specific registers end at 0xffffffff",
                    number);
    }
    if (!msr_get(vcpu, (uint32_t)number, &value, error)) {
        return false;
    }
    store_le64(ret_value, value);
    *ret_bytes = sizeof(value);
    return true;
}

/* The upper bits all repeat the highest of those that are translated. */
static bool is_canonical(uint64_t address, unsigned bits)
{
    uint64_t upper = address >> (bits - 1);

    return upper == 0 || upper == UINT64_MAX >> (bits - 1);
}

/* KVM looks at the bits that it translates only. */
static bool is_address(const Vcpu *vcpu, uint64_t address)
{
    struct kvm_sregs sregs;

    return is_canonical(address, BITS_4_LEVELS) ||
           (is_canonical(address, BITS_5_LEVELS) &&
            kvm_ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) >= 0 && (sregs.cr4 & CR4_LA57));
}

static bool translate(Vcpu *vcpu, const GuestMemory *mem, uint64_t address, uint64_t *ret_gpa)
{
    struct kvm_translation translation = {.linear_address = address};

    (void)mem;
    if (!is_address(vcpu, address) || kvm_ioctl(vcpu->fd, KVM_TRANSLATE, &translation) < 0 ||
        !translation.valid) {
        return false;
    }
    *ret_gpa = translation.physical_address;
    return true;
}

const DebugOps kvm_debug_ops = {
    .check = check,
    .apply = apply,
    .read_registers = x86_debug_read_registers,
    .write_registers = x86_debug_write_registers,
    .read_numbered = read_numbered,
    .translate = translate,
    .explain = explain,
    .give_back = give_back,
};

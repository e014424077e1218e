/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Debugging an AArch64 vCPU through KVM: breakpoint and watchpoint registers, single steps, BRK.
 * While these registers are ours the guest's own are not in force.
 */
#include "hypervisor/arm64/debug.h"

#include "hypervisor/arm64/page_walk.h"
#include "hypervisor/kvm.h"
#include "hypervisor/vcpu.h"
#include "util/bytes.h"
#include "util/error.h"

#include <inttypes.h>

/* Both registers: enabled, for EL1 and EL0. */
#define CONTROL_ENABLED     UINT64_C(7)
#define BCR_WHOLE           (UINT64_C(0xf) << 5)
#define WCR_KIND_SHIFT      3
#define WCR_BYTES_SHIFT     5
#define WCR_MASK_SHIFT      24
#define WCR_UNIT            UINT64_C(8) /* one register watches some of as many bytes, aligned */
#define WATCH_MAX           (UINT64_C(1) << 31)

#define ESR_CLASS_SHIFT     26
#define CLASS_BREAKPOINT    0x30 /* from a lower level, as the three; one more is from the same */
#define CLASS_STEP          0x32
#define CLASS_WATCHPOINT    0x34
#define CLASS_BRK           0x3c

#define PSTATE_SP           UINT64_C(1) /* SP_ELx rather than SP_EL0 */
#define PSTATE_LEVEL        UINT64_C(0xc)
#define PSTATE_AARCH32      UINT64_C(0x10)
#define PSTATE_IN_EXCEPTION UINT64_C(0x3c5) /* EL1 with its own stack pointer, all masked */

/* ---- where to stop ------------------------------------------------------------------------- */

/* By LSC: loads, stores. */
static const uint8_t wcr_kinds[] = {
    [DEBUG_POINT_WRITE] = 2,
    [DEBUG_POINT_READ] = 1,
    [DEBUG_POINT_ACCESS] = 3,
};

/* Some of eight bytes that are aligned, or more as one aligned power of two. */
static bool can_watch(const DebugPoint *point)
{
    if (point->len == 0 || point->len > WATCH_MAX) {
        return false;
    }
    if (point->len <= WCR_UNIT) {
        return point->address % WCR_UNIT + point->len <= WCR_UNIT;
    }
    return is_power_of_two(point->len) && is_aligned(point->address, point->len);
}

bool arm64_debug_check(const DebugSettings *settings, const Arm64DebugLimits *limits,
                       GError **error)
{
    unsigned breakpoints = 0;
    unsigned watchpoints = 0;

    for (unsigned i = 0; i < settings->num_points; i++) {
        const DebugPoint *point = &settings->points[i];

        if (point->kind == DEBUG_POINT_EXECUTE) {
            breakpoints++;
        } else if (can_watch(point)) {
            watchpoints++;
        } else {
            return fail(error, VMM_ERROR_HOST,
                        "0x%" PRIx64 " +%" PRIu64 ": the processor watches up to 8 aligned bytes, "
                        "or an aligned power of two",
                        point->address, point->len);
        }
    }
    if (breakpoints > limits->breakpoints || watchpoints > limits->watchpoints) {
        return fail(error, VMM_ERROR_HOST,
                    "the processor has %u breakpoints and %u watchpoints, not %u and %u",
                    limits->breakpoints, limits->watchpoints, breakpoints, watchpoints);
    }
    return true;
}

static bool check(Hypervisor *hv, const DebugSettings *settings, GError **error)
{
    int fd = kvm_of(hv)->fd;
    int breakpoints = kvm_ioctl_value(fd, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_DEBUG_HW_BPS);
    int watchpoints = kvm_ioctl_value(fd, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_DEBUG_HW_WPS);
    const Arm64DebugLimits limits = {
        .breakpoints = (unsigned)CLAMP(breakpoints, 0, KVM_ARM_MAX_DBG_REGS),
        .watchpoints = (unsigned)CLAMP(watchpoints, 0, KVM_ARM_MAX_DBG_REGS),
    };

    return arm64_debug_check(settings, &limits, error);
}

static void encode_watchpoint(const DebugPoint *point, uint64_t *ret_control, uint64_t *ret_address)
{
    uint64_t control = CONTROL_ENABLED | (uint64_t)wcr_kinds[point->kind] << WCR_KIND_SHIFT;
    uint64_t bytes = 0xff;

    if (point->len <= WCR_UNIT) {
        bytes = ((UINT64_C(1) << point->len) - 1) << point->address % WCR_UNIT;
    } else {
        control |= (uint64_t)__builtin_ctzll(point->len) << WCR_MASK_SHIFT;
    }
    *ret_control = control | bytes << WCR_BYTES_SHIFT;
    *ret_address = align_down(point->address, WCR_UNIT);
}

void arm64_debug_encode(const DebugSettings *settings, struct kvm_guest_debug *ret_debug)
{
    struct kvm_guest_debug debug = {0};
    unsigned breakpoints = 0;
    unsigned watchpoints = 0;

    if (settings->software) {
        debug.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP;
    }
    if (settings->step) {
        debug.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP;
    }
    if (settings->num_points > 0) {
        debug.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW;
    }
    for (unsigned i = 0; i < settings->num_points; i++) {
        const DebugPoint *point = &settings->points[i];

        if (point->kind == DEBUG_POINT_EXECUTE) {
            debug.arch.dbg_bcr[breakpoints] = CONTROL_ENABLED | BCR_WHOLE;
            debug.arch.dbg_bvr[breakpoints] = align_down(point->address, 4);
            breakpoints++;
        } else {
            encode_watchpoint(point, (uint64_t *)&debug.arch.dbg_wcr[watchpoints],
                              (uint64_t *)&debug.arch.dbg_wvr[watchpoints]);
            watchpoints++;
        }
    }
    *ret_debug = debug;
}

static bool apply(Vcpu *vcpu, const DebugSettings *settings, GError **error)
{
    struct kvm_guest_debug debug;
    int result;

    vcpu->debug = *settings;
    arm64_debug_encode(settings, &debug);
    result = kvm_ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &debug);
    return result >= 0 || fail_errno(error, -result, "KVM_SET_GUEST_DEBUG");
}

/* ---- why it stopped ------------------------------------------------------------------------ */

/* The address may lie before the bytes that are watched: an access is as wide as it is. */
static void decode_watchpoint(const DebugSettings *settings, uint64_t far, DebugStop *ret_stop)
{
    const DebugPoint *found = NULL;

    for (unsigned i = 0; i < settings->num_points; i++) {
        const DebugPoint *point = &settings->points[i];
        bool inside = far >= point->address && far - point->address < point->len;

        if (point->kind != DEBUG_POINT_EXECUTE && (inside || !found)) {
            found = point;
        }
        if (found == point && inside) {
            break;
        }
    }
    if (found) {
        *ret_stop = (DebugStop){DEBUG_STOP_POINT, found->address, found->kind};
    }
}

void arm64_debug_decode(const DebugSettings *settings, const struct kvm_debug_exit_arch *exit,
                        uint64_t pc, DebugStop *ret_stop)
{
    DebugStop stop = {.kind = DEBUG_STOP_NONE, .address = pc};

    switch (exit->hsr >> ESR_CLASS_SHIFT) {
    case CLASS_STEP:
        stop.kind = settings->step ? DEBUG_STOP_STEP : DEBUG_STOP_NONE;
        break;
    case CLASS_BREAKPOINT:
        stop.kind = settings->num_points > 0 ? DEBUG_STOP_POINT : DEBUG_STOP_NONE;
        stop.point = DEBUG_POINT_EXECUTE;
        break;
    case CLASS_WATCHPOINT:
        decode_watchpoint(settings, exit->far, &stop);
        break;
    case CLASS_BRK:
        stop.kind = DEBUG_STOP_SOFTWARE;
        break;
    default:
        break;
    }
    *ret_stop = stop;
}

static void explain(Vcpu *vcpu, DebugStop *ret_stop)
{
    uint64_t pc = 0;

    arm64_debug_get(vcpu, ARM64_CORE_REG(regs.pc), &pc, NULL);
    arm64_debug_decode(&vcpu->debug, &vcpu->run->debug.arch, pc, ret_stop);
}

/* ---- the guest's own exceptions ------------------------------------------------------------ */

void arm64_debug_take(const struct kvm_debug_exit_arch *exit, uint64_t pc, uint64_t pstate,
                      uint64_t vbar, Arm64Exception *ret_exception)
{
    bool same_level = (pstate & (PSTATE_LEVEL | PSTATE_AARCH32)) != 0 && !(pstate & PSTATE_AARCH32);
    uint32_t class = exit->hsr >> ESR_CLASS_SHIFT;
    uint64_t offset = pstate & PSTATE_AARCH32 ? 0x600
                      : !same_level           ? 0x400
                      : pstate & PSTATE_SP    ? 0x200
                                              : 0;

    *ret_exception = (Arm64Exception){
        .pc = vbar + offset,
        .pstate = PSTATE_IN_EXCEPTION,
        .elr = pc,
        .spsr = pstate,
        .esr = exit->hsr,
        .far = exit->far,
    };
    if (same_level && class != CLASS_BRK) {
        ret_exception->esr |= UINT64_C(1) << ESR_CLASS_SHIFT;
    }
}

/* KVM has no way to be asked for it, so the vCPU is put where the exception would have put it. */
static bool give_back(Vcpu *vcpu, GError **error)
{
    const struct kvm_debug_exit_arch exit = vcpu->run->debug.arch;
    Arm64Exception taken;
    uint64_t pc;
    uint64_t pstate;
    uint64_t vbar;

    if (!arm64_debug_get(vcpu, ARM64_CORE_REG(regs.pc), &pc, error) ||
        !arm64_debug_get(vcpu, ARM64_CORE_REG(regs.pstate), &pstate, error) ||
        !arm64_debug_get(vcpu, ARM64_VBAR_EL1, &vbar, error)) {
        return false;
    }
    arm64_debug_take(&exit, pc, pstate, vbar, &taken);
    if (exit.hsr >> ESR_CLASS_SHIFT == CLASS_WATCHPOINT &&
        !arm64_debug_set(vcpu, ARM64_FAR_EL1, taken.far, error)) {
        return false;
    }
    return arm64_debug_set(vcpu, ARM64_ESR_EL1, taken.esr, error) &&
           arm64_debug_set(vcpu, ARM64_CORE_REG(elr_el1), taken.elr, error) &&
           arm64_debug_set(vcpu, ARM64_CORE_REG(spsr[KVM_SPSR_EL1]), taken.spsr, error) &&
           arm64_debug_set(vcpu, ARM64_CORE_REG(regs.pstate), taken.pstate, error) &&
           arm64_debug_set(vcpu, ARM64_CORE_REG(regs.pc), taken.pc, error);
}

/* ---- addresses ----------------------------------------------------------------------------- */

static bool translate(Vcpu *vcpu, const GuestMemory *mem, uint64_t address, uint64_t *ret_gpa)
{
    Arm64Regime regime;

    return arm64_debug_get(vcpu, ARM64_SCTLR_EL1, &regime.sctlr, NULL) &&
           arm64_debug_get(vcpu, ARM64_TCR_EL1, &regime.tcr, NULL) &&
           arm64_debug_get(vcpu, ARM64_TTBR0_EL1, &regime.ttbr0, NULL) &&
           arm64_debug_get(vcpu, ARM64_TTBR1_EL1, &regime.ttbr1, NULL) &&
           arm64_page_walk(mem, &regime, address, ret_gpa);
}

const DebugOps kvm_debug_ops = {
    .check = check,
    .apply = apply,
    .read_registers = arm64_debug_read_registers,
    .write_registers = arm64_debug_write_registers,
    .read_numbered = arm64_debug_read_numbered,
    .translate = translate,
    .explain = explain,
    .give_back = give_back,
};

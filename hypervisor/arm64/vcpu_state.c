/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The register state of an AArch64 vCPU: power-on, and in words.
 *
 * KVM_ARM_VCPU_INIT does the power-on: EL1, caches and MMU off, interrupts masked, everything
 * else 0, and all but the boot processor waiting for PSCI CPU_ON.  Said again with the same
 * features it is a reset.
 */
#include "hypervisor/arm64/cpu_model.h"
#include "hypervisor/kvm.h"
#include "hypervisor/vcpu_arch.h"
#include "util/error.h"

#include <linux/kvm.h>

#define CORE_REG(member) \
    (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(member))

/* EL1 with its own stack pointer; debug, SError, IRQ and FIQ masked. */
#define PSTATE_AT_ENTRY UINT64_C(0x3c5)

typedef struct NamedRegister {
    const char *name;
    uint64_t id;
} NamedRegister;

static bool set_register(const Vcpu *vcpu, const NamedRegister *reg, uint64_t value, GError **error)
{
    struct kvm_one_reg one = {.id = reg->id, .addr = (uintptr_t)&value};
    int result = kvm_ioctl(vcpu->fd, KVM_SET_ONE_REG, &one);

    return result >= 0 || fail_errno(error, -result, "KVM_SET_ONE_REG %s", reg->name);
}

static int get_register(const Vcpu *vcpu, uint64_t id, uint64_t *ret_value)
{
    struct kvm_one_reg one = {.id = id, .addr = (uintptr_t)ret_value};

    return kvm_ioctl(vcpu->fd, KVM_GET_ONE_REG, &one);
}

static bool power_on(const Vcpu *vcpu, const CpuModel *model, GError **error)
{
    struct kvm_vcpu_init init = *cpu_model_vcpu_init(model);

    if (vcpu->index > 0) {
        init.features[0] |= UINT32_C(1) << KVM_ARM_VCPU_POWER_OFF;
    }

    int result = kvm_ioctl(vcpu->fd, KVM_ARM_VCPU_INIT, &init);

    return result >= 0 || fail_errno(error, -result, "KVM_ARM_VCPU_INIT");
}

bool vcpu_arch_init(Vcpu *vcpu, CpuModel *model, GError **error)
{
    int feature = KVM_ARM_VCPU_SVE;
    int result = 0;

    if (!power_on(vcpu, model, error)) {
        return false;
    }
    if (cpu_model_has_sve(model)) {
        result = kvm_ioctl(vcpu->fd, KVM_ARM_VCPU_FINALIZE, &feature);
    }
    return result >= 0 || fail_errno(error, -result, "KVM_ARM_VCPU_FINALIZE for SVE");
}

bool vcpu_arch_enter(Vcpu *vcpu, const CpuModel *model, const VcpuEntry *entry, GError **error)
{
    static const NamedRegister pc = {"pc", CORE_REG(regs.pc)};
    static const NamedRegister pstate = {"pstate", CORE_REG(regs.pstate)};
    static const NamedRegister x0 = {"x0", CORE_REG(regs.regs[0])};

    (void)model;
    if (!entry || entry->mode == VCPU_ENTRY_POWER_ON) {
        return true;
    }
    return set_register(vcpu, &pstate, PSTATE_AT_ENTRY, error) &&
           set_register(vcpu, &pc, entry->pc, error) && set_register(vcpu, &x0, entry->x0, error);
}

bool vcpu_arch_reset(Vcpu *vcpu, CpuModel *model, const VcpuEntry *entry, GError **error)
{
    return power_on(vcpu, model, error) && vcpu_arch_enter(vcpu, model, entry, error);
}

/* What tells most about a guest that is lost: where it is, and the last exception it took. */
static const NamedRegister described[] = {
    {"pc", CORE_REG(regs.pc)},
    {"pstate", CORE_REG(regs.pstate)},
    {"sp_el0", CORE_REG(regs.sp)},
    {"sp_el1", CORE_REG(sp_el1)},
    {"elr_el1", CORE_REG(elr_el1)},
    {"esr_el1", ARM64_SYS_REG(3, 0, 5, 2, 0)},
    {"far_el1", ARM64_SYS_REG(3, 0, 6, 0, 0)},
    {"vbar_el1", ARM64_SYS_REG(3, 0, 12, 0, 0)},
};

char *vcpu_arch_describe(Vcpu *vcpu)
{
    const uint64_t first = CORE_REG(regs.regs[0]);
    const uint64_t step = CORE_REG(regs.regs[1]) - first;
    g_autoptr(GString) text = g_string_new(NULL);
    uint64_t value;

    for (size_t i = 0; i < G_N_ELEMENTS(described); i++) {
        if (vcpu->fd < 0 || get_register(vcpu, described[i].id, &value) < 0) {
            return g_strdup("no registers");
        }
        g_string_append_printf(text, "%s=%llx ", described[i].name, (unsigned long long)value);
    }
    for (unsigned i = 0; i <= 30; i++) {
        if (get_register(vcpu, first + i * step, &value) < 0) {
            return g_strdup("no registers");
        }
        g_string_append_printf(text, "%sx%u=%llx", i > 0 ? " " : "", i, (unsigned long long)value);
    }
    return g_strdup(text->str);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KVM on AArch64 shows the guest the host's own processor; a model can only leave out the few
 * features that come with state of their own.  Those that the host has are there unless they are
 * taken away by name.
 */
#include "hypervisor/arm64/cpu_model.h"

#include "hypervisor/kvm.h"
#include "util/error.h"

typedef struct ArmFeature {
    const char *name;
    int capabilities[2]; /* all that are not 0 */
    uint32_t init_bits;  /* of kvm_vcpu_init.features[0] */
} ArmFeature;

#define INIT_BIT(feature) (UINT32_C(1) << (feature))

static const ArmFeature features[] = {
    {"pauth",
     {KVM_CAP_ARM_PTRAUTH_ADDRESS, KVM_CAP_ARM_PTRAUTH_GENERIC},
     INIT_BIT(KVM_ARM_VCPU_PTRAUTH_ADDRESS) | INIT_BIT(KVM_ARM_VCPU_PTRAUTH_GENERIC)},
    {"sve", {KVM_CAP_ARM_SVE}, INIT_BIT(KVM_ARM_VCPU_SVE)},
};

struct CpuModel {
    /* fixed after creation */
    struct kvm_vcpu_init init;
};

static const ArmFeature *find_feature(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(features); i++) {
        if (strcmp(features[i].name, name) == 0) {
            return &features[i];
        }
    }
    return NULL;
}

static bool host_has(const Kvm *kvm, const ArmFeature *feature)
{
    for (size_t i = 0; i < G_N_ELEMENTS(feature->capabilities); i++) {
        int capability = feature->capabilities[i];

        if (capability != 0 &&
            kvm_ioctl_value(kvm->fd, KVM_CHECK_EXTENSION, (unsigned long)capability) <= 0) {
            return false;
        }
    }
    return true;
}

static bool apply_switch(CpuModel *model, const Kvm *kvm, const CpuFeatureSwitch *change,
                         GError **error)
{
    const ArmFeature *feature = find_feature(change->name);

    if (!feature) {
        return fail(error, VMM_ERROR_CONFIG, "-cpu: there is no feature '%s'", change->name);
    }
    if (change->on && !host_has(kvm, feature)) {
        return fail(error, VMM_ERROR_HOST, "-cpu: this host does not have feature '%s'",
                    change->name);
    }
    if (change->on) {
        model->init.features[0] |= feature->init_bits;
    } else {
        model->init.features[0] &= ~feature->init_bits;
    }
    return true;
}

static bool fill_init(CpuModel *model, const Kvm *kvm, const CpuModelConfig *config, GError **error)
{
    int result = kvm_ioctl(kvm->vm_fd, KVM_ARM_PREFERRED_TARGET, &model->init);

    if (result < 0) {
        return fail_errno(error, -result, "KVM_ARM_PREFERRED_TARGET");
    }
    model->init.features[0] |= INIT_BIT(KVM_ARM_VCPU_PSCI_0_2);
    for (size_t i = 0; i < G_N_ELEMENTS(features); i++) {
        if (host_has(kvm, &features[i])) {
            model->init.features[0] |= features[i].init_bits;
        }
    }
    for (size_t i = 0; i < config->num_switches; i++) {
        if (!apply_switch(model, kvm, &config->switches[i], error)) {
            return false;
        }
    }
    return true;
}

CpuModel *cpu_model_new(Hypervisor *hypervisor, const CpuModelConfig *config, GError **error)
{
    g_autoptr(CpuModel) model = g_new0(CpuModel, 1);

    if (!g_strv_contains(cpu_model_names(), config->name)) {
        return fail_null(error, VMM_ERROR_CONFIG, "-cpu: there is no model '%s'", config->name);
    }
    /* Its interrupt is wired to a GIC that nobody has made when vCPUs are set up. */
    if (config->pmu) {
        return fail_null(error, VMM_ERROR_CONFIG, "-cpu: pmu=on is for x86 guests only");
    }
    if (!fill_init(model, kvm_of(hypervisor), config, error)) {
        return NULL;
    }
    return g_steal_pointer(&model);
}

/* There is nothing that has to be asked for. */
void cpu_model_prepare(CpuModel *model)
{
    (void)model;
}

void cpu_model_free(CpuModel *model)
{
    g_free(model);
}

/* KVM numbers the affinity fields of MPIDR_EL1 by itself: 16 vCPUs to a cluster of level 1. */
uint32_t cpu_model_hardware_id(const CpuModel *model, unsigned index)
{
    (void)model;
    return (index & 0xf) | (index >> 4 & 0xff) << 8 | (index >> 12 & 0xff) << 16;
}

const char *const *cpu_model_names(void)
{
    static const char *const names[] = {"host", "max", NULL};

    return names;
}

const char *const *cpu_model_feature_names(void)
{
    static const char *const names[] = {"pauth", "sve", NULL};

    return names;
}

const struct kvm_vcpu_init *cpu_model_vcpu_init(const CpuModel *model)
{
    return &model->init;
}

bool cpu_model_has_sve(const CpuModel *model)
{
    return model->init.features[0] & INIT_BIT(KVM_ARM_VCPU_SVE);
}

bool cpu_model_list_features(CpuModel *model, CpuFeatureFn fn, void *opaque, GError **error)
{
    (void)error;
    fn(opaque, "pauth", model->init.features[0] & INIT_BIT(KVM_ARM_VCPU_PTRAUTH_ADDRESS));
    fn(opaque, "sve", cpu_model_has_sve(model));
    return true;
}

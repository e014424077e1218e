/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/sandbox_policy.h"

#include <linux/audit.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <ucontext.h>

const uint32_t sandbox_arch_audit = AUDIT_ARCH_AARCH64;

/* The architecture is younger than the old calls. */
const SandboxRules sandbox_arch_rules = {0};

static const SandboxValue requests[] = {
    {KVM_ARM_VCPU_FINALIZE, ROLE_VCPU},
    {KVM_ARM_VCPU_INIT, ROLE_VCPU},
    {KVM_GET_ONE_REG, ROLE_MAIN | ROLE_VCPU},
    {KVM_GET_REG_LIST, ROLE_VCPU},
    {KVM_SET_ONE_REG, ROLE_VCPU},
};
const SandboxValues sandbox_arch_ioctls = SANDBOX_TABLE(value, requests);

uint64_t sandbox_arch_argument(const void *context, unsigned index)
{
    const ucontext_t *uc = context;

    return uc->uc_mcontext.regs[index % 6];
}

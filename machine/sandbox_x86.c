/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/sandbox_policy.h"

#include <linux/audit.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <ucontext.h>

#define M     ROLE_MAIN
#define V     ROLE_VCPU
#define FILES (ROLE_MAIN | ROLE_MIGRATION)

const uint32_t sandbox_arch_audit = AUDIT_ARCH_X86_64;

/* The C library still uses the old calls where there are any. */
static const SandboxRule rules[] = {
    SANDBOX_ALLOW(access, FILES),
    SANDBOX_ALLOW(dup2, FILES),
    SANDBOX_ALLOW(epoll_wait, M | ROLE_LOOP),
    SANDBOX_ALLOW(mkdir, FILES),
    SANDBOX_ALLOW(poll, M | V | ROLE_LOOP | ROLE_MIGRATION | ROLE_FILL),
    SANDBOX_ALLOW(readlink, FILES),
    SANDBOX_ALLOW(rename, FILES),
    SANDBOX_ALLOW(rmdir, FILES),
    SANDBOX_ALLOW(unlink, FILES),
};
const SandboxRules sandbox_arch_rules = SANDBOX_TABLE(rule, rules);

static const SandboxValue requests[] = {
    {KVM_GET_CLOCK, M | V},
    {KVM_GET_CPUID2, V},
    {KVM_GET_DEBUGREGS, V},
    {KVM_GET_FPU, V},
    {KVM_GET_LAPIC, V},
    {KVM_NMI, V},
    {KVM_GET_MSRS, V},
    {KVM_GET_MSR_INDEX_LIST, M | V},
    {KVM_GET_NESTED_STATE, V},
    {KVM_GET_REGS, M | V},
    {KVM_GET_SREGS, M | V},
    {KVM_GET_SREGS2, V},
    {KVM_GET_SUPPORTED_CPUID, M | V},
    {KVM_GET_TSC_KHZ, M | V},
    {KVM_GET_XCRS, V},
    {KVM_GET_XSAVE, V},
    {KVM_GET_XSAVE2, V},
    {KVM_KVMCLOCK_CTRL, V},
    {KVM_SET_CLOCK, M | V},
    {KVM_SET_CPUID2, V},
    {KVM_SET_DEBUGREGS, V},
    {KVM_SET_FPU, V},
    {KVM_SET_LAPIC, V},
    {KVM_SET_MSRS, V},
    {KVM_SET_NESTED_STATE, V},
    {KVM_SET_REGS, V},
    {KVM_SET_SREGS, V},
    {KVM_SET_SREGS2, V},
    {KVM_SET_TSC_KHZ, V},
    {KVM_SET_XCRS, V},
    {KVM_SET_XSAVE, V},
    {KVM_TRANSLATE, V},
};
const SandboxValues sandbox_arch_ioctls = SANDBOX_TABLE(value, requests);

uint64_t sandbox_arch_argument(const void *context, unsigned index)
{
    static const uint8_t registers[] = {REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8, REG_R9};
    const ucontext_t *uc = context;

    return (uint64_t)uc->uc_mcontext.gregs[registers[index % G_N_ELEMENTS(registers)]];
}

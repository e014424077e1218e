/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at vCPUs, and poking them, while the VM runs or not. */
#include "hypervisor/vcpu_arch.h"
#include "machine/vm.h"

/* A request that has come meanwhile stopped the vCPUs too; its handler starts them, or does not. */
static bool has_requests(Vm *vm)
{
    bool waiting;

    mutex_lock(&vm->request_lock);
    waiting = vm->requests != 0;
    mutex_unlock(&vm->request_lock);
    return waiting;
}

bool vm_each_vcpu(Vm *vm, VcpuFn fn, void *opaque, GError **error)
{
    bool ok;

    vcpus_pause(vm->vcpus);
    ok = vcpus_each(vm->vcpus, fn, opaque, error);
    if (run_state_is_running(vm->state) && !has_requests(vm)) {
        vcpus_resume(vm->vcpus);
    }
    return ok;
}

static bool describe(Vcpu *vcpu, void *opaque, GError **error)
{
    char **texts = opaque;

    (void)error;
    texts[vcpu->index] = vcpu_arch_describe(vcpu);
    return true;
}

char **vm_describe_vcpus(Vm *vm, GError **error)
{
    g_auto(GStrv) texts = g_new0(char *, vcpus_count(vm->vcpus) + 1);

    return vm_each_vcpu(vm, describe, texts, error) ? g_steal_pointer(&texts) : NULL;
}

static bool inject_nmi(Vcpu *vcpu, void *opaque, GError **error)
{
    (void)opaque;
    return vcpu_arch_nmi(vcpu, error);
}

bool vm_inject_nmi(Vm *vm, GError **error)
{
    return vm_each_vcpu(vm, inject_nmi, /* opaque= */ NULL, error);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What vCPU exits turn into: bus accesses, acknowledged interrupts, requests to the VM. */
#include "hypervisor/vcpu_arch.h"
#include "machine/vm.h"

#include <linux/kvm.h>

static Bus *bus_of(const Vm *vm, VcpuSpace space)
{
    return space == VCPU_SPACE_PORT ? vm->ports : vm->mmio;
}

static uint64_t exit_read(void *opaque, VcpuSpace space, uint64_t address, unsigned size)
{
    const Vm *vm = opaque;
    uint64_t value;

    bus_read(bus_of(vm, space), address, size, &value);
    return value;
}

static void exit_write(void *opaque, VcpuSpace space, uint64_t address, unsigned size,
                       uint64_t value)
{
    const Vm *vm = opaque;

    bus_write(bus_of(vm, space), address, size, value);
}

static void exit_eoi(void *opaque, unsigned vector)
{
    const Vm *vm = opaque;

    if (vm->machine_ops->eoi) {
        vm->machine_ops->eoi(vm->machine, vector);
    }
}

/* A processor that faults while it handles a double fault resets the machine, as on a PC. */
static void exit_shutdown(void *opaque, Vcpu *vcpu)
{
    g_autofree char *registers = vcpu_arch_describe(vcpu);
    g_autofree char *text = g_strdup_printf("vCPU %u: triple fault; %s", vcpu->index, registers);

    vm_request(opaque, &(VmRequest){.kind = VM_REQUEST_RESET,
                                    .from_guest = true,
                                    .reason = "guest-reset",
                                    .text = text});
}

static void exit_system_event(void *opaque, uint32_t type)
{
    static const VmRequest requests[] = {
        [KVM_SYSTEM_EVENT_SHUTDOWN] = {.kind = VM_REQUEST_SHUTDOWN, .reason = "guest-shutdown"},
        [KVM_SYSTEM_EVENT_RESET] = {.kind = VM_REQUEST_RESET, .reason = "guest-reset"},
        [KVM_SYSTEM_EVENT_CRASH] = {.kind = VM_REQUEST_PANIC,
                                    .reason = "guest-panic",
                                    .text = "the guest's kernel crashed"},
    };
    VmRequest request = requests[KVM_SYSTEM_EVENT_SHUTDOWN];

    if (type < G_N_ELEMENTS(requests) && requests[type].reason) {
        request = requests[type];
    }
    request.from_guest = true;
    vm_request(opaque, &request);
}

static void exit_failed(void *opaque, Vcpu *vcpu, const char *why)
{
    (void)vcpu;
    vm_request(opaque, &(VmRequest){.kind = VM_REQUEST_FAILED,
                                    .from_guest = true,
                                    .reason = "guest-panic",
                                    .text = why});
}

static bool exit_debug(void *opaque, Vcpu *vcpu, const DebugStop *stop)
{
    const DebugTap *tap = &((const Vm *)opaque)->debug_tap;

    if (!tap->hit || !tap->hit(tap->opaque, vcpu, stop)) {
        return false;
    }
    vm_request(opaque, &(VmRequest){.kind = VM_REQUEST_DEBUG});
    return true;
}

const VcpuHooks vm_vcpu_hooks = {
    .started = vm_vcpu_started,
    .read = exit_read,
    .write = exit_write,
    .eoi = exit_eoi,
    .shutdown = exit_shutdown,
    .system_event = exit_system_event,
    .debug = exit_debug,
    .failed = exit_failed,
};

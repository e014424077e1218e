/* SPDX-License-Identifier: Apache-2.0 */
#include "hypervisor/vcpu_exit.h"

#include "hypervisor/vcpu_arch.h"
#include "util/bytes.h"
#include "util/error.h"
#include "util/trace.h"

#include <linux/kvm.h>

typedef bool (*ExitFn)(Vcpu *vcpu, const VcpuHooks *hooks, void *opaque);

/* A string instruction moves count items through one port in one exit. */
static bool exit_port(Vcpu *vcpu, const VcpuHooks *hooks, void *opaque)
{
    struct kvm_run *run = vcpu->run;
    uint8_t *data = (uint8_t *)run + run->io.data_offset;
    unsigned size = run->io.size;

    for (uint32_t i = 0; i < run->io.count; i++, data += size) {
        if (run->io.direction == KVM_EXIT_IO_OUT) {
            hooks->write(opaque, VCPU_SPACE_PORT, run->io.port, size, load_le(data, size));
        } else {
            store_le(data, size, hooks->read(opaque, VCPU_SPACE_PORT, run->io.port, size));
        }
    }
    return true;
}

static bool exit_mmio(Vcpu *vcpu, const VcpuHooks *hooks, void *opaque)
{
    struct kvm_run *run = vcpu->run;
    unsigned size = MIN(run->mmio.len, (uint32_t)sizeof(run->mmio.data));
    uint64_t address = run->mmio.phys_addr;

    if (run->mmio.is_write) {
        hooks->write(opaque, VCPU_SPACE_MMIO, address, size, load_le(run->mmio.data, size));
    } else {
        store_le(run->mmio.data, size, hooks->read(opaque, VCPU_SPACE_MMIO, address, size));
    }
    return true;
}

static bool exit_nothing(Vcpu *vcpu, const VcpuHooks *hooks, void *opaque)
{
    (void)vcpu;
    (void)hooks;
    (void)opaque;
    return true;
}

static bool exit_eoi(Vcpu *vcpu, const VcpuHooks *hooks, void *opaque)
{
    hooks->eoi(opaque, vcpu->run->eoi.vector);
    return true;
}

static bool exit_shutdown(Vcpu *vcpu, const VcpuHooks *hooks, void *opaque)
{
    hooks->shutdown(opaque, vcpu);
    return false;
}

static bool exit_system_event(Vcpu *vcpu, const VcpuHooks *hooks, void *opaque)
{
    hooks->system_event(opaque, vcpu->run->system_event.type);
    return false;
}

static void report(Vcpu *vcpu, const VcpuHooks *hooks, void *opaque, const char *reason)
{
    g_autofree char *registers = vcpu_arch_describe(vcpu);
    g_autofree char *why = g_strdup_printf("vCPU %u: %s; %s", vcpu->index, reason, registers);

    hooks->failed(opaque, vcpu, why);
}

static bool exit_fail_entry(Vcpu *vcpu, const VcpuHooks *hooks, void *opaque)
{
    g_autofree char *reason =
        g_strdup_printf("the processor refused to enter the guest, hardware reason 0x%llx",
                        (unsigned long long)vcpu->run->fail_entry.hardware_entry_failure_reason);

    report(vcpu, hooks, opaque, reason);
    return false;
}

static const char *const internal_errors[] = {
    [KVM_INTERNAL_ERROR_EMULATION] = "KVM cannot emulate an instruction of the guest",
    [KVM_INTERNAL_ERROR_SIMUL_EX] = "simultaneous exceptions in KVM",
    [KVM_INTERNAL_ERROR_DELIVERY_EV] = "KVM cannot deliver an event to the guest",
    [KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON] = "KVM met an exit it does not know",
};

static bool exit_internal_error(Vcpu *vcpu, const VcpuHooks *hooks, void *opaque)
{
    const struct kvm_run *run = vcpu->run;
    uint32_t suberror = run->internal.suberror;
    g_autoptr(GString) reason = g_string_new(NULL);

    if (suberror < G_N_ELEMENTS(internal_errors) && internal_errors[suberror]) {
        g_string_append(reason, internal_errors[suberror]);
    } else {
        g_string_append_printf(reason, "KVM internal error %u", suberror);
    }
    if (suberror == KVM_INTERNAL_ERROR_EMULATION && run->emulation_failure.ndata > 2 &&
        (run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES)) {
        uint8_t n =
            MIN(run->emulation_failure.insn_size, sizeof(run->emulation_failure.insn_bytes));

        g_string_append(reason, ", bytes");
        for (uint8_t i = 0; i < n; i++) {
            g_string_append_printf(reason, " %02x", run->emulation_failure.insn_bytes[i]);
        }
    }
    report(vcpu, hooks, opaque, reason->str);
    return false;
}

/* What a debugger does not know is what the guest does to itself: it has exceptions of its own. */
static bool exit_debug(Vcpu *vcpu, const VcpuHooks *hooks, void *opaque)
{
    const DebugOps *ops = vcpu->hypervisor->ops->debug;
    g_autoptr(GError) error = NULL;
    DebugStop stop;

    ops->explain(vcpu, &stop);
    if (stop.kind != DEBUG_STOP_NONE && hooks->debug && hooks->debug(opaque, vcpu, &stop)) {
        return false;
    }
    if (!ops->give_back(vcpu, &error)) {
        report(vcpu, hooks, opaque, error->message);
        return false;
    }
    return true;
}

static const ExitFn exit_table[VCPU_EXIT_REASONS] = {
    [KVM_EXIT_IO] = exit_port,
    [KVM_EXIT_MMIO] = exit_mmio,
    [KVM_EXIT_IOAPIC_EOI] = exit_eoi,
    [KVM_EXIT_INTR] = exit_nothing,
    [KVM_EXIT_HLT] = exit_nothing,
    [KVM_EXIT_IRQ_WINDOW_OPEN] = exit_nothing,
    [KVM_EXIT_DEBUG] = exit_debug,
    [KVM_EXIT_SHUTDOWN] = exit_shutdown,
    [KVM_EXIT_SYSTEM_EVENT] = exit_system_event,
    [KVM_EXIT_FAIL_ENTRY] = exit_fail_entry,
    [KVM_EXIT_INTERNAL_ERROR] = exit_internal_error,
};

bool vcpu_handle_exit(Vcpu *vcpu, const VcpuHooks *hooks, void *opaque, int result)
{
    if (result < 0) {
        g_autofree char *reason = g_strdup_printf("KVM_RUN failed: %s", error_words(-result));

        report(vcpu, hooks, opaque, reason);
        return false;
    }

    uint32_t number = vcpu->run->exit_reason;
    ExitFn fn = number < VCPU_EXIT_REASONS ? exit_table[number] : NULL;

    atomic_fetch_add_explicit(&vcpu->exits[MIN(number, VCPU_EXIT_REASONS - 1)], 1,
                              memory_order_relaxed);
    TRACE(vcpu_exit, "vcpu %u reason %u", vcpu->index, number);
    if (!fn) {
        g_autofree char *reason = g_strdup_printf("unexpected exit reason %u", number);

        report(vcpu, hooks, opaque, reason);
        return false;
    }
    return fn(vcpu, hooks, opaque);
}

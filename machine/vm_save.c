/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VM's half of a save: stand still, say everything but RAM, go on.
 *
 * Devices are asked before vCPUs: draining may have raised an interrupt, which is in a vCPU's local
 * APIC only afterwards.  VM-wide state of the hypervisor comes last, with the clock in it.
 */
#include "hypervisor/vcpu_arch.h"
#include "hypervisor/vm_state.h"
#include "machine/guest_dump.h"
#include "machine/vm.h"
#include "machine/vm_migration.h"
#include "machine/vm_record.h"
#include "migration/vmstate.h"
#include "util/error.h"

#include <json-c/json.h>

/* ---- may it be saved ------------------------------------------------------------------------ */

/* What a client of QEMU is told; a state that is not here can be saved. */
static const char *const not_now[RUN_STATE_COUNT] = {
    [RUN_STATE_INMIGRATE] = "Guest is waiting for an incoming migration",
    [RUN_STATE_POSTMIGRATE] = "Can't migrate the vm that was paused due to previous migration",
    [RUN_STATE_INTERNAL_ERROR] = "the VM was stopped by an error of a vCPU: reset it first",
};

static bool check_moment(const Vm *vm, GError **error)
{
    const char *why = not_now[vm->state];

    if (!guest_dump_check_none(vm, NULL)) {
        why = "Live migration disabled: dump-guest-memory in progress";
    }
    return why ? fail(error, VMM_ERROR_STATE, "%s", why) : vm_check_not_resetting(vm, error);
}

/* Every device that has no state to save, in one message. */
static bool check_devices(const Vm *vm, GError **error)
{
    g_autoptr(GString) reasons = g_string_new(NULL);

    for (guint i = 0; i < vm->devices->len; i++) {
        const Device *dev = vm->devices->pdata[i];

        if (!dev->ops->vmstate) {
            g_string_append_printf(reasons, "%sdevice %s (%s): %s", reasons->len > 0 ? "; " : "",
                                   dev->id, dev->ops->name,
                                   dev->ops->why_unmigratable ? dev->ops->why_unmigratable
                                                              : "does not say how it is saved");
        }
    }
    return reasons->len == 0 ||
           fail(error, VMM_ERROR_STATE, "the VM cannot be saved: %s", reasons->str);
}

static bool save_check(void *opaque, GError **error)
{
    const Vm *vm = opaque;

    return check_moment(vm, error) && check_devices(vm, error);
}

static const GuestMemory *save_memory(void *opaque)
{
    const Vm *vm = opaque;

    return vm->memory;
}

/* ---- stand still ---------------------------------------------------------------------------- */

static bool save_freeze(void *opaque, GError **error)
{
    Vm *vm = opaque;

    vm->state_before_save = vm->state;
    if (!vm_check_not_resetting(vm, error) || !vm_stop(vm, RUN_STATE_FINISH_MIGRATE, error)) {
        return false;
    }
    /* What the guest has asked for and not got yet would be lost in the template. */
    return !vm_has_requests(vm) ||
           fail(error, VMM_ERROR_STATE,
                "the guest asked for a reset or its end at the same moment: try again");
}

static void save_thaw(void *opaque, MigrationEnd end)
{
    Vm *vm = opaque;

    vm_leave_save(vm, end == MIGRATION_END_SAVED ? RUN_STATE_POSTMIGRATE : vm->state_before_save);
}

/* ---- say everything ------------------------------------------------------------------------- */

static void add_config(const Vm *vm, TemplateSave *save)
{
    json_object *json = vm_config_to_json(vm->config);
    const char *text = json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN);

    template_save_add(save, TEMPLATE_SECTION_CONFIG, SECTION_VM, text, strlen(text));
    json_object_put(json);
}

static bool add_object(TemplateSave *save, TemplateSectionKind kind, const char *name,
                       const VmStateDesc *desc, void *object, GError **error)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();

    if (!vmstate_save(desc, object, bytes, error)) {
        return false;
    }
    template_save_add(save, kind, name, bytes->data, bytes->len);
    return true;
}

static bool add_devices(const Vm *vm, TemplateSave *save, GError **error)
{
    for (guint i = 0; i < vm->devices->len; i++) {
        Device *dev = vm->devices->pdata[i];

        if (!add_object(save, TEMPLATE_SECTION_DEVICE, dev->id, dev->ops->vmstate, dev, error)) {
            g_prefix_error(error, "device %s: ", dev->id);
            return false;
        }
    }
    return true;
}

static bool save_vcpu(Vcpu *vcpu, void *opaque, GError **error)
{
    VcpuState **states = opaque;

    return vcpu_arch_save(vcpu, states[vcpu->index], error);
}

static bool add_vcpu_states(TemplateSave *save, VcpuState **states, unsigned count, GError **error)
{
    for (unsigned i = 0; i < count; i++) {
        char name[SECTION_VCPU_SIZE];

        section_vcpu_name(i, name);
        if (!add_object(save, TEMPLATE_SECTION_VCPU, name, &vcpu_state_vmstate, states[i], error)) {
            g_prefix_error(error, "vCPU %u: ", i);
            return false;
        }
    }
    return true;
}

static bool add_vcpus(const Vm *vm, TemplateSave *save, GError **error)
{
    unsigned count = vcpus_count(vm->vcpus);
    g_autofree VcpuState **states = g_new(VcpuState *, count);
    bool ok;

    for (unsigned i = 0; i < count; i++) {
        states[i] = vcpu_state_new();
    }
    ok = vcpus_each(vm->vcpus, save_vcpu, states, error) &&
         add_vcpu_states(save, states, count, error);
    for (unsigned i = 0; i < count; i++) {
        vcpu_state_free(states[i]);
    }
    return ok;
}

static bool add_machine(const Vm *vm, TemplateSave *save, GError **error)
{
    g_autoptr(VmState) state = vm_state_new();
    VmRecord record = {
        .running = run_state_is_running(vm->state_before_save),
        .clock_ns = (uint64_t)guest_clock_now_ns(vm->clock),
        .saved_at_us = (uint64_t)g_get_real_time(),
        .cpus = vcpus_count(vm->vcpus),
    };

    return add_object(save, TEMPLATE_SECTION_MACHINE, SECTION_VM, &vm_record_vmstate, &record,
                      error) &&
           vm_state_save(vm->hypervisor, state, error) &&
           add_object(save, TEMPLATE_SECTION_VM, SECTION_KVM, &vm_state_vmstate, state, error);
}

static bool save_collect(void *opaque, TemplateSave *save, GError **error)
{
    const Vm *vm = opaque;

    add_config(vm, save);
    return add_devices(vm, save, error) && add_vcpus(vm, save, error) &&
           add_machine(vm, save, error);
}

static void give_up(void *opaque)
{
    vm_quit(opaque, /* from_guest= */ false, "host-error", /* exit_status= */ 1);
}

const MigrationVm vm_migration = {
    .check = save_check,
    .memory = save_memory,
    .freeze = save_freeze,
    .collect = save_collect,
    .thaw = save_thaw,
    .load = vm_load,
    .fits = vm_fits,
    .give_up = give_up,
};

/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/guest_dump.h"

#include "hypervisor/vcpu_arch.h"
#include "util/error.h"

#include <json-c/json_object.h>

struct GuestDump {
    /* fixed after guest_dump_begin */
    Vm *vm;
    CoreFile *core; /* NULL: it has ended */
    uint64_t total;

    /* main loop only */
    GuestDumpStatus status;
    bool resume;

    atomic_uint_fast64_t completed;
};

bool guest_dump_check_none(const Vm *vm, GError **error)
{
    return !vm->dump || vm->dump->status != GUEST_DUMP_ACTIVE ||
           fail(error, VMM_ERROR_STATE, "There is a dump in process, please wait.");
}

static bool check_moment(const Vm *vm, GError **error)
{
    if (vm->state == RUN_STATE_INMIGRATE) {
        return fail(error, VMM_ERROR_STATE, "Dump not allowed during incoming migration.");
    }
    if (migration_is_under_way(vm->migration)) {
        return fail(error, VMM_ERROR_STATE, "There's a migration process in progress");
    }
    return guest_dump_check_none(vm, error) && vm_check_not_resetting(vm, error);
}

GuestDump *guest_dump_new(Vm *vm, const CoreFilter *filter, GError **error)
{
    g_autoptr(CoreFile) core = NULL;
    GuestDump *dump;

    if (!check_moment(vm, error)) {
        return NULL;
    }
    core = core_file_new(vm->memory, filter, error);
    if (!core) {
        return NULL;
    }
    dump = g_new0(GuestDump, 1);
    dump->vm = vm;
    dump->total = core_file_ram_bytes(core);
    dump->core = g_steal_pointer(&core);
    return dump;
}

void guest_dump_free(GuestDump *dump)
{
    if (dump) {
        core_file_free(dump->core);
        g_free(dump);
    }
}

/* ---- standing still ---- */

/* What is known of a vCPU. */
typedef struct VcpuNotes {
    uint8_t *registers;
    GByteArray *system;
} VcpuNotes;

static bool read_vcpu(Vcpu *vcpu, void *opaque, GError **error)
{
    VcpuNotes *notes = (VcpuNotes *)opaque + vcpu->index;

    return vcpu->hypervisor->ops->debug->read_registers(vcpu, notes->registers, error) &&
           vcpu_arch_core_note(vcpu, notes->system, error);
}

static void add_notes(CoreFile *core, const VcpuNotes *notes)
{
    core_file_add_vcpu(core, notes->registers);
    if (notes->system->len > 0) {
        core_file_add_system(core, notes->system->data, notes->system->len);
    }
}

static bool add_vcpus(GuestDump *dump, GError **error)
{
    Vcpus *vcpus = dump->vm->vcpus;
    unsigned count = vcpus_count(vcpus);
    g_autofree VcpuNotes *notes = g_new0(VcpuNotes, count);
    bool ok;

    for (unsigned i = 0; i < count; i++) {
        notes[i].registers =
            g_malloc0(debug_register_offset(&debug_target, debug_target.num_registers));
        notes[i].system = g_byte_array_new();
    }
    ok = vcpus_each(vcpus, read_vcpu, notes, error);
    for (unsigned i = 0; i < count; i++) {
        if (ok) {
            add_notes(dump->core, &notes[i]);
        }
        g_free(notes[i].registers);
        g_byte_array_unref(notes[i].system);
    }
    return ok;
}

/* Whatever else has stopped the VM meanwhile keeps it. */
static void thaw(GuestDump *dump, GuestDumpStatus status)
{
    Vm *vm = dump->vm;

    dump->status = status;
    g_clear_pointer(&dump->core, core_file_free);
    if (dump->resume && vm->state == RUN_STATE_SAVE_VM) {
        vm_cont(vm, NULL);
    }
    vm_catch_up_requests(vm);
}

bool guest_dump_begin(GuestDump *dump, GError **error)
{
    Vm *vm = dump->vm;

    guest_dump_free(vm->dump);
    vm->dump = dump;
    dump->status = GUEST_DUMP_ACTIVE;
    dump->resume = run_state_is_running(vm->state);
    if ((dump->resume && !vm_stop(vm, RUN_STATE_SAVE_VM, error)) || !add_vcpus(dump, error)) {
        thaw(dump, GUEST_DUMP_FAILED);
        return false;
    }
    return true;
}

bool guest_dump_write(GuestDump *dump, const CoreSink *sink, GError **error)
{
    return core_file_write(dump->core, sink, &dump->completed, error);
}

/* ---- how it goes ---- */

const char *guest_dump_status_name(GuestDumpStatus status)
{
    static const char *const names[] = {
        [GUEST_DUMP_NONE] = "none",
        [GUEST_DUMP_ACTIVE] = "active",
        [GUEST_DUMP_COMPLETED] = "completed",
        [GUEST_DUMP_FAILED] = "failed",
    };

    return names[status];
}

GuestDumpInfo guest_dump_info(const Vm *vm)
{
    const GuestDump *dump = vm->dump;

    if (!dump) {
        return (GuestDumpInfo){.status = GUEST_DUMP_NONE};
    }
    return (GuestDumpInfo){dump->status, atomic_load(&dump->completed), dump->total};
}

static void raise_completed(const Vm *vm, const GError *why)
{
    const GuestDumpInfo info = guest_dump_info(vm);
    json_object *data = json_object_new_object();
    json_object *result = json_object_new_object();

    json_object_object_add(result, "status",
                           json_object_new_string(guest_dump_status_name(info.status)));
    json_object_object_add(result, "completed", json_object_new_int64((int64_t)info.completed));
    json_object_object_add(result, "total", json_object_new_int64((int64_t)info.total));
    json_object_object_add(data, "result", result);
    if (why) {
        json_object_object_add(data, "error", json_object_new_string(why->message));
    }
    event_raise(vm->events, "DUMP_COMPLETED", data);
}

void guest_dump_end(GuestDump *dump, const GError *why)
{
    dump->status = why ? GUEST_DUMP_FAILED : GUEST_DUMP_COMPLETED;
    raise_completed(dump->vm, why);
    thaw(dump, dump->status);
}

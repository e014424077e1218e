/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/vm.h"

#include "hypervisor/fake.h"
#include "hypervisor/kvm.h"
#include "hypervisor/vcpu_arch.h"
#include "machine/backends.h"
#include "machine/fds.h"
#include "machine/guest_dump.h"
#include "machine/machines.h"
#include "machine/sandbox.h"
#include "machine/vm_migration.h"
#include "machine/vm_reset.h"
#include "util/error.h"
#include "util/trace.h"

#include <json-c/json_object.h>

Hypervisor *vm_hypervisor_new(const VmConfig *config, GError **error)
{
    return config->accel == ACCEL_QTEST ? fake_hypervisor_new() : kvm_new("/dev/kvm", error);
}

static bool take_hypervisor(Vm *vm, VmOrigin *origin, GError **error)
{
    vm->hypervisor = origin->hypervisor ? g_steal_pointer(&origin->hypervisor)
                                        : vm_hypervisor_new(vm->config, error);
    return vm->hypervisor != NULL;
}

static bool make_cpu_model(Vm *vm, GError **error)
{
    const CpuConfig *cpu = &vm->config->cpu;
    const SmpConfig *smp = &vm->config->smp;
    CpuModelConfig model = {
        .name = cpu->model,
        .num_switches = cpu->features->len,
        .pmu = cpu->pmu == ON_OFF_AUTO_ON,
        .topology = {smp->sockets, smp->dies, smp->clusters * smp->cores, smp->threads},
    };
    g_autofree CpuFeatureSwitch *switches = g_new0(CpuFeatureSwitch, model.num_switches + 1);

    if (vm->config->accel == ACCEL_QTEST) {
        return true;
    }
    for (size_t i = 0; i < model.num_switches; i++) {
        const CpuFeature *feature = &g_array_index(cpu->features, CpuFeature, i);

        switches[i] = (CpuFeatureSwitch){feature->name, feature->on};
    }
    model.switches = switches;
    vm->cpu_model = cpu_model_new(vm->hypervisor, &model, error);
    return vm->cpu_model != NULL;
}

static void stop_on_disk_error(void *opaque)
{
    vm_request(opaque, &(VmRequest){.kind = VM_REQUEST_DISK_ERROR, .reason = "host-error"});
}

static void quit_from_console(void *opaque, uint32_t value)
{
    (void)value;
    vm_request(opaque, &(VmRequest){.kind = VM_REQUEST_EXIT, .reason = "host-ui"});
}

static void lend_quit_to_consoles(Vm *vm)
{
    const GPtrArray *chardevs = backends_chardevs(vm->backends);
    const Request quit = {.fn = quit_from_console, .opaque = vm};

    for (guint i = 0; i < chardevs->len; i++) {
        chardev_set_quit(chardevs->pdata[i], &quit);
    }
}

/*
 * The order costs: memory slots and vCPUs come before anything that could register on a bus inside
 * KVM (docs/decisions/0002-start-order.md).
 */
static bool vm_build(Vm *vm, VmOrigin *origin, GError **error)
{
    const BackendsHost host = {
        .loop = vm->loop,
        .events = vm->events,
        .fd_sets = vm->fd_sets,
        .stop_on_disk_error = stop_on_disk_error,
        .opaque = vm,
    };

    if (!take_hypervisor(vm, origin, error)) {
        return false;
    }
    vm->memory = guest_mem_new(vm->hypervisor);
    if (!vm->machine_ops->map_memory(vm, origin->template, error) ||
        !hypervisor_init(vm->hypervisor, vm->machine_ops->interrupt_pins(vm->config), error) ||
        !make_cpu_model(vm, error)) {
        return false;
    }
    vm->vcpus = vcpus_new(vm->hypervisor, vm->config->smp.cpus, &vm_vcpu_hooks, vm, error);
    if (!vm->vcpus) {
        return false;
    }
    if (vm->cpu_model) {
        cpu_model_prepare(vm->cpu_model);
    }
    vm->backends = backends_new(vm->config, &host, error);
    if (!vm->backends) {
        return false;
    }
    lend_quit_to_consoles(vm);
    vm_lend_to_devices(vm);
    return vm->machine_ops->build(vm, error);
}

Vm *vm_new(const VmConfig *config, Loop *loop, const VmEventSink *events, VmOrigin *origin,
           GError **error)
{
    const MachineOps *ops = machine_ops_find(config->machine.type);
    VmOrigin nothing = {0};
    g_autoptr(Vm) vm = NULL;

    if (!ops) {
        return fail_null(error, VMM_ERROR_CONFIG, "there is no machine '%s' for this architecture",
                         machine_type_names[config->machine.type]);
    }
    vm = g_new0(Vm, 1);
    vm->config = config;
    vm->actions = (VmActions){
        .shutdown = config->on_shutdown,
        .reboot = config->on_reboot,
        .panic = config->on_panic,
        .watchdog = config->on_watchdog,
    };
    vm->machine_ops = ops;
    vm->loop = loop;
    vm->events = events;
    vm->devices = g_ptr_array_new_with_free_func((GDestroyNotify)device_free);
    vm->mmio = bus_new("mmio");
    vm->ports = bus_new("port");
    vm->clock = guest_clock_new(loop);
    vm->tapped = g_ptr_array_new_with_free_func(g_free);
    vm->state = config->incoming.uri ? RUN_STATE_INMIGRATE : RUN_STATE_PRELAUNCH;
    vm->migration = migration_new(loop, events, &vm_migration, vm);
    mutex_init(&vm->request_lock);
    mutex_init(&vm->trouble_lock);
    vm->fd_sets = fds_new(config, error);
    if (!vm->fd_sets || !vm_build(vm, origin ? origin : &nothing, error)) {
        return NULL;
    }
    vm_take_ram_trouble(vm, true);
    return g_steal_pointer(&vm);
}

/*
 * A save first, for it reads RAM; vCPUs, so that nothing runs into a device that is gone; then
 * devices, last built first.
 */
void vm_free(Vm *vm)
{
    if (!vm) {
        return;
    }
    vm_take_ram_trouble(vm, false);
    migration_free(vm->migration);
    guest_dump_free(vm->dump);
    if (vm->emptying) {
        g_thread_join(vm->emptying);
    }
    vcpus_free(vm->vcpus);
    while (vm->devices->len > 0) {
        g_ptr_array_remove_index(vm->devices, vm->devices->len - 1);
    }
    g_ptr_array_unref(vm->devices);
    vm->machine_ops->free(vm->machine);
    backends_free(vm->backends);
    cpu_model_free(vm->cpu_model);
    guest_clock_free(vm->clock);
    g_ptr_array_unref(vm->tapped);
    bus_free(vm->mmio);
    bus_free(vm->ports);
    guest_mem_free(vm->memory);
    hypervisor_free(vm->hypervisor);
    fd_sets_free(vm->fd_sets);
    for (unsigned i = 0; i < VM_REQUEST_COUNT; i++) {
        g_free(vm->request_text[i]);
    }
    mutex_fini(&vm->request_lock);
    mutex_fini(&vm->trouble_lock);
    g_free(vm);
}

bool vm_add_device(Vm *vm, Device *dev, GError **error)
{
    g_ptr_array_add(vm->devices, dev);
    if (vm_find_device(vm, dev->id) != dev) {
        return fail(error, VMM_ERROR_CONFIG, "there are two devices with id '%s'", dev->id);
    }
    return device_realize(dev, error);
}

Device *vm_find_device(const Vm *vm, const char *id)
{
    for (guint i = 0; i < vm->devices->len; i++) {
        Device *dev = vm->devices->pdata[i];

        if (strcmp(dev->id, id) == 0) {
            return dev;
        }
    }
    return NULL;
}

static void set_state(Vm *vm, RunState state)
{
    g_assert(run_state_may_follow(vm->state, state));
    TRACE(vm_state, "%s", run_state_name(state));
    vm->state = state;
}

/* Into the sandbox only then: the model may come out of a file. */
bool vm_vcpu_started(void *opaque, Vcpu *vcpu, GError **error)
{
    const Vm *vm = opaque;

    return (!vm->cpu_model || vcpu_arch_init(vcpu, vm->cpu_model, error)) &&
           (!sandbox_is_wanted(vm->config) || sandbox_enter(THREAD_VCPU, error));
}

typedef struct StartCpu {
    Vm *vm;
    const VcpuEntry *entry;
} StartCpu;

static bool start_cpu(Vcpu *vcpu, void *opaque, GError **error)
{
    const StartCpu *start = opaque;
    CpuModel *model = start->vm->cpu_model;
    const VcpuEntry *entry = vcpu->index == 0 ? start->entry : NULL;

    if (!model) {
        return true;
    }
    if (start->vm->ever_reset) {
        return vcpu_arch_reset(vcpu, model, entry, error);
    }
    return vcpu_arch_enter(vcpu, model, entry, error);
}

static bool boot_devices(Vm *vm, GError **error)
{
    for (guint i = 0; i < vm->devices->len; i++) {
        if (!device_boot(vm->devices->pdata[i], error)) {
            return false;
        }
    }
    return true;
}

bool vm_boot(Vm *vm, GError **error)
{
    VcpuEntry entry = {0};
    StartCpu start = {.vm = vm, .entry = &entry};

    if (vm->ever_reset && !guest_mem_renew(vm->memory, error)) {
        return false;
    }
    if (!vm->machine_ops->load(vm, &entry, error) || !boot_devices(vm, error) ||
        !hypervisor_settle(vm->hypervisor, error) ||
        !vcpus_each(vm->vcpus, start_cpu, &start, error)) {
        return false;
    }
    vm->ever_reset = true;
    return true;
}

static void resume_devices(Vm *vm)
{
    for (guint i = 0; i < vm->devices->len; i++) {
        device_resume(vm->devices->pdata[i]);
    }
    vm->drained = false;
}

/* All of them, even after one has failed; the first error counts. */
static bool drain_devices(Vm *vm, GError **error)
{
    bool ok = true;

    if (vm->drained) {
        return true;
    }
    for (guint i = 0; i < vm->devices->len; i++) {
        ok = device_drain(vm->devices->pdata[i], ok ? error : NULL) && ok;
    }
    vm->drained = ok;
    return ok;
}

static void release_vcpus(Vm *vm)
{
    if (vm->debug_tap.starting) {
        vm->debug_tap.starting(vm->debug_tap.opaque);
    }
    vcpus_resume(vm->vcpus);
}

bool vm_cont(Vm *vm, GError **error)
{
    if (run_state_is_running(vm->state)) {
        return true;
    }
    if (!run_state_can_continue(vm->state)) {
        return fail(error, VMM_ERROR_STATE, "the VM cannot run on from state '%s'%s",
                    run_state_name(vm->state),
                    vm->state == RUN_STATE_SHUTDOWN || vm->state == RUN_STATE_INTERNAL_ERROR
                        ? ": reset it first"
                        : "");
    }
    if (!guest_dump_check_none(vm, error)) {
        return false;
    }
    set_state(vm, RUN_STATE_RUNNING);
    event_raise(vm->events, "RESUME", NULL);
    guest_clock_start(vm->clock);
    if (!vm->resetting) {
        resume_devices(vm);
        release_vcpus(vm);
    }
    backends_start_loop(vm->backends); /* while the guest runs already: it takes a while */
    return true;
}

static bool halt(Vm *vm, RunState state, GError **error)
{
    bool ok;

    vcpus_pause(vm->vcpus);
    guest_clock_stop(vm->clock);
    ok = drain_devices(vm, error);
    if (run_state_may_follow(vm->state, state)) {
        set_state(vm, state);
    }
    return ok;
}

bool vm_stop(Vm *vm, RunState state, GError **error)
{
    bool was_running = run_state_is_running(vm->state);
    bool ok = halt(vm, state, error);

    if (was_running) {
        event_raise(vm->events, "STOP", NULL);
        if (vm->debug_tap.stopped) {
            vm->debug_tap.stopped(vm->debug_tap.opaque);
        }
    }
    return ok;
}

void vm_leave_save(Vm *vm, RunState state)
{
    if (vm->state != RUN_STATE_FINISH_MIGRATE) {
        return; /* it was ended meanwhile */
    }
    if (run_state_is_running(state)) {
        vm_cont(vm, NULL);
    } else {
        set_state(vm, state);
    }
    vm_catch_up_requests(vm);
}

void vm_leave_load(Vm *vm, bool runs)
{
    vm->drained = true; /* nothing was started yet: resuming does */
    set_state(vm, RUN_STATE_PAUSED);
    if (runs) {
        vm_cont(vm, NULL);
    }
}

static json_object *cause(bool from_guest, const char *reason)
{
    json_object *data = json_object_new_object();

    json_object_object_add(data, "guest", json_object_new_boolean(from_guest));
    json_object_object_add(data, "reason", json_object_new_string(reason));
    return data;
}

bool vm_check_not_resetting(const Vm *vm, GError **error)
{
    return !vm->resetting || fail(error, VMM_ERROR_STATE, "the VM is being reset: try again");
}

bool vm_reset_begin(Vm *vm, GError **error)
{
    if (vm->state == RUN_STATE_FINISH_MIGRATE || vm->state == RUN_STATE_INMIGRATE) {
        return fail(error, VMM_ERROR_STATE, "the VM cannot be reset in state '%s'",
                    run_state_name(vm->state));
    }
    if (!guest_dump_check_none(vm, error) || !vm_check_not_resetting(vm, error)) {
        return false;
    }
    vcpus_pause(vm->vcpus);
    if (!drain_devices(vm, error)) {
        if (run_state_is_running(vm->state)) {
            resume_devices(vm);
            vcpus_resume(vm->vcpus);
        }
        return false;
    }
    for (guint i = 0; i < vm->devices->len; i++) {
        device_reset(vm->devices->pdata[i]);
    }
    vm->resetting = true;
    return true;
}

void vm_reset_empty(const Vm *vm)
{
    if (vm->ever_reset) {
        guest_mem_empty(vm->memory);
    }
}

bool vm_reset_end(Vm *vm, bool from_guest, const char *reason, GError **error)
{
    vm->resetting = false;
    if (!vm_boot(vm, error)) {
        vm_stop(vm, RUN_STATE_INTERNAL_ERROR, NULL);
        return false;
    }
    vcpus_revive(vm->vcpus);
    event_raise(vm->events, "RESET", cause(from_guest, reason));
    if (run_state_is_running(vm->state)) {
        resume_devices(vm);
        release_vcpus(vm);
    } else if (!run_state_can_continue(vm->state)) {
        set_state(vm, RUN_STATE_PAUSED);
    }
    vm_catch_up_requests(vm);
    return true;
}

bool vm_reset(Vm *vm, bool from_guest, const char *reason, GError **error)
{
    if (!vm_reset_begin(vm, error)) {
        return false;
    }
    vm_reset_empty(vm);
    return vm_reset_end(vm, from_guest, reason, error);
}

bool vm_powerdown(Vm *vm, GError **error)
{
    if (!vm->machine_ops->power_button(vm)) {
        return fail(error, VMM_ERROR_STATE, "machine %s without ACPI has no power button",
                    vm->machine_ops->name);
    }
    event_raise(vm->events, "POWERDOWN", NULL);
    return true;
}

void vm_quit(Vm *vm, bool from_guest, const char *reason, int exit_status)
{
    /* No STOP: what ends is not merely stopped, and clients look for SHUTDOWN. */
    halt(vm, RUN_STATE_SHUTDOWN, NULL);
    event_raise(vm->events, "SHUTDOWN", cause(from_guest, reason));
    vm->exit_status = exit_status;
    loop_quit(vm->loop);
}

void vm_shutdown(Vm *vm, bool from_guest, const char *reason)
{
    if (vm->actions.shutdown == SHUTDOWN_ACTION_POWEROFF) {
        vm_quit(vm, from_guest, reason, /* exit_status= */ 0);
        return;
    }
    event_raise(vm->events, "SHUTDOWN", cause(from_guest, reason));
    vm_stop(vm, RUN_STATE_SHUTDOWN, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests from devices and vCPU threads: kept per kind under a lock, the vCPUs asked to stop, the
 * main loop asked to look.  One table says what each comes to.
 */
#include "machine/guest_dump.h"
#include "machine/vm.h"
#include "machine/vm_reset.h"

#include "util/log.h"
#include "util/thread.h"

#include <json-c/json_object.h>

static void give_up(Vm *vm, const GError *error)
{
    log_line(LOG_LEVEL_ERROR, "reset: %s", error->message);
    vm_quit(vm, /* from_guest= */ false, "host-error", /* exit_status= */ 1);
}

/* A reset that is asked for by no command, and its thread. */
typedef struct Reset {
    Vm *vm;
    bool from_guest;
    const char *reason;
} Reset;

static void end_reset(void *opaque)
{
    g_autofree Reset *reset = opaque;
    g_autoptr(GError) error = NULL;
    Vm *vm = reset->vm;

    if (vm->emptying) {
        g_thread_join(g_steal_pointer(&vm->emptying));
    }
    if (!vm_reset_end(vm, reset->from_guest, reset->reason, &error)) {
        give_up(vm, error);
    }
}

static void *empty_ram(void *opaque)
{
    const Reset *reset = opaque;

    vm_reset_empty(reset->vm);
    loop_post(reset->vm->loop, end_reset, opaque);
    return NULL;
}

static void start_reset(Vm *vm, const VmRequest *request)
{
    g_autoptr(GError) error = NULL;
    Reset *reset;

    if (!vm_reset_begin(vm, &error)) {
        give_up(vm, error);
        return;
    }
    reset = g_new(Reset, 1);
    *reset = (Reset){.vm = vm, .from_guest = request->from_guest, .reason = request->reason};
    vm->emptying = thread_start(THREAD_MIGRATION, "reset", empty_ram, reset, NULL);
    if (!vm->emptying) {
        vm_reset_empty(vm);
        end_reset(reset);
    }
}

static void act_on_reset(Vm *vm, const VmRequest *request)
{
    if (request->text) {
        log_line(LOG_LEVEL_WARNING, "%s", request->text);
    }
    if (request->from_guest && vm->actions.reboot == REBOOT_ACTION_SHUTDOWN) {
        vm_shutdown(vm, request->from_guest, request->reason);
    } else {
        start_reset(vm, request);
    }
}

static void act_on_shutdown(Vm *vm, const VmRequest *request)
{
    vm_shutdown(vm, request->from_guest, request->reason);
}

static void act_on_exit(Vm *vm, const VmRequest *request)
{
    vm_quit(vm, request->from_guest, request->reason, request->exit_status);
}

static void raise_panicked(Vm *vm, const char *action)
{
    json_object *data = json_object_new_object();

    json_object_object_add(data, "action", json_object_new_string(action));
    event_raise(vm->events, "GUEST_PANICKED", data);
}

static void act_on_panic(Vm *vm, const VmRequest *request)
{
    log_line(LOG_LEVEL_ERROR, "%s", request->text);
    switch (vm->actions.panic) {
    case PANIC_ACTION_PAUSE:
        raise_panicked(vm, "pause");
        vm_stop(vm, RUN_STATE_GUEST_PANICKED, NULL);
        break;
    case PANIC_ACTION_SHUTDOWN:
        raise_panicked(vm, "poweroff");
        vm_shutdown(vm, /* from_guest= */ true, "guest-panic");
        break;
    case PANIC_ACTION_EXIT_FAILURE:
        raise_panicked(vm, "poweroff");
        vm_quit(vm, /* from_guest= */ true, "guest-panic", /* exit_status= */ 1);
        break;
    case PANIC_ACTION_NONE:
        raise_panicked(vm, "run");
        break;
    }
}

static void stop_on_failure(Vm *vm, const char *event, const char *text)
{
    json_object *data = json_object_new_object();

    log_line(LOG_LEVEL_ERROR, "%s", text);
    json_object_object_add(data, "reason", json_object_new_string(text));
    event_raise(vm->events, event, data);
    vm_stop(vm, RUN_STATE_INTERNAL_ERROR, NULL);
}

static void act_on_failed(Vm *vm, const VmRequest *request)
{
    stop_on_failure(vm, "VCPU_FAILED", request->text);
}

/* It may have been made anew since, by a reset. */
static void act_on_ram_failed(Vm *vm, const VmRequest *request)
{
    if (!guest_mem_check(vm->memory, NULL)) {
        stop_on_failure(vm, "RAM_FAILED", request->text);
    }
}

static void act_on_disk_error(Vm *vm, const VmRequest *request)
{
    (void)request;
    vm_stop(vm, RUN_STATE_IO_ERROR, NULL);
}

static void act_on_debug(Vm *vm, const VmRequest *request)
{
    (void)request;
    vm_stop(vm, RUN_STATE_DEBUG, NULL);
}

typedef void (*RequestFn)(Vm *vm, const VmRequest *request);

/* In the order they are acted on when several are there at once. */
static const RequestFn request_table[VM_REQUEST_COUNT] = {
    [VM_REQUEST_RESET] = act_on_reset,
    [VM_REQUEST_SHUTDOWN] = act_on_shutdown,
    [VM_REQUEST_EXIT] = act_on_exit,
    [VM_REQUEST_PANIC] = act_on_panic,
    [VM_REQUEST_FAILED] = act_on_failed,
    [VM_REQUEST_RAM_FAILED] = act_on_ram_failed,
    [VM_REQUEST_DISK_ERROR] = act_on_disk_error,
    [VM_REQUEST_DEBUG] = act_on_debug,
};

/*
 * What is asked for while RAM is being saved or dumped, or given back for a reset, waits for the
 * end of it, but for the end of everything.
 */
static uint32_t acted_upon_now(const Vm *vm)
{
    bool waits =
        vm->state == RUN_STATE_FINISH_MIGRATE || !guest_dump_check_none(vm, NULL) || vm->resetting;

    return waits ? UINT32_C(1) << VM_REQUEST_EXIT : UINT32_MAX;
}

static bool take_request(Vm *vm, VmRequest *ret_request, char **ret_text)
{
    mutex_lock(&vm->request_lock);

    uint32_t waiting = vm->requests & acted_upon_now(vm);

    if (waiting != 0) {
        unsigned kind = (unsigned)__builtin_ctz(waiting);

        vm->requests &= ~(UINT32_C(1) << kind);
        *ret_request = vm->request[kind];
        *ret_text = g_steal_pointer(&vm->request_text[kind]);
        ret_request->text = *ret_text;
    }
    mutex_unlock(&vm->request_lock);
    return waiting != 0;
}

/* The vCPUs were stopped by the request; what leaves the VM in a running state starts them again. */
static void handle_requests(void *opaque)
{
    Vm *vm = opaque;
    VmRequest request;
    char *text = NULL;

    while (take_request(vm, &request, &text)) {
        vcpus_pause(vm->vcpus);
        request_table[request.kind](vm, &request);
        g_free(g_steal_pointer(&text));
    }
    if (run_state_is_running(vm->state) && !vm->resetting) {
        vcpus_resume(vm->vcpus);
    }
}

void vm_request(Vm *vm, const VmRequest *request)
{
    bool first = false;

    mutex_lock(&vm->request_lock);
    if (!(vm->requests & UINT32_C(1) << request->kind)) {
        first = true;
        vm->requests |= UINT32_C(1) << request->kind;
        vm->request[request->kind] = *request;
        vm->request_text[request->kind] = g_strdup(request->text);
    }
    mutex_unlock(&vm->request_lock);
    if (first) {
        vcpus_pause_begin(vm->vcpus);
        loop_post(vm->loop, handle_requests, vm);
    }
}

bool vm_has_requests(Vm *vm)
{
    bool any;

    mutex_lock(&vm->request_lock);
    any = vm->requests != 0;
    mutex_unlock(&vm->request_lock);
    return any;
}

void vm_catch_up_requests(Vm *vm)
{
    if (vm_has_requests(vm)) {
        loop_post(vm->loop, handle_requests, vm);
    }
}

/*
 * RAM is there before the rest of the VM and after it.  What it reports before is found when the load
 * ends (guest_mem_check).
 */
static void report_ram_trouble(void *opaque, const char *why)
{
    Vm *vm = opaque;

    mutex_lock(&vm->trouble_lock);
    if (vm->takes_trouble) {
        vm_request(vm, &(VmRequest){.kind = VM_REQUEST_RAM_FAILED, .text = why});
    }
    mutex_unlock(&vm->trouble_lock);
}

void vm_take_ram_trouble(Vm *vm, bool takes)
{
    mutex_lock(&vm->trouble_lock);
    vm->takes_trouble = takes;
    mutex_unlock(&vm->trouble_lock);
}

RamSources vm_ram_sources(Vm *vm, const TemplateReader *template)
{
    return (RamSources){
        .config = vm->config,
        .fd_sets = vm->fd_sets,
        .template = template,
        .trouble = {.report = report_ram_trouble, .opaque = vm},
    };
}

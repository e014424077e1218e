/* SPDX-License-Identifier: Apache-2.0 */
/* The life of the VM, and who it is. */
#include "machine/vm.h"

#include "machine/guest_dump.h"
#include "machine/vm_reset.h"
#include "qmp/generated.h"
#include "qmp/human.h"
#include "qmp/work.h"
#include "util/error.h"

#include <unistd.h>

bool qmp_cmd_query_status(QmpCall *call, QmpReply *reply, GError **error)
{
    RunState state = call->vm->state;

    (void)error;
    reply->value = json_object_new_object();
    qmp_add_string(reply->value, "status", run_state_name(state));
    qmp_add_bool(reply->value, "singlestep", false);
    qmp_add_bool(reply->value, "running", run_state_is_running(state));
    return true;
}

/* A VM that stands still for a reason of its own keeps that reason. */
bool qmp_cmd_stop(QmpCall *call, QmpReply *reply, GError **error)
{
    (void)reply;
    return guest_dump_check_none(call->vm, error) &&
           (!run_state_is_running(call->vm->state) || vm_stop(call->vm, RUN_STATE_PAUSED, error));
}

bool qmp_cmd_cont(QmpCall *call, QmpReply *reply, GError **error)
{
    RunState state = call->vm->state;

    (void)reply;
    if (state == RUN_STATE_SHUTDOWN || state == RUN_STATE_INTERNAL_ERROR) {
        return fail(error, VMM_ERROR_STATE, "Resetting the Virtual Machine is required");
    }
    if (state == RUN_STATE_FINISH_MIGRATE) {
        return fail(error, VMM_ERROR_STATE, "Migration is not finalized yet");
    }
    return vm_cont(call->vm, error);
}

/* ---- system_reset ---- */

typedef struct Reset {
    Vm *vm;
    bool ended;
    GError *error;
} Reset;

static void end_reset(void *opaque)
{
    Reset *reset = opaque;

    reset->ended = true;
    vm_reset_end(reset->vm, /* from_guest= */ false, "host-qmp-system-reset", &reset->error);
}

/* Nothing cancels it: a VM that is half reset is none. */
static bool reset_run(QmpWork *work, void *opaque, GError **error)
{
    Reset *reset = opaque;

    vm_reset_empty(reset->vm);
    if (qmp_work_on_loop(work, end_reset, reset) && reset->error) {
        g_propagate_error(error, g_steal_pointer(&reset->error));
        return false;
    }
    return true;
}

static void reset_end(void *opaque, const GError *error)
{
    Reset *reset = opaque;

    (void)error;
    if (!reset->ended) {
        end_reset(reset);
    }
}

static void reset_free(void *opaque)
{
    Reset *reset = opaque;

    g_clear_error(&reset->error);
    g_free(reset);
}

static const QmpWorkOps reset_ops = {
    .thread_name = "reset",
    .run = reset_run,
    .end = reset_end,
    .free = reset_free,
};

static bool start_reset(QmpCall *call, bool detached, GError **error)
{
    Reset *reset;

    if (!vm_reset_begin(call->vm, error)) {
        return false;
    }
    reset = g_new0(Reset, 1);
    reset->vm = call->vm;
    return detached ? qmp_work_start_detached(call, &reset_ops, reset, error)
                    : qmp_work_start(call, &reset_ops, reset, error);
}

bool qmp_cmd_system_reset(QmpCall *call, QmpReply *reply, GError **error)
{
    (void)reply;
    return start_reset(call, /* detached= */ false, error);
}

bool qmp_reset_detached(QmpCall *call, QmpReply *reply, GError **error)
{
    (void)reply;
    return start_reset(call, /* detached= */ true, error);
}

bool qmp_cmd_system_powerdown(QmpCall *call, QmpReply *reply, GError **error)
{
    (void)reply;
    return vm_powerdown(call->vm, error);
}

G_STATIC_ASSERT((int)QMP_SHUTDOWN_ACTION_PAUSE == (int)SHUTDOWN_ACTION_PAUSE);
G_STATIC_ASSERT((int)QMP_REBOOT_ACTION_SHUTDOWN == (int)REBOOT_ACTION_SHUTDOWN);
G_STATIC_ASSERT((int)QMP_PANIC_ACTION_NONE == (int)PANIC_ACTION_NONE);
G_STATIC_ASSERT((int)QMP_WATCHDOG_ACTION_INJECT_NMI == (int)WATCHDOG_ACTION_INJECT_NMI);

bool qmp_cmd_set_action(QmpCall *call, const QmpSetActionArgs *args, QmpReply *reply,
                        GError **error)
{
    VmActions *actions = &call->vm->actions;

    (void)reply;
    (void)error;
    if (args->has_reboot) {
        actions->reboot = (RebootAction)args->reboot;
    }
    if (args->has_shutdown) {
        actions->shutdown = (ShutdownAction)args->shutdown;
    }
    if (args->has_panic) {
        actions->panic = (PanicAction)args->panic;
    }
    if (args->has_watchdog) {
        actions->watchdog = (WatchdogAction)args->watchdog;
    }
    return true;
}

bool qmp_cmd_quit(QmpCall *call, QmpReply *reply, GError **error)
{
    (void)reply;
    (void)error;
    vm_quit(call->vm, /* from_guest= */ false, "host-qmp-quit", /* exit_status= */ 0);
    return true;
}

bool qmp_cmd_query_name(QmpCall *call, QmpReply *reply, GError **error)
{
    const char *name = call->vm->config->name;

    (void)error;
    reply->value = json_object_new_object();
    if (name) {
        qmp_add_string(reply->value, "name", name);
    }
    return true;
}

bool qmp_cmd_query_uuid(QmpCall *call, QmpReply *reply, GError **error)
{
    const uint8_t *uuid = call->vm->config->uuid;
    g_autoptr(GString) text = g_string_new(NULL);

    (void)error;
    for (size_t i = 0; i < sizeof(call->vm->config->uuid); i++) {
        g_string_append_printf(text, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x",
                               uuid[i]);
    }
    reply->value = json_object_new_object();
    qmp_add_string(reply->value, "UUID", text->str);
    return true;
}

bool qmp_cmd_query_vm_generation_id(QmpCall *call, QmpReply *reply, GError **error)
{
    char text[TEXT_UUID_SIZE];

    if (!vm_generation_id(call->vm, text)) {
        return fail(error, VMM_ERROR_STATE, "VM Generation ID device not found");
    }
    reply->value = json_object_new_object();
    qmp_add_string(reply->value, "guid", text);
    return true;
}

bool qmp_cmd_query_kvm(QmpCall *call, QmpReply *reply, GError **error)
{
    (void)error;
    reply->value = json_object_new_object();
    qmp_add_bool(reply->value, "enabled", call->vm->config->accel == ACCEL_KVM);
    qmp_add_bool(reply->value, "present", access("/dev/kvm", F_OK) == 0);
    return true;
}

bool qmp_cmd_query_target(QmpCall *call, QmpReply *reply, GError **error)
{
    (void)call;
    (void)error;
    reply->value = json_object_new_object();
    qmp_add_string(reply->value, "arch", QMP_TARGET);
    return true;
}

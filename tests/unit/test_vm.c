/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/vm.h"

#include "hypervisor/fake.h"
#include "tests/unit/suite.h"
#include "util/error.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#define CPUS          2
#define THREADS       8
#define REQUESTS_EACH 200
#define SHUTDOWN_REQUEST                                                            \
    {                                                                               \
        .kind = VM_REQUEST_SHUTDOWN, .from_guest = true, .reason = "guest-shutdown" \
    }

/* A device that writes down what is done with it, and can refuse to be drained. */
typedef struct Probe {
    Device base;
    GString *story; /* of the bench */
    bool refuses;
} Probe;

/* A VM on the fake hypervisor, on the test's own thread, and what it told. */
typedef struct Bench {
    VmConfig *config;
    Loop *loop;
    Vm *vm;
    Probe *probe;
    GString *story; /* what the devices went through: "drain resume " */

    VmEventSink sink;
    Mutex lock;
    /* guarded by lock */
    GString *events; /* "RESUME STOP " */
    char *last_data; /* of the last event that had any */
    const char *awaited;
} Bench;

static bool probe_drain(Device *dev, GError **error)
{
    const Probe *probe = (Probe *)dev;

    g_string_append(probe->story, "drain ");
    return !probe->refuses || fail(error, VMM_ERROR_HOST, "it is stuck");
}

static void probe_resume(Device *dev)
{
    g_string_append(((Probe *)dev)->story, "resume ");
}

static void probe_reset(Device *dev)
{
    g_string_append(((Probe *)dev)->story, "reset ");
}

static bool probe_boot(Device *dev, GError **error)
{
    (void)error;
    g_string_append(((Probe *)dev)->story, "boot ");
    return true;
}

static const DeviceOps probe_ops = {
    .name = "probe",
    .drain = probe_drain,
    .resume = probe_resume,
    .reset = probe_reset,
    .boot = probe_boot,
    .why_unmigratable = "it is a probe",
};

static Probe *add_probe(Bench *b, const char *id)
{
    g_autoptr(GError) error = NULL;
    Probe *probe = device_alloc(&probe_ops, id, sizeof(*probe));

    probe->story = b->story;
    ck_assert(vm_add_device(b->vm, &probe->base, &error));
    return probe;
}

static void take_event(void *opaque, const char *name, json_object *data)
{
    Bench *b = opaque;

    mutex_lock(&b->lock);
    g_string_append_printf(b->events, "%s ", name);
    if (data) {
        g_free(b->last_data);
        b->last_data = g_strdup(json_object_to_json_string_ext(data, JSON_C_TO_STRING_PLAIN));
        json_object_put(data);
    }
    if (b->awaited && strcmp(b->awaited, name) == 0) {
        loop_quit(b->loop);
    }
    mutex_unlock(&b->lock);
}

static void bench_prepare(Bench *b, MachineType type)
{
    *b = (Bench){.config = vm_config_new(), .loop = loop_new("test")};
    b->sink = (VmEventSink){.raise = take_event, .opaque = b};
    b->events = g_string_new(NULL);
    b->story = g_string_new(NULL);
    mutex_init(&b->lock);
    b->config->machine.type = type;
    b->config->accel = ACCEL_QTEST;
    b->config->smp.cpus = CPUS;
    b->config->memory.size = 1 << 20;
    b->config->memory.max_size = 1 << 20;
}

static void bench_build(Bench *b)
{
    g_autoptr(GError) error = NULL;

    b->vm = vm_new(b->config, b->loop, &b->sink, NULL, &error);
    ck_assert_msg(b->vm != NULL, "%s", error ? error->message : "");
    b->probe = add_probe(b, "probe");
    ck_assert(vm_boot(b->vm, &error));
}

static void bench_begin(Bench *b)
{
    bench_prepare(b, MACHINE_NONE);
    bench_build(b);
    g_string_truncate(b->story, 0);
}

static void bench_end(Bench *b)
{
    vm_free(b->vm);
    loop_free(b->loop);
    vm_config_free(b->config);
    g_string_free(b->events, TRUE);
    g_string_free(b->story, TRUE);
    g_free(b->last_data);
    mutex_fini(&b->lock);
}

/* What was told since it was last asked. */
static void expect_text(GString *text, const char *expected)
{
    ck_assert_str_eq(text->str, expected);
    g_string_truncate(text, 0);
}

static void expect_state(const Bench *b, RunState state)
{
    ck_assert_str_eq(run_state_name(b->vm->state), run_state_name(state));
}

/* Runs the main loop until the VM has told of something. */
static void run_until(Bench *b, const char *event)
{
    b->awaited = event;
    loop_run(b->loop);
    b->awaited = NULL;
}

static void cont(Bench *b)
{
    g_autoptr(GError) error = NULL;

    ck_assert_msg(vm_cont(b->vm, &error), "%s", error ? error->message : "");
    expect_text(b->events, "RESUME ");
    expect_text(b->story, "resume ");
    expect_state(b, RUN_STATE_RUNNING);
}

static void expect_no_cont(Bench *b, const char *message)
{
    g_autoptr(GError) error = NULL;

    ck_assert(!vm_cont(b->vm, &error));
    ck_assert_str_eq(error->message, message);
}

START_TEST(a_new_vm_waits_for_its_launch)
{
    Bench b;

    bench_prepare(&b, MACHINE_NONE);
    bench_build(&b);
    expect_state(&b, RUN_STATE_PRELAUNCH);
    ck_assert_uint_eq(vcpus_count(b.vm->vcpus), CPUS);
    ck_assert_ptr_eq(vm_find_device(b.vm, "probe"), &b.probe->base);
    ck_assert_ptr_null(vm_find_device(b.vm, "nobody"));
    expect_text(b.events, "");
    expect_text(b.story, "boot ");
    bench_end(&b);
}
END_TEST

START_TEST(a_vm_that_waits_for_its_state_cannot_just_run)
{
    Bench b;

    bench_prepare(&b, MACHINE_NONE);
    b.config->incoming.uri = g_strdup("defer");
    bench_build(&b);
    expect_state(&b, RUN_STATE_INMIGRATE);
    expect_no_cont(&b, "the VM cannot run on from state 'inmigrate'");
    bench_end(&b);
}
END_TEST

START_TEST(a_machine_of_another_architecture_is_refused)
{
    g_autoptr(GError) error = NULL;
    Bench b;

    bench_prepare(&b, MACHINE_VIRT);
    b.vm = vm_new(b.config, b.loop, &b.sink, NULL, &error);
    ck_assert_ptr_null(b.vm);
    ck_assert_str_eq(error->message, "there is no machine 'virt' for this architecture");
    bench_end(&b);
}
END_TEST

START_TEST(two_devices_cannot_have_one_id)
{
    g_autoptr(GError) error = NULL;
    Bench b;
    Probe *twin;

    bench_begin(&b);
    twin = device_alloc(&probe_ops, "probe", sizeof(*twin));
    twin->story = b.story;
    ck_assert(!vm_add_device(b.vm, &twin->base, &error));
    ck_assert_str_eq(error->message, "there are two devices with id 'probe'");
    bench_end(&b);
}
END_TEST

START_TEST(cont_and_stop_are_told_once_however_often_they_are_said)
{
    Bench b;

    bench_begin(&b);
    cont(&b);
    ck_assert(vm_cont(b.vm, NULL));
    expect_text(b.events, "");
    ck_assert(vm_stop(b.vm, RUN_STATE_PAUSED, NULL));
    ck_assert(vm_stop(b.vm, RUN_STATE_PAUSED, NULL));
    expect_text(b.events, "STOP ");
    expect_text(b.story, "drain ");
    cont(&b);
    bench_end(&b);
}
END_TEST

START_TEST(a_stopped_vm_may_go_on_to_another_stopped_state)
{
    Bench b;

    bench_begin(&b);
    cont(&b);
    ck_assert(vm_stop(b.vm, RUN_STATE_IO_ERROR, NULL));
    expect_state(&b, RUN_STATE_IO_ERROR);
    ck_assert(vm_stop(b.vm, RUN_STATE_FINISH_MIGRATE, NULL));
    expect_state(&b, RUN_STATE_FINISH_MIGRATE);
    expect_text(b.events, "STOP ");
    expect_text(b.story, "drain ");
    bench_end(&b);
}
END_TEST

START_TEST(a_vm_can_be_freed_while_it_runs)
{
    Bench b;

    bench_begin(&b);
    cont(&b);
    bench_end(&b);
}
END_TEST

START_TEST(a_running_vm_runs_on_after_a_reset)
{
    Bench b;

    bench_begin(&b);
    cont(&b);
    ck_assert(vm_reset(b.vm, /* from_guest= */ false, "host-qmp-system-reset", NULL));
    expect_text(b.events, "RESET ");
    ck_assert_str_eq(b.last_data, "{\"guest\":false,\"reason\":\"host-qmp-system-reset\"}");
    expect_text(b.story, "drain reset boot resume ");
    expect_state(&b, RUN_STATE_RUNNING);
    bench_end(&b);
}
END_TEST

START_TEST(a_stopped_vm_stays_stopped_after_a_reset)
{
    Bench b;

    bench_begin(&b);
    cont(&b);
    ck_assert(vm_stop(b.vm, RUN_STATE_PAUSED, NULL));
    ck_assert(vm_reset(b.vm, /* from_guest= */ true, "guest-reset", NULL));
    expect_text(b.events, "STOP RESET ");
    expect_text(b.story, "drain reset boot ");
    expect_state(&b, RUN_STATE_PAUSED);
    cont(&b);
    bench_end(&b);
}
END_TEST

START_TEST(shutdown_leaves_the_loop_unless_the_vm_is_to_be_kept)
{
    Bench b;

    bench_begin(&b);
    cont(&b);
    vm_shutdown(b.vm, /* from_guest= */ true, "guest-shutdown");
    loop_run(b.loop); /* returns at once */
    expect_text(b.events, "SHUTDOWN ");
    ck_assert_str_eq(b.last_data, "{\"guest\":true,\"reason\":\"guest-shutdown\"}");
    expect_text(b.story, "drain ");
    expect_state(&b, RUN_STATE_SHUTDOWN);
    ck_assert_int_eq(b.vm->exit_status, 0);
    bench_end(&b);
}
END_TEST

START_TEST(a_vm_that_was_kept_after_its_shutdown_needs_a_reset)
{
    Bench b;

    bench_begin(&b);
    b.vm->actions.shutdown = SHUTDOWN_ACTION_PAUSE;
    cont(&b);
    vm_shutdown(b.vm, /* from_guest= */ true, "guest-shutdown");
    expect_text(b.events, "SHUTDOWN STOP ");
    expect_text(b.story, "drain ");
    expect_no_cont(&b, "the VM cannot run on from state 'shutdown': reset it first");
    ck_assert(vm_reset(b.vm, /* from_guest= */ false, "host-qmp-system-reset", NULL));
    expect_text(b.events, "RESET ");
    expect_text(b.story, "reset boot ");
    expect_state(&b, RUN_STATE_PAUSED);
    cont(&b);
    bench_end(&b);
}
END_TEST

START_TEST(quit_ends_with_its_status_whatever_else_was_asked_for)
{
    Bench b;

    bench_begin(&b);
    b.vm->actions.shutdown = SHUTDOWN_ACTION_PAUSE;
    cont(&b);
    vm_request(b.vm, &(VmRequest){.kind = VM_REQUEST_EXIT, .reason = "host-ui", .exit_status = 3});
    run_until(&b, "SHUTDOWN");
    ck_assert_int_eq(b.vm->exit_status, 3);
    expect_state(&b, RUN_STATE_SHUTDOWN);
    bench_end(&b);
}
END_TEST

START_TEST(the_power_button_needs_acpi)
{
    g_autoptr(GError) error = NULL;
    Bench b;

    bench_begin(&b);
    ck_assert(!vm_powerdown(b.vm, &error));
    ck_assert_str_eq(error->message, "machine none without ACPI has no power button");
    expect_text(b.events, "");
    bench_end(&b);
}
END_TEST

START_TEST(a_device_that_cannot_be_drained_is_named_and_holds_up_no_other)
{
    g_autoptr(GError) error = NULL;
    Bench b;

    bench_begin(&b);
    add_probe(&b, "other");
    ck_assert(vm_cont(b.vm, NULL));
    g_string_truncate(b.story, 0);
    b.probe->refuses = true;
    ck_assert(!vm_stop(b.vm, RUN_STATE_PAUSED, &error));
    ck_assert_str_eq(error->message, "device probe: it is stuck");
    expect_text(b.story, "drain drain ");
    expect_state(&b, RUN_STATE_PAUSED);
    /* It is asked again, and a VM that is not drained is not reset. */
    ck_assert(!vm_reset(b.vm, /* from_guest= */ false, "host-qmp-system-reset", NULL));
    expect_text(b.story, "drain drain ");
    b.probe->refuses = false;
    ck_assert(vm_reset(b.vm, /* from_guest= */ false, "host-qmp-system-reset", NULL));
    expect_text(b.story, "drain drain reset reset boot boot ");
    bench_end(&b);
}
END_TEST

START_TEST(a_reset_that_cannot_begin_leaves_the_vm_running)
{
    static const FakeExit after[] = {
        {.reason = KVM_EXIT_SYSTEM_EVENT, .detail = KVM_SYSTEM_EVENT_SHUTDOWN},
    };
    g_autoptr(GError) error = NULL;
    Bench b;

    bench_begin(&b);
    cont(&b);
    b.probe->refuses = true;
    /* Parked, its vCPU is given something to do: only one that runs again will do it. */
    vcpus_pause(b.vm->vcpus);
    fake_set_script(b.vm->hypervisor, 0, after, G_N_ELEMENTS(after));
    ck_assert(!vm_reset(b.vm, /* from_guest= */ false, "host-qmp-system-reset", &error));
    expect_text(b.story, "drain resume ");
    expect_state(&b, RUN_STATE_RUNNING);
    run_until(&b, "SHUTDOWN");
    bench_end(&b);
}
END_TEST

START_TEST(a_guest_whose_reset_fails_is_not_left_hanging)
{
    Bench b;

    bench_begin(&b);
    cont(&b);
    b.probe->refuses = true;
    vm_request(b.vm, &(VmRequest){.kind = VM_REQUEST_RESET, .reason = "guest-reset"});
    run_until(&b, "SHUTDOWN");
    ck_assert_int_eq(b.vm->exit_status, 1);
    ck_assert_str_eq(b.last_data, "{\"guest\":false,\"reason\":\"host-error\"}");
    bench_end(&b);
}
END_TEST

typedef struct PanicCase {
    PanicAction action;
    const char *events;
    RunState state;
    int exit_status;
} PanicCase;

static const PanicCase panics[] = {
    {PANIC_ACTION_PAUSE, "GUEST_PANICKED STOP ", RUN_STATE_GUEST_PANICKED, 0},
    {PANIC_ACTION_SHUTDOWN, "GUEST_PANICKED SHUTDOWN ", RUN_STATE_SHUTDOWN, 0},
    {PANIC_ACTION_EXIT_FAILURE, "GUEST_PANICKED SHUTDOWN ", RUN_STATE_SHUTDOWN, 1},
    {PANIC_ACTION_NONE, "GUEST_PANICKED ", RUN_STATE_RUNNING, 0},
};

START_TEST(a_panic_comes_to_what_was_asked_for)
{
    const PanicCase *panic = &panics[_i];
    Bench b;

    bench_begin(&b);
    b.vm->actions.panic = panic->action;
    cont(&b);
    vm_request(b.vm, &(VmRequest){.kind = VM_REQUEST_PANIC, .from_guest = true, .text = "oops"});
    run_until(&b, "GUEST_PANICKED");
    expect_text(b.events, panic->events);
    expect_state(&b, panic->state);
    ck_assert_int_eq(b.vm->exit_status, panic->exit_status);
    bench_end(&b);
}
END_TEST

START_TEST(a_triple_fault_is_a_reset_unless_reboots_end_the_vm)
{
    static const FakeExit script[] = {{.reason = KVM_EXIT_SHUTDOWN}};
    bool is_kept = _i == 0;
    Bench b;

    bench_begin(&b);
    b.vm->actions.reboot = is_kept ? REBOOT_ACTION_RESET : REBOOT_ACTION_SHUTDOWN;
    fake_set_script(b.vm->hypervisor, 1, script, G_N_ELEMENTS(script));
    cont(&b);
    run_until(&b, is_kept ? "RESET" : "SHUTDOWN");
    ck_assert_str_eq(b.last_data, "{\"guest\":true,\"reason\":\"guest-reset\"}");
    expect_state(&b, is_kept ? RUN_STATE_RUNNING : RUN_STATE_SHUTDOWN);
    bench_end(&b);
}
END_TEST

START_TEST(a_lost_vcpu_stops_the_vm_until_a_reset_revives_it)
{
    static const FakeExit script[] = {
        {.run_result = -EFAULT},
        {.reason = KVM_EXIT_SYSTEM_EVENT, .detail = KVM_SYSTEM_EVENT_SHUTDOWN},
    };
    Bench b;

    bench_begin(&b);
    fake_set_script(b.vm->hypervisor, 0, script, G_N_ELEMENTS(script));
    cont(&b);
    run_until(&b, "STOP");
    expect_text(b.events, "VCPU_FAILED STOP ");
    ck_assert_ptr_nonnull(strstr(b.last_data, "vCPU 0: KVM_RUN failed: Bad address"));
    expect_text(b.story, "drain ");
    expect_no_cont(&b, "the VM cannot run on from state 'internal-error': reset it first");
    ck_assert(vm_reset(b.vm, /* from_guest= */ false, "host-qmp-system-reset", NULL));
    expect_text(b.events, "RESET ");
    expect_text(b.story, "reset boot ");
    cont(&b);
    run_until(&b, "SHUTDOWN");
    expect_state(&b, RUN_STATE_SHUTDOWN);
    bench_end(&b);
}
END_TEST

START_TEST(requests_that_wait_together_are_served_in_their_order)
{
    static const VmRequest requests[] = {
        SHUTDOWN_REQUEST,
        {.kind = VM_REQUEST_RESET, .from_guest = true, .reason = "guest-reset"},
    };
    Bench b;

    bench_begin(&b);
    cont(&b);
    for (size_t i = 0; i < G_N_ELEMENTS(requests); i++) {
        vm_request(b.vm, &requests[i]);
    }
    run_until(&b, "SHUTDOWN");
    expect_text(b.events, "RESET SHUTDOWN ");
    bench_end(&b);
}
END_TEST

/* What many threads ask for at once; the texts are told from each other by their length. */
static void *ask_often(void *opaque)
{
    Vm *vm = opaque;

    for (unsigned i = 0; i < REQUESTS_EACH; i++) {
        g_autofree char *text = g_strnfill(i % 64 + 1, 'x');

        vm_request(vm, &(VmRequest){.kind = i % 2 == 0 ? VM_REQUEST_RESET : VM_REQUEST_PANIC,
                                    .from_guest = true,
                                    .reason = "guest-reset",
                                    .text = text});
    }
    vm_request(vm, &(VmRequest){.kind = VM_REQUEST_PANIC, .from_guest = true, .text = "last"});
    return NULL;
}

START_TEST(requests_of_many_threads_are_all_acted_on)
{
    GThread *threads[THREADS];
    Bench b;

    bench_begin(&b);
    b.vm->actions.panic = PANIC_ACTION_NONE;
    cont(&b);
    for (unsigned i = 0; i < THREADS; i++) {
        threads[i] = g_thread_new("asker", ask_often, b.vm);
    }
    run_until(&b, "RESET");
    for (unsigned i = 0; i < THREADS; i++) {
        g_thread_join(threads[i]);
    }
    /* Whatever the loop saw meanwhile, it still acts on what comes now. */
    expect_state(&b, RUN_STATE_RUNNING);
    vm_request(b.vm, &(VmRequest)SHUTDOWN_REQUEST);
    run_until(&b, "SHUTDOWN");
    expect_state(&b, RUN_STATE_SHUTDOWN);
    ck_assert_uint_eq(b.vm->requests, 0);
    ck_assert_ptr_nonnull(strstr(b.events->str, "GUEST_PANICKED "));
    bench_end(&b);
}
END_TEST

START_TEST(two_vms_live_side_by_side)
{
    static const FakeExit script[] = {
        {.reason = KVM_EXIT_SYSTEM_EVENT, .detail = KVM_SYSTEM_EVENT_SHUTDOWN},
    };
    Bench one;
    Bench other;

    bench_begin(&one);
    bench_begin(&other);
    fake_set_script(one.vm->hypervisor, 0, script, G_N_ELEMENTS(script));
    cont(&one);
    cont(&other);
    run_until(&one, "SHUTDOWN");
    expect_state(&one, RUN_STATE_SHUTDOWN);
    expect_state(&other, RUN_STATE_RUNNING);
    expect_text(other.events, "");
    expect_text(other.story, "");
    bench_end(&one);
    ck_assert(vm_stop(other.vm, RUN_STATE_PAUSED, NULL));
    expect_text(other.story, "drain ");
    bench_end(&other);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("vm");

    tcase_add_test(tc, a_new_vm_waits_for_its_launch);
    tcase_add_test(tc, a_vm_that_waits_for_its_state_cannot_just_run);
    tcase_add_test(tc, a_machine_of_another_architecture_is_refused);
    tcase_add_test(tc, two_devices_cannot_have_one_id);
    tcase_add_test(tc, cont_and_stop_are_told_once_however_often_they_are_said);
    tcase_add_test(tc, a_stopped_vm_may_go_on_to_another_stopped_state);
    tcase_add_test(tc, a_vm_can_be_freed_while_it_runs);
    tcase_add_test(tc, a_running_vm_runs_on_after_a_reset);
    tcase_add_test(tc, a_stopped_vm_stays_stopped_after_a_reset);
    tcase_add_test(tc, shutdown_leaves_the_loop_unless_the_vm_is_to_be_kept);
    tcase_add_test(tc, a_vm_that_was_kept_after_its_shutdown_needs_a_reset);
    tcase_add_test(tc, quit_ends_with_its_status_whatever_else_was_asked_for);
    tcase_add_test(tc, the_power_button_needs_acpi);
    tcase_add_test(tc, a_device_that_cannot_be_drained_is_named_and_holds_up_no_other);
    tcase_add_test(tc, a_reset_that_cannot_begin_leaves_the_vm_running);
    tcase_add_test(tc, a_guest_whose_reset_fails_is_not_left_hanging);
    tcase_add_loop_test(tc, a_panic_comes_to_what_was_asked_for, 0, G_N_ELEMENTS(panics));
    tcase_add_loop_test(tc, a_triple_fault_is_a_reset_unless_reboots_end_the_vm, 0, 2);
    tcase_add_test(tc, a_lost_vcpu_stops_the_vm_until_a_reset_revives_it);
    tcase_add_test(tc, requests_that_wait_together_are_served_in_their_order);
    tcase_add_test(tc, requests_of_many_threads_are_all_acted_on);
    tcase_add_test(tc, two_vms_live_side_by_side);
    return suite_run("vm", tc);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a virtual machine, top to bottom. */
#include "machine/daemonize.h"
#include "machine/dump.h"
#include "machine/gdb/stub.h"
#include "machine/help.h"
#include "machine/options.h"
#include "machine/qtest.h"
#include "machine/sandbox.h"
#include "machine/signals.h"
#include "machine/support.h"
#include "machine/tracing.h"
#include "machine/vm.h"
#include "machine/vm_migration.h"
#include "qmp/server.h"
#include "util/error.h"
#include "util/fd.h"
#include "util/log.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>

#define HEAP_STEP (256 * 1024)

static bool open_log(const VmConfig *config, GError **error)
{
    int fd;

    log_show_time(config->msg_timestamp);
    if (!config->log_file) {
        return true;
    }
    fd = fd_open(config->log_file, O_WRONLY | O_CREAT | O_APPEND, 0600, error);
    if (fd >= 0) {
        log_init(fd, LOG_LEVEL_INFO);
    }
    return fd >= 0;
}

/* What others see of the process, and what it does when whoever started it ends. */
static bool name_process(const VmConfig *config, GError **error)
{
    if (config->process_name && prctl(PR_SET_NAME, config->process_name) < 0) {
        return fail_errno(error, errno, "-name process=%s", config->process_name);
    }
    if (config->exit_with_parent && prctl(PR_SET_PDEATHSIG, SIGTERM) < 0) {
        return fail_errno(error, errno, "-run-with exit-with-parent");
    }
    return true;
}

static bool listen_to_test(Vm *vm, Qtest **ret_qtest, GError **error)
{
    if (!vm->config->qtest) {
        return true;
    }
    *ret_qtest = qtest_new(vm, vm->config->qtest, error);
    return *ret_qtest != NULL;
}

static bool listen_to_debugger(Vm *vm, GdbStub **ret_stub, GError **error)
{
    if (!vm->config->gdb) {
        return true;
    }
    *ret_stub = gdb_stub_new(vm, vm->config->gdb, error);
    return *ret_stub != NULL;
}

/* From a template, or from a kernel; or the VM waits for a stream, or to be told. */
static bool start(Vm *vm, const TemplateReader *template, Channel **stream, GError **error)
{
    if (template) {
        return migration_load_opened(vm->migration, template, error);
    }
    if (*stream) {
        migration_load_stream(vm->migration, g_steal_pointer(stream), /* or_give_up= */ true);
    }
    if (vm->config->incoming.uri) {
        return hypervisor_settle(vm->hypervisor, error);
    }
    if (!vm_boot(vm, error)) {
        return false;
    }
    if (vm->config->start_paused) {
        return true;
    }
    log_line(LOG_LEVEL_INFO, "the guest starts");
    return vm_cont(vm, error);
}

/* Builds the VM, lets it live, and says how the process is to end. */
static bool run_vm(const VmConfig *config, VmOrigin *origin, Daemon *daemon, int *ret_status,
                   GError **error)
{
    g_autoptr(Loop) loop = loop_new("main");
    g_autoptr(QmpServer) qmp = qmp_server_new(config, loop, error);
    g_autoptr(Vm) vm = NULL;
    g_autoptr(Qtest) qtest = NULL;
    g_autoptr(GdbStub) gdb = NULL;
    g_autoptr(Channel) stream = NULL;
    Signals signals;
    bool ok;

    if (!qmp || !signals_begin(&signals, error) || !sandbox_begin(config, error)) {
        return false;
    }
    vm = vm_new(config, loop, qmp_server_events(qmp), origin, error);
    ok = vm && (origin->template || vm_open_incoming_stream(vm, &stream, error)) &&
         sandbox_enter_main(config, error) && qmp_server_start(qmp, vm, error) &&
         listen_to_test(vm, &qtest, error) && listen_to_debugger(vm, &gdb, error) &&
         start(vm, origin->template, &stream, error) && daemon_ready(daemon, error);
    if (ok) {
        /* A stream was unpacked for it: once RAM has it, nobody needs the rest. */
        g_clear_pointer(&origin->template, template_reader_free);
        signals_watch(&signals, vm);
        loop_run(loop);
        *ret_status = vm->exit_status;
    }
    qmp_server_stop(qmp);
    signals_end(&signals);
    return ok;
}

/* What it takes to be a process of its own.  Threads come after it: a fork takes none along. */
static bool begin_process(const VmConfig *config, Daemon *daemon, GError **error)
{
    return daemon_begin(daemon, config->daemonize, config->pid_file, error) &&
           open_log(config, error) && tracing_begin(config, error) && name_process(config, error);
}

/* The hypervisor comes while the template is read and the configuration looked at. */
static bool run_config(VmConfig *config, Daemon *daemon, int *ret_status, GError **error)
{
    VmOrigin origin = {.hypervisor = vm_hypervisor_new(config, error)};
    bool ok = origin.hypervisor && vm_open_incoming(config, &origin.template, error) &&
              vm_config_validate(config, error) && support_check(config, error) &&
              run_vm(config, &origin, daemon, ret_status, error);

    template_reader_free(origin.template);
    hypervisor_free(origin.hypervisor);
    return ok;
}

int main(int argc, char **argv)
{
    g_autoptr(VmConfig) config = vm_config_new();
    g_autoptr(GError) error = NULL;
    OptionsOutcome outcome = {
        .device_help = help_devices,
        .cpu_help = help_cpus,
        .dump_state = dump_state,
        .dump_vmstate = dump_vmstate,
    };
    Daemon daemon = DAEMON_NONE;
    int status = EXIT_FAILURE;

    /* An arena of its own costs each thread 70 us before its first allocation, and memory after. */
    mallopt(M_ARENA_MAX, 1);
    /* Growing the heap by little and giving it back at once costs more than it is worth. */
    mallopt(M_TOP_PAD, HEAP_STEP);
    mallopt(M_TRIM_THRESHOLD, 4 * HEAP_STEP);
    if (!options_parse(argc, argv, config, &outcome, &error)) {
        fprintf(stderr, "stencil: %s\n", error->message);
        return EXIT_FAILURE;
    }
    if (outcome.text) {
        fputs(outcome.text, stdout);
        g_free(outcome.text);
        return EXIT_SUCCESS;
    }
    if (!begin_process(config, &daemon, &error) || !run_config(config, &daemon, &status, &error)) {
        fprintf(stderr, "stencil: %s\n", error->message);
    }
    daemon_end(&daemon);
    return status;
}

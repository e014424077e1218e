/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/sandbox.h"

#include "machine/sandbox_filter.h"
#include "machine/sandbox_policy.h"
#include "util/error.h"
#include "util/log.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *const role_names[THREAD_ROLES] = {
    [THREAD_MAIN] = "main",     [THREAD_VCPU] = "vcpu",           [THREAD_LOOP] = "loop",
    [THREAD_WORKER] = "worker", [THREAD_MIGRATION] = "migration", [THREAD_PREALLOC] = "prealloc",
    [THREAD_FILL] = "fill",
};

/* For the handler: like the filter, a property of the thread. */
static _Thread_local const char *own_role = "none";

/*
 * The thread may hold any lock, the allocator's included: no more than formatting on the stack and
 * a write.  Nothing is returned to: the call has not been made, and who asked for it is not to be
 * trusted any more.
 */
static void call_refused(int number, siginfo_t *info, void *context)
{
    char thread[16] = "";
    const char *name = sandbox_call_name((unsigned)info->si_syscall);

    (void)number;
    prctl(PR_GET_NAME, thread);
    log_from_signal("sandbox: thread '%s' (role %s) called %s, number %d, with 0x%llx, 0x%llx, "
                    "0x%llx: its role may not; the process ends (-sandbox off runs without)",
                    thread, own_role, name ? name : "an unknown function", info->si_syscall,
                    (unsigned long long)sandbox_arch_argument(context, 0),
                    (unsigned long long)sandbox_arch_argument(context, 1),
                    (unsigned long long)sandbox_arch_argument(context, 2));
    _exit(SANDBOX_EXIT_STATUS);
}

static bool install_handler(GError **error)
{
    struct sigaction action = {.sa_sigaction = call_refused, .sa_flags = SA_SIGINFO};

    sigfillset(&action.sa_mask);
    return sigaction(SIGSYS, &action, NULL) == 0 || fail_errno(error, errno, "SIGSYS handler");
}

/* There is nobody to return an error to, and a thread without its filter must not serve a guest. */
static void guard_thread(ThreadRole role)
{
    g_autoptr(GError) error = NULL;

    if (!sandbox_enter(role, &error)) {
        log_line(LOG_LEVEL_ERROR, "%s", error->message);
        _exit(EXIT_FAILURE);
    }
}

bool sandbox_is_wanted(const VmConfig *config)
{
    return config->sandbox == ON_OFF_AUTO_ON ||
           (config->sandbox == ON_OFF_AUTO_AUTO && config->accel != ACCEL_QTEST &&
            !SANDBOX_IS_INSTRUMENTED);
}

bool sandbox_begin(const VmConfig *config, GError **error)
{
    const uint32_t action = SECCOMP_RET_TRAP;

    if (!sandbox_is_wanted(config)) {
        return true;
    }
    if (SANDBOX_IS_INSTRUMENTED) {
        return fail(error, VMM_ERROR_CONFIG,
                    "-sandbox on: a build with sanitizers or coverage makes calls of its own that "
                    "no filter allows");
    }
    if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) < 0) {
        return fail_errno(error, errno,
                          "this host's kernel has no seccomp filters (-sandbox off runs without)");
    }
    thread_set_guard(guard_thread);
    return install_handler(error);
}

bool sandbox_enter_main(const VmConfig *config, GError **error)
{
    return !sandbox_is_wanted(config) || sandbox_enter(THREAD_MAIN, error);
}

/*
 * Without SPEC_ALLOW some kernels slow a filtered thread down to keep its speculation from code that
 * shares its address space.  There is none here: a guest has its own, which KVM sees to.
 */
bool sandbox_enter(ThreadRole role, GError **error)
{
    SandboxProgram program;
    struct sock_fprog loaded = {.filter = program.code};

    sandbox_filter_build(role, (uint32_t)getpid(), &program);
    loaded.len = program.len;
    own_role = role_names[role];
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
        return fail_errno(error, errno, "sandbox: no_new_privs of role %s", own_role);
    }
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &loaded) ==
               0 ||
           fail_errno(error, errno,
                      "sandbox: cannot filter the calls of role %s (-sandbox off runs without)",
                      own_role);
}

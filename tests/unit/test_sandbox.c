/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filters twice: run by a small interpreter here, for every call of every role, against a plain
 * reading of the tables; and by the kernel, in children that do what they may not.
 */
#include "machine/sandbox.h"

#include "machine/sandbox_filter.h"
#include "machine/sandbox_policy.h"
#include "tests/unit/suite.h"
#include "util/error.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define OWN_PID    4711u
#define MANY_CALLS 700

/* ---- the interpreter --------------------------------------------------------------------- */

static uint32_t run(const SandboxProgram *program, const struct seccomp_data *data)
{
    uint32_t a = 0;

    for (size_t pc = 0; pc < program->len; pc++) {
        const struct sock_filter *f = &program->code[pc];

        switch (f->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            ck_assert_uint_le(f->k, sizeof(*data) - sizeof(a));
            memcpy(&a, (const uint8_t *)data + f->k, sizeof(a));
            break;
        case BPF_ALU | BPF_AND | BPF_K:
            a &= f->k;
            break;
        case BPF_JMP | BPF_JA:
            pc += f->k;
            break;
        case BPF_JMP | BPF_JEQ | BPF_K:
            pc += a == f->k ? f->jt : f->jf;
            break;
        case BPF_JMP | BPF_JGE | BPF_K:
            pc += a >= f->k ? f->jt : f->jf;
            break;
        case BPF_RET | BPF_K:
            return f->k;
        default:
            ck_abort_msg("instruction 0x%x", f->code);
        }
    }
    ck_abort_msg("it runs off its end");
}

static uint32_t verdict(ThreadRole role, unsigned number, unsigned arg, uint64_t value)
{
    struct seccomp_data data = {.nr = (int)number, .arch = sandbox_arch_audit};
    SandboxProgram program;

    data.args[arg] = value;
    sandbox_filter_build(role, OWN_PID, &program);
    return run(&program, &data);
}

/* ---- a plain reading of the tables --------------------------------------------------------- */

static const SandboxRule *find_rule(unsigned number, ThreadRole role)
{
    const SandboxRules *tables[] = {&sandbox_rules, &sandbox_arch_rules};

    for (size_t t = 0; t < G_N_ELEMENTS(tables); t++) {
        for (size_t i = 0; i < tables[t]->count; i++) {
            const SandboxRule *rule = &tables[t]->rule[i];

            if (rule->number == number && (rule->roles & sandbox_admits(role))) {
                return rule;
            }
        }
    }
    return NULL;
}

static bool value_is_listed(const SandboxCheck *check, ThreadRole role, uint32_t value)
{
    bool listed = check->own_pid && value == OWN_PID;

    for (size_t l = 0; l < G_N_ELEMENTS(check->values) && check->values[l]; l++) {
        for (size_t i = 0; i < check->values[l]->count; i++) {
            const SandboxValue *v = &check->values[l]->value[i];

            listed = listed || (v->value == value && (v->roles & sandbox_admits(role)));
        }
    }
    return listed;
}

static uint32_t expected_verdict(ThreadRole role, unsigned number, uint64_t value)
{
    const SandboxRule *rule = find_rule(number, role);

    if (!rule) {
        return SECCOMP_RET_TRAP;
    }
    if (rule->check) {
        return value_is_listed(rule->check, role, (uint32_t)value & rule->check->mask)
                   ? SECCOMP_RET_ALLOW
                   : SECCOMP_RET_TRAP;
    }
    return rule->answer != 0 ? SECCOMP_RET_ERRNO | rule->answer : SECCOMP_RET_ALLOW;
}

START_TEST(every_call_of_every_role_ends_as_the_tables_say)
{
    for (ThreadRole role = 0; role < THREAD_ROLES; role++) {
        for (unsigned number = 0; number < MANY_CALLS; number++) {
            const SandboxRule *rule = find_rule(number, role);
            unsigned arg = rule && rule->check ? rule->check->arg : 0;

            ck_assert_uint_eq(verdict(role, number, arg, 0), expected_verdict(role, number, 0));
            ck_assert_uint_eq(verdict(role, number, arg, UINT64_MAX),
                              expected_verdict(role, number, UINT64_MAX));
        }
    }
}
END_TEST

static void try_values_around(ThreadRole role, const SandboxRule *rule, uint32_t value)
{
    for (uint32_t around = value - 1; around != value + 2; around++) {
        ck_assert_uint_eq(verdict(role, rule->number, rule->check->arg, around),
                          expected_verdict(role, rule->number, around));
    }
}

START_TEST(every_value_that_a_check_lists_and_its_neighbours_end_as_the_tables_say)
{
    for (ThreadRole role = 0; role < THREAD_ROLES; role++) {
        for (size_t i = 0; i < sandbox_rules.count; i++) {
            const SandboxRule *rule = &sandbox_rules.rule[i];

            for (size_t l = 0; rule->check && l < 2 && rule->check->values[l]; l++) {
                for (size_t v = 0; v < rule->check->values[l]->count; v++) {
                    try_values_around(role, rule, rule->check->values[l]->value[v].value);
                }
            }
        }
    }
    ck_assert_uint_eq(verdict(THREAD_VCPU, SYS_tgkill, 0, OWN_PID), SECCOMP_RET_ALLOW);
    ck_assert_uint_eq(verdict(THREAD_VCPU, SYS_tgkill, 0, OWN_PID + 1), SECCOMP_RET_TRAP);
}
END_TEST

START_TEST(another_architectures_call_kills_the_process)
{
    struct seccomp_data data = {.nr = SYS_read, .arch = sandbox_arch_audit ^ 1};
    SandboxProgram program;

    sandbox_filter_build(THREAD_MAIN, OWN_PID, &program);
    ck_assert_uint_eq(run(&program, &data), SECCOMP_RET_KILL_PROCESS);
}
END_TEST

START_TEST(calls_with_high_bits_are_not_mistaken_for_others)
{
    ck_assert_uint_eq(verdict(THREAD_MAIN, 0x40000000u | SYS_read, 0, 0), SECCOMP_RET_TRAP);
    ck_assert_uint_eq(verdict(THREAD_MAIN, UINT32_MAX, 0, 0), SECCOMP_RET_TRAP);
}
END_TEST

START_TEST(nobody_may_start_programs_or_processes_or_reach_others)
{
    static const unsigned never[] = {
        SYS_execve,
        SYS_execveat,
        SYS_ptrace,
        SYS_process_vm_readv,
        SYS_process_vm_writev,
        SYS_kill,
        SYS_mount,
        SYS_unshare,
        SYS_setns,
        SYS_chroot,
        SYS_bpf,
        SYS_setuid,
        SYS_capset,
        SYS_init_module,
        SYS_keyctl,
        SYS_personality,
    };

    for (ThreadRole role = 0; role < THREAD_ROLES; role++) {
        for (size_t i = 0; i < G_N_ELEMENTS(never); i++) {
            ck_assert_uint_eq(verdict(role, never[i], 0, 0), SECCOMP_RET_TRAP);
        }
        ck_assert_uint_eq(verdict(role, SYS_clone, 0, SIGCHLD), SECCOMP_RET_TRAP);
        ck_assert_uint_eq(verdict(role, SYS_mmap, 2, PROT_READ | PROT_EXEC), SECCOMP_RET_TRAP);
    }
}
END_TEST

/* It inherits the filter of the thread that starts it, and must still do its work. */
START_TEST(who_starts_threads_admits_what_they_need)
{
    ck_assert_uint_eq(sandbox_admits(THREAD_LOOP) & sandbox_admits(THREAD_WORKER),
                      sandbox_admits(THREAD_WORKER));
    for (ThreadRole role = THREAD_LOOP; role < THREAD_ROLES; role++) {
        ck_assert_uint_eq(sandbox_admits(THREAD_MAIN) & sandbox_admits(role), sandbox_admits(role));
    }
    ck_assert_uint_eq(sandbox_admits(THREAD_VCPU), ROLE_VCPU);
}
END_TEST

START_TEST(calls_have_names)
{
    ck_assert_str_eq(sandbox_call_name(SYS_execve), "execve");
    ck_assert_str_eq(sandbox_call_name(SYS_io_uring_setup), "io_uring_setup");
    ck_assert_ptr_null(sandbox_call_name(100000));
}
END_TEST

/* ---- the kernel ---------------------------------------------------------------------------- */

/* Not under an emulator that has no filters, nor with sanitizers, whose calls are not ours. */
static bool kernel_filters(void)
{
    g_autoptr(VmConfig) config = vm_config_new();
    const uint32_t action = SECCOMP_RET_TRAP;

    return sandbox_is_wanted(config) &&
           syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

typedef struct Deed {
    const char *name; /* of the call, as the message has it; NULL: allowed */
    ThreadRole role;
    bool (*run)(void); /* what an allowed one answers */
} Deed;

/* Returns the status; text gets what the child wrote. */
static int do_in_child(const Deed *deed, char *text, size_t size)
{
    g_autoptr(VmConfig) config = vm_config_new();
    int ends[2], status;
    ssize_t len;
    pid_t child;

    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        if (!sandbox_begin(config, NULL) || !sandbox_enter(deed->role, NULL)) {
            _exit(3);
        }
        _exit(deed->run() ? 0 : 4);
    }
    close(ends[1]);
    len = read(ends[0], text, size - 1);
    text[MAX(len, 0)] = '\0';
    close(ends[0]);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return status;
}

static bool write_to_nowhere(void)
{
    return write(-1, "", 1) < 0 && errno == EBADF;
}

static bool map_memory(void)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return p != MAP_FAILED && mprotect(p, 4096, PROT_READ) == 0 && munmap(p, 4096) == 0;
}

static bool map_code(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != NULL;
}

static bool make_code(void)
{
    return mprotect(NULL, 0, PROT_READ | PROT_EXEC) == 0;
}

static bool open_a_file(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0;
}

static bool make_an_error(void)
{
    g_autoptr(GError) error = NULL;

    fail_errno(&error, ENOSPC, "x");
    return strcmp(error->message, "x: No space left on device") == 0;
}

static bool run_a_program(void)
{
    return execl("/bin/true", "true", (char *)NULL) == 0;
}

static bool fork_away(void)
{
    return fork() >= 0;
}

static bool open_unix_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0;
}

static bool open_netlink_socket(void)
{
    return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0) >= 0;
}

static bool push_into_terminal(void)
{
    return ioctl(-1, TIOCSTI, "x") < 0;
}

static bool run_nothing(void)
{
    return ioctl(-1, KVM_RUN, 0) < 0 && errno == EBADF;
}

static bool name_itself(void)
{
    return prctl(PR_SET_NAME, "x") == 0;
}

static bool become_dumpable(void)
{
    return prctl(PR_SET_DUMPABLE, 1) == 0;
}

static bool signal_another(void)
{
    return syscall(SYS_tgkill, 1, 1, 0) == 0;
}

static bool signal_itself(void)
{
    return syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), 0) == 0;
}

static bool ask_for_clone3(void)
{
    return syscall(SYS_clone3, NULL, 0) < 0 && errno == ENOSYS;
}

static bool drop_filters(void)
{
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 0, NULL) == 0;
}

static void *do_nothing(void *opaque)
{
    return opaque;
}

static bool start_a_thread(void)
{
    GThread *thread = thread_start(THREAD_WORKER, "w", do_nothing, &errno, NULL);

    return thread && g_thread_join(thread) == &errno;
}

static void *open_in_thread(void *opaque)
{
    (void)open_a_file();
    return opaque;
}

static bool open_a_file_on_a_worker(void)
{
    GThread *thread = thread_start(THREAD_WORKER, "w", open_in_thread, NULL, NULL);

    g_thread_join(thread);
    return true;
}

static const Deed allowed[] = {
    {NULL, THREAD_MAIN, open_a_file},      {NULL, THREAD_MAIN, open_unix_socket},
    {NULL, THREAD_MAIN, start_a_thread},   {NULL, THREAD_MAIN, ask_for_clone3},
    {NULL, THREAD_MAIN, name_itself},      {NULL, THREAD_VCPU, run_nothing},
    {NULL, THREAD_VCPU, signal_itself},    {NULL, THREAD_LOOP, start_a_thread},
    {NULL, THREAD_LOOP, write_to_nowhere}, {NULL, THREAD_WORKER, map_memory},
    {NULL, THREAD_MIGRATION, open_a_file}, {NULL, THREAD_MIGRATION, start_a_thread},
    {NULL, THREAD_PREALLOC, map_memory},   {NULL, THREAD_VCPU, make_an_error},
    {NULL, THREAD_LOOP, make_an_error},    {NULL, THREAD_WORKER, make_an_error},
};

static const Deed refused[] = {
    {"execve", THREAD_MAIN, run_a_program},
    {"clone", THREAD_MAIN, fork_away},
    {"socket", THREAD_MAIN, open_netlink_socket},
    {"ioctl", THREAD_MAIN, push_into_terminal},
    {"ioctl", THREAD_MAIN, run_nothing},
    {"prctl", THREAD_MAIN, become_dumpable},
    {"seccomp", THREAD_MAIN, drop_filters},
    {"tgkill", THREAD_MAIN, signal_another},
    {"mmap", THREAD_MAIN, map_code},
    {"mprotect", THREAD_MAIN, make_code},
    {"openat", THREAD_MAIN, open_a_file_on_a_worker},
    {"openat", THREAD_VCPU, open_a_file},
    {"socket", THREAD_VCPU, open_unix_socket},
    {"ioctl", THREAD_VCPU, push_into_terminal},
    {"mmap", THREAD_VCPU, map_code},
    {"openat", THREAD_LOOP, open_a_file},
    {"openat", THREAD_WORKER, open_a_file},
    {"ioctl", THREAD_WORKER, run_nothing},
    {"execve", THREAD_MIGRATION, run_a_program},
    {"socket", THREAD_MIGRATION, open_unix_socket},
    {"openat", THREAD_PREALLOC, open_a_file},
};

START_TEST(what_a_role_needs_works)
{
    char text[600];

    for (size_t i = 0; kernel_filters() && i < G_N_ELEMENTS(allowed); i++) {
        int status = do_in_child(&allowed[i], text, sizeof(text));

        ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%zu: status %d: %s", i,
                      status, text);
    }
}
END_TEST

START_TEST(what_it_does_not_need_ends_the_process_with_a_message_that_says_what)
{
    for (size_t i = 0; kernel_filters() && i < G_N_ELEMENTS(refused); i++) {
        g_autofree char *says = g_strdup_printf(" called %s, number ", refused[i].name);
        char text[600];
        int status = do_in_child(&refused[i], text, sizeof(text));

        ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == SANDBOX_EXIT_STATUS,
                      "%zu: status %d: %s", i, status, text);
        ck_assert_msg(strstr(text, says) && strstr(text, "-sandbox off"), "%zu: %s", i, text);
    }
}
END_TEST

static bool has_no_new_privileges(void)
{
    int fd = open("/proc/thread-self/status", O_RDONLY | O_CLOEXEC);
    char status[4096] = "";

    return read(fd, status, sizeof(status) - 1) > 0 && strstr(status, "NoNewPrivs:\t1") &&
           strstr(status, "Seccomp:\t2");
}

START_TEST(privileges_cannot_come_back)
{
    const Deed deed = {NULL, THREAD_MIGRATION, has_no_new_privileges};
    char text[600];

    if (kernel_filters()) {
        ck_assert_int_eq(do_in_child(&deed, text, sizeof(text)), 0);
    }
}
END_TEST

START_TEST(off_and_qtest_do_without)
{
    g_autoptr(VmConfig) config = vm_config_new();

    config->sandbox = ON_OFF_AUTO_OFF;
    ck_assert(!sandbox_is_wanted(config));
    ck_assert(sandbox_begin(config, NULL));
    ck_assert(sandbox_enter_main(config, NULL));
    ck_assert_int_le(prctl(PR_GET_SECCOMP), 0); /* user emulation knows nothing of it */
    config->sandbox = ON_OFF_AUTO_AUTO;
    config->accel = ACCEL_QTEST;
    ck_assert(!sandbox_is_wanted(config));
    config->sandbox = ON_OFF_AUTO_ON;
    ck_assert(sandbox_is_wanted(config));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("sandbox");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, every_call_of_every_role_ends_as_the_tables_say);
    tcase_add_test(tc, every_value_that_a_check_lists_and_its_neighbours_end_as_the_tables_say);
    tcase_add_test(tc, another_architectures_call_kills_the_process);
    tcase_add_test(tc, calls_with_high_bits_are_not_mistaken_for_others);
    tcase_add_test(tc, nobody_may_start_programs_or_processes_or_reach_others);
    tcase_add_test(tc, who_starts_threads_admits_what_they_need);
    tcase_add_test(tc, calls_have_names);
    tcase_add_test(tc, what_a_role_needs_works);
    tcase_add_test(tc, what_it_does_not_need_ends_the_process_with_a_message_that_says_what);
    tcase_add_test(tc, privileges_cannot_come_back);
    tcase_add_test(tc, off_and_qtest_do_without);
    return suite_run("sandbox", tc);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/sandbox_policy.h"

#include <errno.h>
#include <linux/fs.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define M     ROLE_MAIN
#define V     ROLE_VCPU
#define L     ROLE_LOOP
#define W     ROLE_WORKER
#define G     ROLE_MIGRATION
#define P     ROLE_PREALLOC
#define F     ROLE_FILL
#define EVERY (M | V | L | W | G | P | F)
#define FILES (M | L | W | G)

unsigned sandbox_admits(ThreadRole role)
{
    static const uint8_t admits[THREAD_ROLES] = {
        [THREAD_MAIN] = M | L | W | G | P | F,
        [THREAD_VCPU] = V,
        [THREAD_LOOP] = L | W,
        [THREAD_WORKER] = W,
        [THREAD_MIGRATION] = G,
        [THREAD_PREALLOC] = P,
        [THREAD_FILL] = F,
    };

    return admits[role];
}

/* ---- arguments --------------------------------------------------------------------------- */

/* Threads, never processes or namespaces. */
static const SandboxValue thread_flag[] = {{CLONE_THREAD, M | L | G}};
static const SandboxValues thread_flags = SANDBOX_TABLE(value, thread_flag);
static const SandboxCheck only_threads = {
    .arg = 0,
    .mask = CLONE_THREAD | CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
            CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET,
    .values = {&thread_flags},
};

/* Nothing that is written can be run. */
static const SandboxValue no_bit[] = {{0, EVERY}};
static const SandboxValues no_bits = SANDBOX_TABLE(value, no_bit);
static const SandboxCheck not_executable = {.arg = 2, .mask = PROT_EXEC, .values = {&no_bits}};

static const SandboxValue family[] = {{AF_UNIX, M}, {AF_INET, M}, {AF_INET6, M}};
static const SandboxValues families = SANDBOX_TABLE(value, family);
static const SandboxCheck known_families = {.arg = 0, .mask = UINT32_MAX, .values = {&families}};

/* A thread that starts others sets no_new_privs again for each, which changes nothing. */
static const SandboxValue prctl_option[] = {
    {PR_SET_NAME, EVERY}, {PR_GET_NAME, EVERY}, {PR_SET_NO_NEW_PRIVS, M | L | G}};
static const SandboxValues prctl_options = SANDBOX_TABLE(value, prctl_option);
static const SandboxCheck names = {.arg = 0, .mask = UINT32_MAX, .values = {&prctl_options}};

/* More filters, never fewer: that is all that the call can do. */
static const SandboxValue seccomp_operation[] = {{SECCOMP_SET_MODE_FILTER, M | L | G}};
static const SandboxValues seccomp_operations = SANDBOX_TABLE(value, seccomp_operation);
static const SandboxCheck more_filters = {
    .arg = 0, .mask = UINT32_MAX, .values = {&seccomp_operations}};

static const SandboxCheck own_process = {.arg = 0, .mask = UINT32_MAX, .own_pid = true};

/* Numbers that the headers of older kernels lack. */
#define SCAN_PAGE_MAP   _IOC(_IOC_READ | _IOC_WRITE, 'f', 16, 96) /* PAGEMAP_SCAN */
#define USERFAULTFD_NEW _IO(0xAA, 0)

static const SandboxValue ioctl_request[] = {
    {KVM_RUN, V},
    {KVM_SIGNAL_MSI, M | V | L},
    {KVM_SET_GSI_ROUTING, M | V},
    {KVM_IRQFD, M | V},
    {KVM_IOEVENTFD, M | V},
    {KVM_CHECK_EXTENSION, M | V},
    {KVM_GET_MP_STATE, V},
    {KVM_SET_MP_STATE, V},
    {KVM_GET_VCPU_EVENTS, V},
    {KVM_SET_VCPU_EVENTS, V},
    {KVM_SET_GUEST_DEBUG, V},
    {KVM_GET_DEVICE_ATTR, M | V},
    {KVM_SET_DEVICE_ATTR, M | V},
    {KVM_HAS_DEVICE_ATTR, M | V},
    {KVM_SET_USER_MEMORY_REGION, M},
    {KVM_GET_DIRTY_LOG, M | G},
    {TCGETS, M},
    {TCSETS, M},
    {TCSETSW, M},
    {TCSETSF, M},
    {TIOCGWINSZ, M},
    {TIOCGPTN, M},
    {TIOCSPTLCK, M},
    {TIOCGPTPEER, M},
    {BLKGETSIZE64, M},
    {BLKROGET, M},
    {BLKSSZGET, M},
    {BLKPBSZGET, M},
    {BLKDISCARD, L | W},
    {BLKZEROOUT, L | W},
    {SCAN_PAGE_MAP, M | G},
    {USERFAULTFD_NEW, M},
    {UFFDIO_API, M},
    {UFFDIO_REGISTER, M},
    {UFFDIO_UNREGISTER, F},
    {UFFDIO_COPY, F},
    {UFFDIO_ZEROPAGE, F},
    {UFFDIO_WAKE, F},
};
static const SandboxValues ioctl_requests = SANDBOX_TABLE(value, ioctl_request);
static const SandboxCheck known_requests = {
    .arg = 1, .mask = UINT32_MAX, .values = {&ioctl_requests, &sandbox_arch_ioctls}};

/* ---- calls ------------------------------------------------------------------------------- */

static const SandboxRule rules[] = {
    /* what the C library does on any thread, at any moment */
    SANDBOX_ALLOW(brk, EVERY),
    SANDBOX_ALLOW(clock_gettime, EVERY),
    SANDBOX_ALLOW(exit, EVERY),
    SANDBOX_ALLOW(exit_group, EVERY),
    SANDBOX_ALLOW(futex, EVERY),
    SANDBOX_ALLOW(getpid, EVERY),
    SANDBOX_ALLOW(gettid, EVERY),
    SANDBOX_ALLOW(madvise, EVERY),
    SANDBOX_CHECKED(mmap, EVERY, not_executable),
    SANDBOX_CHECKED(mprotect, EVERY, not_executable),
    SANDBOX_ALLOW(mremap, EVERY),
    SANDBOX_ALLOW(munmap, EVERY),
    SANDBOX_CHECKED(prctl, EVERY, names),
    SANDBOX_ALLOW(restart_syscall, EVERY),
    SANDBOX_ALLOW(rt_sigprocmask, EVERY),
    SANDBOX_ALLOW(rt_sigreturn, EVERY),
    SANDBOX_ALLOW(sched_yield, EVERY),
    SANDBOX_ALLOW(sysinfo, EVERY),
    SANDBOX_CHECKED(tgkill, EVERY, own_process),
    SANDBOX_ALLOW(write, EVERY),

    /* starting threads */
    SANDBOX_CHECKED(clone, M | L | G, only_threads),
    SANDBOX_ANSWERED(clone3, M | L | G, ENOSYS),
    SANDBOX_ALLOW(rseq, M | L | G),
    SANDBOX_ALLOW(rt_sigaction, M | L | G),
    SANDBOX_ALLOW(sched_getaffinity, M | G),
    SANDBOX_CHECKED(seccomp, M | L | G, more_filters),
    SANDBOX_ALLOW(set_robust_list, M | L | G),

    /* waiting for events */
    SANDBOX_ALLOW(clock_nanosleep, G),
    SANDBOX_ALLOW(epoll_create1, M | L),
    SANDBOX_ALLOW(epoll_ctl, M | V | L),
    SANDBOX_ALLOW(epoll_pwait, M | L),
    SANDBOX_ALLOW(epoll_pwait2, M | L),
    SANDBOX_ALLOW(eventfd2, M | L | G),
    SANDBOX_ALLOW(ppoll, M | V | L | G | F),

    /* descriptors and files */
    SANDBOX_ALLOW(close, M | V | L | W | G | F),
    SANDBOX_ALLOW(dup, M | G),
    SANDBOX_ALLOW(dup3, M | G),
    SANDBOX_ALLOW(fallocate, FILES),
    SANDBOX_ALLOW(fcntl, M | V | L | W | G),
    SANDBOX_ALLOW(fdatasync, FILES),
    SANDBOX_ALLOW(flock, FILES),
    SANDBOX_ALLOW(fstat, M | V | L | W | G),
    SANDBOX_ALLOW(fsync, FILES),
    SANDBOX_ALLOW(ftruncate, FILES),
    SANDBOX_ALLOW(io_uring_enter, M | L),
    SANDBOX_ALLOW(io_uring_register, M | L),
    SANDBOX_ALLOW(io_uring_setup, M | L),
    SANDBOX_CHECKED(ioctl, M | V | L | W | G | F, known_requests),
    SANDBOX_ALLOW(lseek, FILES | F),
    SANDBOX_ALLOW(newfstatat, M | L | W | G),
    SANDBOX_ALLOW(pread64, FILES | F),
    SANDBOX_ALLOW(preadv, FILES),
    SANDBOX_ALLOW(preadv2, FILES),
    SANDBOX_ALLOW(pwrite64, FILES),
    SANDBOX_ALLOW(pwritev, FILES),
    SANDBOX_ALLOW(pwritev2, FILES),
    SANDBOX_ALLOW(read, M | V | L | W | G | F),
    SANDBOX_ALLOW(readv, M | V | L | W | G),
    SANDBOX_ALLOW(sync_file_range, FILES),
    SANDBOX_ALLOW(writev, M | V | L | W | G),

    /* names in the file system */
    SANDBOX_ALLOW(chdir, M),
    SANDBOX_ALLOW(faccessat, M | G),
    SANDBOX_ALLOW(faccessat2, M | G),
    SANDBOX_ALLOW(fchmod, M | G),
    SANDBOX_ALLOW(fstatfs, M | G),
    SANDBOX_ALLOW(getcwd, M | G),
    SANDBOX_ALLOW(getdents64, M | G),
    SANDBOX_ALLOW(linkat, M | G),
    SANDBOX_ALLOW(mkdirat, M | G),
    SANDBOX_ALLOW(openat, M | G),
    SANDBOX_ALLOW(readlinkat, M | G),
    SANDBOX_ALLOW(renameat, M | G),
    SANDBOX_ALLOW(renameat2, M | G),
    SANDBOX_ALLOW(statfs, M | G),
    SANDBOX_ALLOW(statx, M | G),
    SANDBOX_ALLOW(unlinkat, M | G),

    /* sockets */
    SANDBOX_ALLOW(accept4, M),
    SANDBOX_ALLOW(bind, M),
    SANDBOX_ALLOW(connect, M),
    SANDBOX_ALLOW(getpeername, M),
    SANDBOX_ALLOW(getsockname, M),
    SANDBOX_ALLOW(getsockopt, M),
    SANDBOX_ALLOW(listen, M),
    SANDBOX_ALLOW(recvfrom, M | V | G),
    SANDBOX_ALLOW(recvmsg, M | G),
    SANDBOX_ALLOW(sendmsg, M | V | G),
    SANDBOX_ALLOW(sendto, M | V | G),
    SANDBOX_ALLOW(setsockopt, M),
    SANDBOX_ALLOW(shutdown, M | V),
    SANDBOX_CHECKED(socket, M, known_families),

    /* the rest */
    SANDBOX_ALLOW(getegid, M),
    SANDBOX_ALLOW(geteuid, M),
    SANDBOX_ALLOW(getgid, M),
    SANDBOX_ALLOW(getrandom, M | V | L | G),
    SANDBOX_ALLOW(getuid, M),
    SANDBOX_ALLOW(memfd_create, G),
    SANDBOX_ALLOW(mincore, M | G),
    SANDBOX_ALLOW(pipe2, M | G),
    SANDBOX_ALLOW(userfaultfd, M),
    SANDBOX_ALLOW(wait4, M | G),
};

const SandboxRules sandbox_rules = SANDBOX_TABLE(rule, rules);

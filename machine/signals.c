/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/signals.h"

#include "util/error.h"
#include "util/fd.h"
#include "util/log.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

bool signals_begin(Signals *signals, GError **error)
{
    sigset_t set;

    *signals = (Signals){.fd = -1};
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signals->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return signals->fd >= 0 || fail_errno(error, errno, "signalfd");
}

static void signal_came(void *opaque, int fd, GIOCondition events)
{
    Signals *signals = opaque;
    struct signalfd_siginfo info;

    (void)events;
    if (read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        log_line(LOG_LEVEL_WARNING, "terminating on signal %u from pid %u", info.ssi_signo,
                 info.ssi_pid);
        vm_quit(signals->vm, /* from_guest= */ false, "host-signal", /* exit_status= */ 0);
    }
}

void signals_watch(Signals *signals, Vm *vm)
{
    signals->vm = vm;
    signals->watch = loop_watch_fd(vm->loop, signals->fd, G_IO_IN, signal_came, signals);
}

void signals_end(Signals *signals)
{
    loop_unwatch(g_steal_pointer(&signals->watch));
    fd_close(&signals->fd);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A stream into or out of a command of the shell's; the command's end is part of the result. */
#include "migration/channel_place.h"
#include "util/error.h"
#include "util/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* A command that broke off has usually ended by then, and says why. */
#define EXPLAIN_MS    1000

#define LOOK_AGAIN_MS 10

#define PIPE_BYTES    (1 << 20)

typedef struct CommandPlace {
    ChannelPlace place;
    pid_t pid; /* 0: it has ended, and was waited for */
    int pid_fd;
    char *name;
} CommandPlace;

/* False while it runs, and with pid 0 if nobody can tell any more; else what came of it. */
static bool reap(CommandPlace *command, int *ret_status)
{
    pid_t pid;

    do {
        pid = waitpid(command->pid, ret_status, WNOHANG);
    } while (pid < 0 && errno == EINTR);
    if (pid != 0) {
        command->pid = 0;
    }
    return pid > 0;
}

static bool judge(const CommandPlace *command, int status, GError **error)
{
    if (WIFSIGNALED(status)) {
        return fail(error, VMM_ERROR_HOST, "'%s' was ended by signal %d", command->name,
                    WTERMSIG(status));
    }
    return WEXITSTATUS(status) == 0 || fail(error, VMM_ERROR_HOST, "'%s' ended with status %d",
                                            command->name, WEXITSTATUS(status));
}

/* All was read: what comes now is the end, or a command that says more than a template. */
static bool expect_end(Channel *channel, GError **error)
{
    uint8_t byte;
    ssize_t n;

    do {
        n = read(channel_fd(channel), &byte, sizeof(byte));
        if (n < 0 && errno == EAGAIN &&
            !channel_wait(channel, channel_fd(channel), POLLIN, /* timeout_ms= */ -1, error)) {
            return false;
        }
    } while (n < 0 && (errno == EAGAIN || errno == EINTR));
    return n == 0 ||
           fail(error, VMM_ERROR_WIRE, "'%s' goes on after its end", channel_name(channel));
}

/* Looking again and again is for hosts without pidfd_open(2). */
static bool wait_for_end(CommandPlace *command, const Channel *channel, int *ret_status,
                         GError **error)
{
    int timeout_ms = command->pid_fd >= 0 ? -1 : LOOK_AGAIN_MS;

    while (!reap(command, ret_status)) {
        if (command->pid == 0) {
            return fail(error, VMM_ERROR_HOST, "'%s': its end was not seen", command->name);
        }
        if (!channel_wait(channel, command->pid_fd, POLLIN, timeout_ms, error)) {
            return false;
        }
    }
    return true;
}

static bool finish_command(ChannelPlace *place, Channel *channel, bool sync, GError **error)
{
    CommandPlace *command = (CommandPlace *)place;
    bool reads = (fcntl(channel_fd(channel), F_GETFL) & O_ACCMODE) == O_RDONLY;
    int status;

    (void)sync;
    if (reads && !expect_end(channel, error)) {
        return false;
    }
    channel_hang_up(channel);
    if (!wait_for_end(command, channel, &status, error)) {
        return false;
    }
    return judge(command, status, error);
}

static void explain_command(ChannelPlace *place, Channel *channel, GError **error)
{
    CommandPlace *command = (CommandPlace *)place;
    g_autoptr(GError) why = NULL;
    int status;

    channel_hang_up(channel);
    if (command->pid == 0 || command->pid_fd < 0 ||
        !channel_wait(channel, command->pid_fd, POLLIN, EXPLAIN_MS, NULL) ||
        !reap(command, &status)) {
        return;
    }
    if (!judge(command, status, &why)) {
        g_prefix_error(error, "%s: ", why->message);
    }
}

static void free_command(ChannelPlace *place, int fd, bool finished)
{
    CommandPlace *command = (CommandPlace *)place;
    int status;

    (void)fd;
    (void)finished;
    if (command->pid != 0) {
        reap(command, &status); /* one that runs on has lost its pipe, and is init's */
    }
    fd_close(&command->pid_fd);
    g_free(command->name);
    g_free(command);
}

static const ChannelPlaceOps command_ops = {
    .finish = finish_command,
    .explain = explain_command,
    .free = free_command,
};

/* Signals as a program expects them, whatever this process does with them. */
static void set_signals(posix_spawnattr_t *attributes)
{
    sigset_t none;
    sigset_t all;

    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(attributes, &none);
    posix_spawnattr_setsigdefault(attributes, &all);
    posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
}

static bool spawn(const char *text, int fd, int as, pid_t *ret_pid, GError **error)
{
    char *argv[] = {(char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c", (char *)(uintptr_t)text,
                    NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int err;

    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_adddup2(&actions, fd, as);
    set_signals(&attributes);
    err = posix_spawn(ret_pid, "/bin/sh", &actions, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return err == 0 || fail_errno(error, err, "'exec:%s': start /bin/sh", text);
}

Channel *channel_open_command(const MigrationUri *uri, ChannelDirection direction, GError **error)
{
    bool writes = direction == CHANNEL_WRITE;
    CommandPlace *command;
    int ends[2];
    int ours;
    auto_fd int theirs = -1;
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) < 0) {
        return fail_errno_null(error, errno, "pipe");
    }
    fcntl(ends[0], F_SETPIPE_SZ, PIPE_BYTES); /* fewer turns; the host may have its limits */
    ours = ends[writes ? 1 : 0];
    theirs = ends[writes ? 0 : 1];
    if (!spawn(uri->text, theirs, writes ? STDIN_FILENO : STDOUT_FILENO, &pid, error)) {
        fd_close(&ours);
        return NULL;
    }
    command = g_new0(CommandPlace, 1);
    command->place.ops = &command_ops;
    command->pid = pid;
    command->name = g_strconcat("exec:", uri->text, NULL);
    command->pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
    return channel_new_at(ours, &command->place, command->name, direction, error);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/daemonize.h"

#include "util/error.h"
#include "util/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_TRIES 1000 /* to lock a pid file that others come and go with */

/* The child prints its own error: stderr is still the user's until the VM is up. */
static void wait_for_child(int fd, pid_t child)
{
    char byte;
    ssize_t n;
    int status = 0;

    do {
        n = read(fd, &byte, 1);
    } while (n < 0 && errno == EINTR);
    if (n == 1) {
        _exit(EXIT_SUCCESS);
    }
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    _exit(WIFEXITED(status) && WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : EXIT_FAILURE);
}

static bool fork_away_from_parent(Daemon *daemon, GError **error)
{
    int ends[2];
    pid_t child;

    if (pipe2(ends, O_CLOEXEC) < 0) {
        return fail_errno(error, errno, "-daemonize: pipe");
    }
    child = fork();
    if (child < 0) {
        int err = errno;

        close(ends[0]);
        close(ends[1]);
        return fail_errno(error, err, "-daemonize: fork");
    }
    if (child > 0) {
        close(ends[1]);
        wait_for_child(ends[0], child);
    }
    close(ends[0]);
    daemon->ready_fd = ends[1];
    setsid();
    return true;
}

static bool is_file_at(int fd, const char *path)
{
    struct stat open_file, named_file;

    return fstat(fd, &open_file) == 0 && stat(path, &named_file) == 0 &&
           open_file.st_dev == named_file.st_dev && open_file.st_ino == named_file.st_ino;
}

/*
 * An owner that ends removes its file and then lets go of it.  Whoever opened the file before that
 * and gets the lock after it holds a file that nobody can find, and has to begin again.
 */
static bool lock_pid_file(Daemon *daemon, const char *path, GError **error)
{
    for (unsigned i = 0; i < MAX_TRIES; i++) {
        daemon->pid_fd = fd_open(path, O_RDWR | O_CREAT, 0600, error);
        if (daemon->pid_fd < 0) {
            return false;
        }
        if (flock(daemon->pid_fd, LOCK_EX | LOCK_NB) < 0) {
            return errno == EWOULDBLOCK
                       ? fail(error, VMM_ERROR_HOST,
                              "pid file '%s' belongs to a process that is alive", path)
                       : fail_errno(error, errno, "pid file '%s': lock it", path);
        }
        if (is_file_at(daemon->pid_fd, path)) {
            return true;
        }
        fd_close(&daemon->pid_fd);
    }
    return fail(error, VMM_ERROR_HOST, "pid file '%s' is removed as often as it is made", path);
}

static bool write_pid_file(Daemon *daemon, const char *path, GError **error)
{
    g_autofree char *text = g_strdup_printf("%d\n", getpid());

    if (!lock_pid_file(daemon, path, error)) {
        return false;
    }
    daemon->pid_file = g_canonicalize_filename(path, NULL);
    return ftruncate(daemon->pid_fd, 0) == 0
               ? fd_write_all(daemon->pid_fd, path, text, strlen(text), error)
               : fail_errno(error, errno, "pid file '%s'", path);
}

bool daemon_begin(Daemon *daemon, bool fork_away, const char *pid_file, GError **error)
{
    *daemon = DAEMON_NONE;
    if (fork_away && !fork_away_from_parent(daemon, error)) {
        return false;
    }
    return !pid_file || write_pid_file(daemon, pid_file, error);
}

bool daemon_ready(Daemon *daemon, GError **error)
{
    auto_fd int null = -1;

    if (daemon->ready_fd < 0) {
        return true;
    }
    null = fd_open("/dev/null", O_RDWR, 0, error);
    if (null < 0) {
        return false;
    }
    if (chdir("/") < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
        dup2(null, STDERR_FILENO) < 0) {
        return fail_errno(error, errno, "-daemonize: let go of the terminal");
    }
    if (!fd_write_all(daemon->ready_fd, "-daemonize", "", 1, error)) {
        return false;
    }
    fd_close(&daemon->ready_fd);
    return true;
}

void daemon_end(Daemon *daemon)
{
    /* Whoever removed the file may have made room for another's. */
    if (daemon->pid_file && is_file_at(daemon->pid_fd, daemon->pid_file)) {
        unlink(daemon->pid_file);
    }
    g_clear_pointer(&daemon->pid_file, g_free);
    fd_close(&daemon->pid_fd);
    fd_close(&daemon->ready_fd);
}

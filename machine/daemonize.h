/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_DAEMONIZE_H
#define MACHINE_DAEMONIZE_H

/*
 * -daemonize and -pidfile.  The process forks before it has threads; the parent stays until the
 * child says that the VM is up, and ends with status 0 then, or with the child's failure.
 */

#include <glib.h>
#include <stdbool.h>

typedef struct Daemon {
    int ready_fd; /* -1: not a daemon */
    int pid_fd;   /* -1: no pid file; holds its lock */
    char *pid_file;
} Daemon;

#define DAEMON_NONE ((Daemon){.ready_fd = -1, .pid_fd = -1})

/* Before any thread exists.  Returns in the child only, unless it fails. */
bool daemon_begin(Daemon *daemon, bool fork_away, const char *pid_file, GError **error);

/* The VM is up: the parent may go, and this process lets go of the terminal. */
bool daemon_ready(Daemon *daemon, GError **error);

/* Removes the pid file.  A daemon that was never ready tells its parent so by ending. */
void daemon_end(Daemon *daemon);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef QMP_WORK_H
#define QMP_WORK_H

/*
 * Commands that take long: a thread does the work, and the answer goes out when it is done.
 *
 *     command -- qmp_work_start --> its thread: run --> the loop: the answer to the command
 *                                      |   ^
 *                                      v   | qmp_work_on_loop
 *                                    the loop: what only the loop's thread may do
 *
 * Meanwhile the session that asked executes only what is sent out of band; the rest waits its turn.
 * All other sessions, and the VM, go on as ever.  Work is cancelled when its session ends, when the
 * VM does, and by yank.
 */

#include "qmp/reply.h"

typedef struct QmpWork QmpWork;

typedef struct QmpWorkOps {
    const char *thread_name;

    /* Its own thread. */
    bool (*run)(QmpWork *work, void *opaque, GError **error);

    /*
     * Optional; the loop's thread, after run and before the answer, so that events come before it.
     * error is NULL if all went well.  Not called when the VM ends first.
     */
    void (*end)(void *opaque, const GError *error);

    /* The loop's thread, in the end, also if the work could not be started. */
    void (*free)(void *opaque);
} QmpWorkOps;

/* The last thing that a command does: returns true, and the answer comes later.  Takes opaque. */
bool qmp_work_start(QmpCall *call, const QmpWorkOps *ops, void *opaque, GError **error);

/* The same for what goes on after the answer, and after the session; only the VM's end cancels it. */
bool qmp_work_start_detached(const QmpCall *call, const QmpWorkOps *ops, void *opaque,
                             GError **error);

/* ---- for run ---- */

bool qmp_work_is_cancelled(const QmpWork *work);

/* Runs fn on the loop's thread and returns when it has; false, without that, when cancelled. */
bool qmp_work_on_loop(QmpWork *work, void (*fn)(void *opaque), void *opaque);

/* Writes all of data to a descriptor that is O_NONBLOCK, so that a pipe cannot hold up the end. */
bool qmp_work_write(const QmpWork *work, int fd, const char *name, const void *data, size_t len,
                    GError **error);

/* ---- for the session and the server, on the loop's thread ---- */

/* Asks the thread to end soon; the command then fails. */
void qmp_work_cancel(QmpWork *work);

/* The same, and nobody waits for the answer any more. */
void qmp_work_abandon(QmpWork *work);

/* Waits for the thread. */
void qmp_work_free(QmpWork *work);

#endif

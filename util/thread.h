/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UTIL_THREAD_H
#define UTIL_THREAD_H

/*
 * Threads by what they are for, and what each does before anything else.
 *
 *     main: thread_set_guard(guard)
 *       thread_start(THREAD_LOOP) ------> guard(THREAD_LOOP), then its function
 *         thread_start(THREAD_WORKER) --> guard(THREAD_WORKER), then its function
 *
 * A guard is how whoever knows about restrictions (machine/sandbox.h) puts them on threads that are
 * started by those who do not.  It goes the way that the kernel's restrictions go: from a thread to
 * those that it starts.
 */

#include <glib.h>

typedef enum {
    THREAD_MAIN,
    THREAD_VCPU,
    THREAD_LOOP,      /* an event loop beside the main one: queues of disks */
    THREAD_WORKER,    /* file I/O for a loop */
    THREAD_MIGRATION, /* RAM to a file, or from one */
    THREAD_PREALLOC,  /* touches RAM and ends */
    THREAD_FILL,      /* RAM that comes when it is touched */
    THREAD_ROLES,
} ThreadRole;

/* Runs on the new thread. */
typedef void (*ThreadGuard)(ThreadRole role);

/* For the threads that the calling one starts from now on, and theirs.  NULL: none. */
void thread_set_guard(ThreadGuard guard);

/* As g_thread_try_new, and joined by g_thread_join. */
GThread *thread_start(ThreadRole role, const char *name, GThreadFunc fn, void *opaque,
                      GError **error);

#endif

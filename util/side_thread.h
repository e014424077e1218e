/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UTIL_SIDE_THREAD_H
#define UTIL_SIDE_THREAD_H

/*
 * A thread that does one job after the other while its owner goes on with something else:
 *
 *     owner:  do(a) ... do(b) ........ wait(b): have both worked?
 *     side:     [  a  ]    [    b    ]
 *
 * For a start that has to wait for slow system calls, and has other things to do meanwhile.
 * Everything here is for the owner's thread.
 */

#include <glib.h>
#include <pthread.h>
#include <stdbool.h>

typedef struct SideThread SideThread;

typedef bool (*SideJob)(void *opaque, GError **error);

/* Signals that end the process do not go to it. */
SideThread *side_thread_new(const char *name, GError **error);

/* Accepts NULL.  Lets it finish what it was given. */
void side_thread_free(SideThread *side);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SideThread, side_thread_free)

pthread_t side_thread_id(const SideThread *side);

/* Returns the job's number: 1, 2, ...  destroy may be NULL. */
unsigned side_thread_do(SideThread *side, SideJob job, void *opaque, GDestroyNotify destroy);

/* Sleeps until that job is done.  False if one has failed so far; the first error is told once. */
bool side_thread_wait(SideThread *side, unsigned number, GError **error);

#endif

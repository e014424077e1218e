/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UTIL_LOOP_H
#define UTIL_LOOP_H

/*
 * An event loop that belongs to one thread: the main thread's, and one per I/O thread.
 *
 * Everything registered on a loop runs on that loop's thread, one callback at a time, so state
 * that only callbacks touch needs no lock.  loop_post and loop_call are the way in from outside.
 */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Loop Loop;
typedef struct LoopWatch LoopWatch;
typedef struct LoopTimer LoopTimer;

/* Runs on the loop's thread.  events are those of the request that are true now. */
typedef void (*LoopFdFn)(void *opaque, int fd, GIOCondition events);
typedef void (*LoopFn)(void *opaque);

/* A loop for the calling thread, which then calls loop_run. */
Loop *loop_new(const char *name);

/* A loop with a thread of its own, named name, that runs it until loop_free. */
Loop *loop_new_thread(const char *name, GError **error);

/* Accepts NULL.  Joins the loop's own thread if it has one; watches and timers must be gone. */
void loop_free(Loop *loop);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Loop, loop_free)

/* Until loop_quit, which any thread and any callback may call. */
void loop_run(Loop *loop);
void loop_quit(Loop *loop);

const char *loop_name(const Loop *loop);

/* True on the thread that runs (or made) the loop. */
bool loop_is_current(const Loop *loop);

/* The kernel's id of the thread that runs the loop, 0 before it runs. */
int loop_thread_id(const Loop *loop);

/* Any thread.  The descriptor stays the caller's and must outlive the watch. */
LoopWatch *loop_watch_fd(Loop *loop, int fd, GIOCondition events, LoopFdFn fn, void *opaque);

/* On the loop's thread (or while it does not run).  Accepts NULL; no callback comes afterwards. */
void loop_unwatch(LoopWatch *watch);

/* A timer that is not armed yet.  deadline_ns counts on CLOCK_MONOTONIC; one shot. */
LoopTimer *loop_timer_new(Loop *loop, LoopFn fn, void *opaque);
void loop_timer_arm(LoopTimer *timer, int64_t deadline_ns);
void loop_timer_disarm(LoopTimer *timer);
void loop_timer_free(LoopTimer *timer); /* accepts NULL */

/* CLOCK_MONOTONIC now. */
int64_t loop_now_ns(void);

/*
 * What a library keeps per loop, such as a ring that all its users on the loop share.  key is an
 * address that only that library knows.  On the loop's thread; NULL empties the place.
 */
void *loop_local(const Loop *loop, const void *key);
void loop_set_local(Loop *loop, const void *key, void *value);

/* Any thread: runs fn on the loop, after what was posted before it. */
void loop_post(Loop *loop, LoopFn fn, void *opaque);

/* Any thread: the same, and returns when fn has; runs it at once on the loop's own thread. */
void loop_call(Loop *loop, LoopFn fn, void *opaque);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "util/thread.h"

#include "util/error.h"

/* A property of each thread, as the kernel's restrictions are. */
static _Thread_local ThreadGuard own_guard;

typedef struct Start {
    ThreadRole role;
    ThreadGuard guard;
    GThreadFunc fn;
    void *opaque;
} Start;

void thread_set_guard(ThreadGuard guard)
{
    own_guard = guard;
}

static void *run_guarded(void *opaque)
{
    g_autofree Start *start = opaque;

    own_guard = start->guard;
    start->guard(start->role);
    return start->fn(start->opaque);
}

GThread *thread_start(ThreadRole role, const char *name, GThreadFunc fn, void *opaque,
                      GError **error)
{
    g_autoptr(GError) local = NULL;
    Start *start = NULL;
    GThread *thread;

    if (own_guard) {
        start = g_new(Start, 1);
        *start = (Start){.role = role, .guard = own_guard, .fn = fn, .opaque = opaque};
        thread = g_thread_try_new(name, run_guarded, start, &local);
    } else {
        thread = g_thread_try_new(name, fn, opaque, &local);
    }
    if (!thread) {
        g_free(start);
        return fail_null(error, VMM_ERROR_HOST, "cannot start thread %s: %s", name, local->message);
    }
    return thread;
}

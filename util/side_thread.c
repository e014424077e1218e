/* SPDX-License-Identifier: Apache-2.0 */
#include "util/side_thread.h"

#include "util/error.h"
#include "util/lock.h"

#include <signal.h>
#include <sys/prctl.h>

typedef struct Work {
    SideJob job;
    void *opaque;
    GDestroyNotify destroy;
} Work;

struct SideThread {
    /* fixed after creation */
    const char *name;
    pthread_t thread;
    bool started;

    Mutex lock;
    Cond more; /* to the thread: a job, or the end */
    Cond done; /* to the owner: one job less */
    /* guarded by lock */
    GQueue jobs; /* of Work that is not begun */
    unsigned num_given;
    unsigned num_done;
    bool ending;
    bool failed;
    GError *error;
};

static void do_first_locked(SideThread *side) REQUIRES(side->lock)
{
    g_autofree Work *work = g_queue_pop_head(&side->jobs);
    GError *error = NULL;
    bool ok;

    mutex_unlock(&side->lock);
    ok = work->job(work->opaque, &error);
    if (work->destroy) {
        work->destroy(work->opaque);
    }
    mutex_lock(&side->lock);
    side->num_done++;
    if (!ok && !side->failed) {
        side->failed = true;
        side->error = g_steal_pointer(&error);
    }
    g_clear_error(&error);
    cond_signal(&side->done);
}

static void *run(void *opaque)
{
    SideThread *side = opaque;

    prctl(PR_SET_NAME, side->name);
    mutex_lock(&side->lock);
    while (!side->ending || !g_queue_is_empty(&side->jobs)) {
        if (g_queue_is_empty(&side->jobs)) {
            cond_wait(&side->more, &side->lock);
        } else {
            do_first_locked(side);
        }
    }
    mutex_unlock(&side->lock);
    return NULL;
}

static int start(SideThread *side)
{
    sigset_t ends, before;
    int err;

    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &ends, &before);
    err = pthread_create(&side->thread, NULL, run, side);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return err;
}

SideThread *side_thread_new(const char *name, GError **error)
{
    g_autoptr(SideThread) side = g_new0(SideThread, 1);
    int err;

    side->name = name;
    mutex_init(&side->lock);
    cond_init(&side->more);
    cond_init(&side->done);
    g_queue_init(&side->jobs);
    err = start(side);
    if (err != 0) {
        return fail_errno_null(error, err, "cannot start thread %s", name);
    }
    side->started = true;
    return g_steal_pointer(&side);
}

void side_thread_free(SideThread *side)
{
    if (!side) {
        return;
    }
    if (side->started) {
        mutex_lock(&side->lock);
        side->ending = true;
        mutex_unlock(&side->lock);
        cond_signal(&side->more);
        pthread_join(side->thread, NULL);
    }
    g_clear_error(&side->error);
    cond_fini(&side->more);
    cond_fini(&side->done);
    mutex_fini(&side->lock);
    g_free(side);
}

pthread_t side_thread_id(const SideThread *side)
{
    return side->thread;
}

unsigned side_thread_do(SideThread *side, SideJob job, void *opaque, GDestroyNotify destroy)
{
    Work *work = g_new(Work, 1);
    unsigned number;

    *work = (Work){.job = job, .opaque = opaque, .destroy = destroy};
    mutex_lock(&side->lock);
    g_queue_push_tail(&side->jobs, work);
    number = ++side->num_given;
    mutex_unlock(&side->lock);
    cond_signal(&side->more);
    return number;
}

bool side_thread_wait(SideThread *side, unsigned number, GError **error)
{
    bool ok;

    mutex_lock(&side->lock);
    while (side->num_done < number) {
        cond_wait(&side->done, &side->lock);
    }
    ok = !side->failed;
    if (side->error) {
        g_propagate_error(error, g_steal_pointer(&side->error));
    }
    mutex_unlock(&side->lock);
    return ok;
}

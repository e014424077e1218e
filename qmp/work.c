/* SPDX-License-Identifier: Apache-2.0 */
#include "qmp/work.h"

#include "qmp/server.h"
#include "qmp/session.h"
#include "util/error.h"
#include "util/fd.h"
#include "util/lock.h"
#include "util/thread.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct QmpWork {
    /* fixed after creation */
    QmpServer *server;
    const QmpWorkOps *ops;
    void *opaque;
    GThread *thread;
    LoopTimer *service; /* armed at 0 by the thread: look at what it wants */

    /* the loop's thread only */
    QmpSession *session; /* NULL: abandoned, or nobody waits */

    atomic_bool cancelled;
    int cancel_fd; /* eventfd: readable from then on */

    Mutex lock;
    Cond changed;
    /* guarded by lock */
    void (*call)(void *opaque); /* to be run on the loop's thread; NULL: none, or it has been */
    void *call_opaque;
    bool ended;

    GError *error; /* the thread's; after its end the loop's */
    bool ok;
};

static void *work_thread(void *opaque)
{
    QmpWork *work = opaque;

    work->ok = work->ops->run(work, work->opaque, &work->error);
    mutex_lock(&work->lock);
    work->ended = true;
    mutex_unlock(&work->lock);
    loop_timer_arm(work->service, 0);
    return NULL;
}

static void finish(QmpWork *work)
{
    QmpSession *session = work->session;

    if (!work->ok && qmp_work_is_cancelled(work)) {
        g_clear_error(&work->error);
        fail(&work->error, VMM_ERROR_STATE, "The command was cancelled");
    }
    if (work->ops->end) {
        work->ops->end(work->opaque, work->ok ? NULL : work->error);
    }
    if (session) {
        qmp_session_end_work(session, work->ok ? NULL : work->error);
    }
    qmp_server_remove_work(work->server, work);
    qmp_work_free(work);
}

static void serve(void *opaque)
{
    QmpWork *work = opaque;
    void (*call)(void *opaque) = NULL;
    bool ended;

    mutex_lock(&work->lock);
    /* Whoever was cancelled does not wait for its call any more. */
    call = atomic_load(&work->cancelled) ? NULL : work->call;
    ended = work->ended;
    mutex_unlock(&work->lock);
    if (call) {
        call(work->call_opaque);
        mutex_lock(&work->lock);
        work->call = NULL;
        mutex_unlock(&work->lock);
        cond_broadcast(&work->changed);
    }
    if (ended) {
        finish(work);
    }
}

static QmpWork *start(const QmpCall *call, const QmpWorkOps *ops, void *opaque, GError **error)
{
    QmpWork *work = g_new0(QmpWork, 1);

    work->server = call->server;
    work->ops = ops;
    work->opaque = opaque;
    work->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    mutex_init(&work->lock);
    cond_init(&work->changed);
    work->service = loop_timer_new(call->vm->loop, serve, work);
    if (work->cancel_fd < 0) {
        fail_errno(error, errno, "eventfd");
    } else {
        work->thread = thread_start(THREAD_MIGRATION, ops->thread_name, work_thread, work, error);
    }
    if (!work->thread) {
        qmp_work_free(work);
        return NULL;
    }
    qmp_server_add_work(call->server, work);
    return work;
}

bool qmp_work_start(QmpCall *call, const QmpWorkOps *ops, void *opaque, GError **error)
{
    QmpWork *work = start(call, ops, opaque, error);

    if (work) {
        work->session = call->session;
        call->work = work;
    }
    return work != NULL;
}

bool qmp_work_start_detached(const QmpCall *call, const QmpWorkOps *ops, void *opaque,
                             GError **error)
{
    return start(call, ops, opaque, error) != NULL;
}

bool qmp_work_is_cancelled(const QmpWork *work)
{
    return atomic_load(&work->cancelled);
}

bool qmp_work_on_loop(QmpWork *work, void (*fn)(void *opaque), void *opaque)
{
    bool done;

    mutex_lock(&work->lock);
    work->call = fn;
    work->call_opaque = opaque;
    loop_timer_arm(work->service, 0);
    while (work->call && !atomic_load(&work->cancelled)) {
        cond_wait(&work->changed, &work->lock);
    }
    done = !work->call;
    work->call = NULL;
    mutex_unlock(&work->lock);
    return done;
}

bool qmp_work_write(const QmpWork *work, int fd, const char *name, const void *data, size_t len,
                    GError **error)
{
    struct pollfd ask[] = {{.fd = fd, .events = POLLOUT},
                           {.fd = work->cancel_fd, .events = POLLIN}};
    const uint8_t *at = data;

    while (len > 0) {
        ssize_t n = write(fd, at, len);

        if (n >= 0) {
            at += n;
            len -= (size_t)n;
        } else if (errno != EAGAIN && errno != EINTR) {
            return fail_errno(error, errno, "%s: write", name);
        } else if (qmp_work_is_cancelled(work)) {
            return fail(error, VMM_ERROR_STATE, "%s: cancelled", name);
        } else {
            poll(ask, G_N_ELEMENTS(ask), -1);
        }
    }
    return true;
}

void qmp_work_cancel(QmpWork *work)
{
    mutex_lock(&work->lock);
    atomic_store(&work->cancelled, true);
    eventfd_write(work->cancel_fd, 1);
    mutex_unlock(&work->lock);
    cond_broadcast(&work->changed);
}

void qmp_work_abandon(QmpWork *work)
{
    work->session = NULL;
    qmp_work_cancel(work);
}

void qmp_work_free(QmpWork *work)
{
    if (work->thread) {
        g_thread_join(work->thread);
    }
    loop_timer_free(work->service);
    work->ops->free(work->opaque);
    g_clear_error(&work->error);
    fd_close(&work->cancel_fd);
    cond_fini(&work->changed);
    mutex_fini(&work->lock);
    g_free(work);
}

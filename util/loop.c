/* SPDX-License-Identifier: Apache-2.0 */
/*
 * epoll with our manners.  A turn of the loop costs one system call, however many descriptors are
 * watched: GMainContext was measured at three times that for a few of them, and it grows with each.
 *
 * Descriptors that epoll does not take (regular files) or has already are polled one by one; there
 * are hardly ever any.
 */
#include "util/loop.h"

#include "util/error.h"
#include "util/fd.h"
#include "util/lock.h"
#include "util/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_PER_TURN 32
#define NS_PER_SECOND   1000000000
#define NS_PER_MS       1000000

typedef struct Post {
    LoopFn fn;
    void *opaque;
} Post;

struct LoopWatch {
    Loop *loop;
    int fd;
    int own_fd; /* a duplicate, where epoll has fd already; else -1 */
    GIOCondition events;
    LoopFdFn fn;
    void *opaque;
    bool is_polled; /* not by epoll */
    bool is_dead;
    LoopWatch *next_dead;
};

struct LoopTimer {
    Loop *loop;
    LoopFn fn;
    void *opaque;

    /* guarded by loop->lock */
    bool is_armed;
    int64_t deadline_ns;
    LoopTimer *next; /* of the armed ones, the earliest first */
};

struct Loop {
    /* fixed after creation */
    char *name;
    int epoll;
    int wake_fd;
    GThread *own_thread; /* NULL: the maker runs it */

    atomic_bool quit;
    _Atomic(GThread *) runner;
    atomic_int thread_id;

    /* loop thread only */
    GHashTable *locals; /* NULL until the first */
    unsigned depth;     /* of turns; callbacks may run the loop */
    LoopWatch *dead;    /* events of this turn may still point to them */
    bool is_coarse;     /* the kernel waits for milliseconds only */

    Mutex lock;
    /* guarded by lock */
    GArray *posts;     /* of Post, in order */
    GPtrArray *polled; /* of LoopWatch */
    LoopTimer *timers;
};

static GArray *post_list_new(void)
{
    return g_array_new(FALSE, FALSE, sizeof(Post));
}

static Loop *loop_make(const char *name, GError **error)
{
    g_autoptr(Loop) loop = g_new0(Loop, 1);
    struct epoll_event event = {.events = EPOLLIN};

    loop->name = g_strdup(name);
    loop->posts = post_list_new();
    loop->polled = g_ptr_array_new();
    mutex_init(&loop->lock);
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->epoll < 0 || loop->wake_fd < 0 ||
        epoll_ctl(loop->epoll, EPOLL_CTL_ADD, loop->wake_fd, &event) < 0) {
        return fail_errno_null(error, errno, "cannot make the event loop %s", name);
    }
    return g_steal_pointer(&loop);
}

Loop *loop_new(const char *name)
{
    Loop *loop = loop_make(name, NULL);

    g_assert(loop); /* a process without a descriptor left at its start goes nowhere */
    atomic_store(&loop->runner, g_thread_self());
    return loop;
}

static void *loop_thread(void *opaque)
{
    Loop *loop = opaque;

    loop_run(loop);
    return NULL;
}

Loop *loop_new_thread(const char *name, GError **error)
{
    g_autoptr(Loop) loop = loop_make(name, error);

    if (!loop) {
        return NULL;
    }
    loop->own_thread = thread_start(THREAD_LOOP, name, loop_thread, loop, error);
    if (!loop->own_thread) {
        return NULL;
    }
    return g_steal_pointer(&loop);
}

static void bury_dead(Loop *loop)
{
    while (loop->dead) {
        LoopWatch *watch = loop->dead;

        loop->dead = watch->next_dead;
        g_free(watch);
    }
}

void loop_free(Loop *loop)
{
    if (!loop) {
        return;
    }
    if (loop->own_thread) {
        loop_quit(loop);
        g_thread_join(loop->own_thread);
    }
    bury_dead(loop);
    fd_close(&loop->epoll);
    fd_close(&loop->wake_fd);
    g_array_unref(loop->posts);
    g_ptr_array_unref(loop->polled);
    mutex_fini(&loop->lock);
    g_clear_pointer(&loop->locals, g_hash_table_unref);
    g_free(loop->name);
    g_free(loop);
}

const char *loop_name(const Loop *loop)
{
    return loop->name;
}

bool loop_is_current(const Loop *loop)
{
    return atomic_load(&loop->runner) == g_thread_self();
}

int loop_thread_id(const Loop *loop)
{
    return atomic_load(&loop->thread_id);
}

int64_t loop_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

/* The loop's own thread looks at everything before it sleeps; others have to wake it. */
static void wake(Loop *loop)
{
    const uint64_t one = 1;

    if (!loop_is_current(loop) && write(loop->wake_fd, &one, sizeof(one)) < 0) {
        return; /* only a full counter refuses, and that wakes just as well */
    }
}

/* --- descriptors --- */

static bool add_to_epoll(LoopWatch *watch, int fd)
{
    struct epoll_event event = {.events = (uint32_t)watch->events, .data.ptr = watch};

    return epoll_ctl(watch->loop->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

LoopWatch *loop_watch_fd(Loop *loop, int fd, GIOCondition events, LoopFdFn fn, void *opaque)
{
    LoopWatch *watch = g_new0(LoopWatch, 1);

    *watch = (LoopWatch){
        .loop = loop, .fd = fd, .own_fd = -1, .events = events, .fn = fn, .opaque = opaque};
    if (add_to_epoll(watch, fd)) {
        return watch;
    }
    if (errno == EEXIST) {
        watch->own_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        if (watch->own_fd >= 0 && add_to_epoll(watch, watch->own_fd)) {
            return watch;
        }
        fd_close(&watch->own_fd);
    }
    watch->is_polled = true;
    mutex_lock(&loop->lock);
    g_ptr_array_add(loop->polled, watch);
    mutex_unlock(&loop->lock);
    wake(loop);
    return watch;
}

void loop_unwatch(LoopWatch *watch)
{
    if (!watch) {
        return;
    }

    Loop *loop = watch->loop;
    int fd = watch->own_fd >= 0 ? watch->own_fd : watch->fd;

    if (watch->is_polled) {
        mutex_lock(&loop->lock);
        g_ptr_array_remove(loop->polled, watch);
        mutex_unlock(&loop->lock);
    } else {
        (void)epoll_ctl(loop->epoll, EPOLL_CTL_DEL, fd, NULL);
    }
    fd_close(&watch->own_fd);
    watch->is_dead = true;
    watch->next_dead = loop->dead;
    loop->dead = watch;
    if (loop->depth == 0) {
        bury_dead(loop);
    }
}

static void serve_events(Loop *loop, const struct epoll_event *events, int count)
{
    for (int i = 0; i < count; i++) {
        LoopWatch *watch = events[i].data.ptr;
        uint64_t wakes;

        if (!watch) {
            (void)!read(loop->wake_fd, &wakes, sizeof(wakes));
        } else if (!watch->is_dead) {
            watch->fn(watch->opaque, watch->fd, (GIOCondition)events[i].events);
        }
    }
}

static void serve_polled(Loop *loop)
{
    g_autoptr(GPtrArray) watches = NULL;

    mutex_lock(&loop->lock);
    if (loop->polled->len > 0) {
        watches = g_ptr_array_copy(loop->polled, NULL, NULL);
    }
    mutex_unlock(&loop->lock);
    for (guint i = 0; watches && i < watches->len; i++) {
        LoopWatch *watch = watches->pdata[i];
        struct pollfd pollfd = {.fd = watch->fd, .events = (short)watch->events};

        if (!watch->is_dead && poll(&pollfd, 1, /* timeout= */ 0) > 0) {
            watch->fn(watch->opaque, watch->fd, (GIOCondition)pollfd.revents);
        }
    }
}

/* --- timers --- */

LoopTimer *loop_timer_new(Loop *loop, LoopFn fn, void *opaque)
{
    LoopTimer *timer = g_new0(LoopTimer, 1);

    *timer = (LoopTimer){.loop = loop, .fn = fn, .opaque = opaque};
    return timer;
}

static void disarm_locked(LoopTimer *timer) REQUIRES(timer->loop->lock)
{
    LoopTimer **at = &timer->loop->timers;

    if (!timer->is_armed) {
        return;
    }
    while (*at != timer) {
        at = &(*at)->next;
    }
    *at = timer->next;
    timer->is_armed = false;
}

void loop_timer_arm(LoopTimer *timer, int64_t deadline_ns)
{
    Loop *loop = timer->loop;

    mutex_lock(&timer->loop->lock);
    disarm_locked(timer);

    LoopTimer **at = &loop->timers;

    while (*at && (*at)->deadline_ns <= deadline_ns) {
        at = &(*at)->next;
    }
    timer->deadline_ns = deadline_ns;
    timer->next = *at;
    timer->is_armed = true;
    *at = timer;

    bool is_first = loop->timers == timer;

    mutex_unlock(&timer->loop->lock);
    if (is_first) {
        wake(loop);
    }
}

void loop_timer_disarm(LoopTimer *timer)
{
    mutex_lock(&timer->loop->lock);
    disarm_locked(timer);
    mutex_unlock(&timer->loop->lock);
}

void loop_timer_free(LoopTimer *timer)
{
    if (timer) {
        loop_timer_disarm(timer);
        g_free(timer);
    }
}

/* Takes those that are due; what a callback arms anew waits for the next turn. */
static void fire_timers(Loop *loop)
{
    int64_t now = 0;
    unsigned due = 0;

    mutex_lock(&loop->lock);
    for (LoopTimer *timer = loop->timers; timer; timer = timer->next) {
        now = now == 0 ? loop_now_ns() : now;
        if (timer->deadline_ns > now) {
            break;
        }
        due++;
    }
    while (due-- > 0 && loop->timers && loop->timers->deadline_ns <= now) {
        LoopTimer *timer = loop->timers;
        LoopFn fn = timer->fn;
        void *opaque = timer->opaque;

        loop->timers = timer->next;
        timer->is_armed = false;
        mutex_unlock(&loop->lock);
        fn(opaque);
        mutex_lock(&loop->lock);
    }
    mutex_unlock(&loop->lock);
}

/* --- turns --- */

/* The list is swapped for an empty one, so that a post made by a post waits for the next turn. */
static void run_posts(Loop *loop)
{
    g_autoptr(GArray) posts = NULL;

    mutex_lock(&loop->lock);
    if (loop->posts->len > 0) {
        posts = g_steal_pointer(&loop->posts);
        loop->posts = post_list_new();
    }
    mutex_unlock(&loop->lock);
    for (guint i = 0; posts && i < posts->len; i++) {
        const Post *post = &g_array_index(posts, Post, i);

        post->fn(post->opaque);
    }
}

/* How long there is nothing to do but wait for descriptors; -1 = for ever. */
static int64_t idle_ns(Loop *loop)
{
    int64_t ns = -1;

    mutex_lock(&loop->lock);
    if (loop->posts->len > 0 || loop->polled->len > 0 || atomic_load(&loop->quit)) {
        ns = 0;
    } else if (loop->timers) {
        int64_t left = loop->timers->deadline_ns - loop_now_ns();

        ns = MAX(left, 0);
    }
    mutex_unlock(&loop->lock);
    return ns;
}

static int wait_for_events(Loop *loop, struct epoll_event *events)
{
    int64_t ns = idle_ns(loop);

    if (ns > 0 && !loop->is_coarse) {
        const struct timespec timeout = {.tv_sec = ns / NS_PER_SECOND,
                                         .tv_nsec = ns % NS_PER_SECOND};
        int count = epoll_pwait2(loop->epoll, events, EVENTS_PER_TURN, &timeout, NULL);

        if (count >= 0 || errno == EINTR) {
            return count;
        }
        loop->is_coarse = true;
    }

    /* Rounded up: a timer never fires early. */
    int64_t ms = ns <= 0 ? ns : (ns + NS_PER_MS - 1) / NS_PER_MS;

    return epoll_wait(loop->epoll, events, EVENTS_PER_TURN, (int)MIN(ms, G_MAXINT));
}

void loop_run(Loop *loop)
{
    struct epoll_event events[EVENTS_PER_TURN];

    atomic_store(&loop->runner, g_thread_self());
    atomic_store(&loop->thread_id, (int)syscall(SYS_gettid));
    while (!atomic_load(&loop->quit)) {
        int count = wait_for_events(loop, events);

        loop->depth++;
        run_posts(loop);
        fire_timers(loop);
        serve_events(loop, events, count);
        serve_polled(loop);
        if (--loop->depth == 0) {
            bury_dead(loop);
        }
    }
    atomic_store(&loop->quit, false);
}

void loop_quit(Loop *loop)
{
    atomic_store(&loop->quit, true);
    wake(loop);
}

void *loop_local(const Loop *loop, const void *key)
{
    return loop->locals ? g_hash_table_lookup(loop->locals, key) : NULL;
}

void loop_set_local(Loop *loop, const void *key, void *value)
{
    if (!loop->locals) {
        loop->locals = g_hash_table_new(NULL, NULL);
    }
    if (value) {
        g_hash_table_insert(loop->locals, (void *)(uintptr_t)key, value);
    } else {
        g_hash_table_remove(loop->locals, key);
    }
}

void loop_post(Loop *loop, LoopFn fn, void *opaque)
{
    const Post post = {.fn = fn, .opaque = opaque};

    mutex_lock(&loop->lock);
    g_array_append_val(loop->posts, post);

    bool is_first = loop->posts->len == 1;

    mutex_unlock(&loop->lock);
    if (is_first) {
        wake(loop);
    }
}

typedef struct Call {
    LoopFn fn;
    void *opaque;
    Mutex lock;
    Cond done_cond;
    bool done;
} Call;

static void call_run(void *opaque)
{
    Call *call = opaque;

    call->fn(call->opaque);
    mutex_lock(&call->lock);
    call->done = true;
    cond_broadcast(&call->done_cond);
    mutex_unlock(&call->lock);
}

void loop_call(Loop *loop, LoopFn fn, void *opaque)
{
    Call call = {.fn = fn, .opaque = opaque};

    if (loop_is_current(loop)) {
        fn(opaque);
        return;
    }
    mutex_init(&call.lock);
    cond_init(&call.done_cond);
    loop_post(loop, call_run, &call);
    mutex_lock(&call.lock);
    while (!call.done) {
        cond_wait(&call.done_cond, &call.lock);
    }
    mutex_unlock(&call.lock);
    cond_fini(&call.done_cond);
    mutex_fini(&call.lock);
}

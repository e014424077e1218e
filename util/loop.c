/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GMainContext with our manners: no global default context, callbacks without a return value, and
 * timers in nanoseconds that can be re-armed without a new allocation.
 */
#include "util/loop.h"

#include "util/error.h"
#include "util/lock.h"

#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct Loop {
    /* fixed after creation */
    char *name;
    GMainContext *context;
    GThread *own_thread; /* NULL: the maker runs it */

    atomic_bool quit;
    _Atomic(GThread *) runner;
    atomic_int thread_id;

    /* loop thread only */
    GHashTable *locals; /* NULL until the first */

    GSource *post_source; /* ready when posts is not empty */
    Mutex post_lock;
    /* guarded by post_lock */
    GArray *posts; /* of Post, in order */
};

typedef struct Post {
    LoopFn fn;
    void *opaque;
} Post;

static GArray *post_list_new(void)
{
    return g_array_new(FALSE, FALSE, sizeof(Post));
}

typedef struct PostSource {
    GSource source;
    Loop *loop;
} PostSource;

/* The list is swapped for an empty one, so that a post made by a post waits for the next round. */
static gboolean posts_dispatch(GSource *source, GSourceFunc callback, gpointer user_data)
{
    Loop *loop = ((PostSource *)source)->loop;
    g_autoptr(GArray) posts = NULL;

    (void)callback;
    (void)user_data;
    mutex_lock(&loop->post_lock);
    g_source_set_ready_time(source, -1);
    posts = loop->posts;
    loop->posts = post_list_new();
    mutex_unlock(&loop->post_lock);
    for (guint i = 0; i < posts->len; i++) {
        const Post *post = &g_array_index(posts, Post, i);

        post->fn(post->opaque);
    }
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs post_funcs = {.dispatch = posts_dispatch};

Loop *loop_new(const char *name)
{
    Loop *loop = g_new0(Loop, 1);

    loop->name = g_strdup(name);
    loop->context = g_main_context_new();
    loop->posts = post_list_new();
    mutex_init(&loop->post_lock);
    loop->post_source = g_source_new(&post_funcs, sizeof(PostSource));
    ((PostSource *)loop->post_source)->loop = loop;
    g_source_attach(loop->post_source, loop->context);
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
    g_autoptr(Loop) loop = loop_new(name);
    g_autoptr(GError) local = NULL;

    atomic_store(&loop->runner, NULL);
    loop->own_thread = g_thread_try_new(name, loop_thread, loop, &local);
    if (!loop->own_thread) {
        return fail_null(error, VMM_ERROR_HOST, "cannot start thread %s: %s", name, local->message);
    }
    return g_steal_pointer(&loop);
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
    g_source_destroy(loop->post_source);
    g_source_unref(loop->post_source);
    g_array_unref(loop->posts);
    mutex_fini(&loop->post_lock);
    g_main_context_unref(loop->context);
    g_clear_pointer(&loop->locals, g_hash_table_unref);
    g_free(loop->name);
    g_free(loop);
}

void loop_run(Loop *loop)
{
    atomic_store(&loop->runner, g_thread_self());
    atomic_store(&loop->thread_id, (int)syscall(SYS_gettid));
    while (!atomic_load(&loop->quit)) {
        g_main_context_iteration(loop->context, /* may_block= */ TRUE);
    }
    atomic_store(&loop->quit, false);
}

void loop_quit(Loop *loop)
{
    atomic_store(&loop->quit, true);
    g_main_context_wakeup(loop->context);
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

struct LoopWatch {
    GSource source;
    int fd;
    void *tag;
    LoopFdFn fn;
    void *opaque;
};

static gboolean watch_ready(GSource *source)
{
    LoopWatch *watch = (LoopWatch *)source;

    return g_source_query_unix_fd(source, watch->tag) != 0;
}

static gboolean watch_dispatch(GSource *source, GSourceFunc callback, gpointer user_data)
{
    LoopWatch *watch = (LoopWatch *)source;

    (void)callback;
    (void)user_data;
    watch->fn(watch->opaque, watch->fd, g_source_query_unix_fd(source, watch->tag));
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs watch_funcs = {.check = watch_ready, .dispatch = watch_dispatch};

LoopWatch *loop_watch_fd(Loop *loop, int fd, GIOCondition events, LoopFdFn fn, void *opaque)
{
    GSource *source = g_source_new(&watch_funcs, sizeof(LoopWatch));
    LoopWatch *watch = (LoopWatch *)source;

    watch->fd = fd;
    watch->fn = fn;
    watch->opaque = opaque;
    watch->tag = g_source_add_unix_fd(source, fd, events);
    g_source_attach(source, loop->context);
    return watch;
}

void loop_unwatch(LoopWatch *watch)
{
    if (watch) {
        g_source_destroy(&watch->source);
        g_source_unref(&watch->source);
    }
}

struct LoopTimer {
    GSource source;
    LoopFn fn;
    void *opaque;
};

static gboolean timer_dispatch(GSource *source, GSourceFunc callback, gpointer user_data)
{
    LoopTimer *timer = (LoopTimer *)source;

    (void)callback;
    (void)user_data;
    g_source_set_ready_time(source, -1);
    timer->fn(timer->opaque);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs timer_funcs = {.dispatch = timer_dispatch};

LoopTimer *loop_timer_new(Loop *loop, LoopFn fn, void *opaque)
{
    GSource *source = g_source_new(&timer_funcs, sizeof(LoopTimer));
    LoopTimer *timer = (LoopTimer *)source;

    timer->fn = fn;
    timer->opaque = opaque;
    g_source_attach(source, loop->context);
    return timer;
}

/* glib counts microseconds; rounding up means that a timer never fires early. */
void loop_timer_arm(LoopTimer *timer, int64_t deadline_ns)
{
    g_source_set_ready_time(&timer->source, (deadline_ns + 999) / 1000);
}

void loop_timer_disarm(LoopTimer *timer)
{
    g_source_set_ready_time(&timer->source, -1);
}

void loop_timer_free(LoopTimer *timer)
{
    if (timer) {
        g_source_destroy(&timer->source);
        g_source_unref(&timer->source);
    }
}

int64_t loop_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
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

    mutex_lock(&loop->post_lock);
    g_array_append_val(loop->posts, post);
    if (loop->posts->len == 1) {
        g_source_set_ready_time(loop->post_source, 0);
    }
    mutex_unlock(&loop->post_lock);
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

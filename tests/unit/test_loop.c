/* SPDX-License-Identifier: Apache-2.0 */
#include "util/loop.h"

#include "tests/unit/suite.h"
#include "util/error.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define MS INT64_C(1000000)

static Loop *thread_loop(const char *name)
{
    g_autoptr(GError) error = NULL;
    Loop *loop = loop_new_thread(name, &error);

    ck_assert_msg(loop != NULL, "%s", error ? error->message : "");
    return loop;
}

/* ---- posts and calls ---------------------------------------------------------------------- */

typedef struct Order {
    Loop *loop;
    unsigned seen;
    unsigned wrong;
    unsigned last;
} Order;

static void order_quit(void *opaque)
{
    Order *order = opaque;

    loop_quit(order->loop);
}

typedef struct Numbered {
    Order *order;
    unsigned number;
} Numbered;

static void order_see(void *opaque)
{
    Numbered *numbered = opaque;
    Order *order = numbered->order;

    order->wrong += numbered->number != order->seen;
    order->seen++;
}

START_TEST(posts_run_in_the_order_they_were_posted)
{
    enum {
        COUNT = 100
    };
    g_autoptr(Loop) loop = loop_new("main");
    Order order = {.loop = loop};
    Numbered numbered[COUNT];

    for (unsigned i = 0; i < COUNT; i++) {
        numbered[i] = (Numbered){.order = &order, .number = i};
        loop_post(loop, order_see, &numbered[i]);
    }
    ck_assert_uint_eq(order.seen, 0);
    loop_post(loop, order_quit, &order);
    loop_run(loop);
    ck_assert_uint_eq(order.seen, COUNT);
    ck_assert_uint_eq(order.wrong, 0);
}
END_TEST

typedef struct Where {
    Loop *loop;
    bool on_loop;
    int thread_id;
    unsigned runs;
} Where;

static void where_am_i(void *opaque)
{
    Where *where = opaque;

    where->on_loop = loop_is_current(where->loop);
    where->thread_id = (int)gettid();
    where->runs++;
}

START_TEST(a_call_runs_on_the_loops_thread_and_returns_after_it)
{
    g_autoptr(Loop) loop = thread_loop("worker");
    Where where = {.loop = loop};

    loop_call(loop, where_am_i, &where);
    ck_assert_uint_eq(where.runs, 1);
    ck_assert(where.on_loop);
    ck_assert_int_ne(where.thread_id, (int)gettid());
    ck_assert_int_eq(where.thread_id, loop_thread_id(loop));
    ck_assert(!loop_is_current(loop));
    ck_assert_str_eq(loop_name(loop), "worker");
}
END_TEST

typedef struct Nested {
    Loop *loop;
    Where where;
    unsigned runs_inside;
} Nested;

static void nested_call(void *opaque)
{
    Nested *nested = opaque;

    loop_call(nested->loop, where_am_i, &nested->where);
    nested->runs_inside = nested->where.runs;
}

START_TEST(a_call_from_the_loop_itself_runs_at_once)
{
    g_autoptr(Loop) loop = thread_loop("worker");
    Nested nested = {.loop = loop, .where = {.loop = loop}};

    loop_call(loop, nested_call, &nested);
    ck_assert_uint_eq(nested.runs_inside, 1);
}
END_TEST

START_TEST(a_loop_that_was_not_run_can_be_freed_with_posts_in_it)
{
    Loop *loop = loop_new("main");
    Where where = {.loop = loop};

    loop_post(loop, where_am_i, &where);
    loop_free(loop);
    ck_assert_uint_eq(where.runs, 0);
    loop_free(NULL);
}
END_TEST

START_TEST(a_loop_can_be_run_again_after_it_quit)
{
    g_autoptr(Loop) loop = loop_new("main");
    Order order = {.loop = loop};

    loop_post(loop, order_quit, &order);
    loop_run(loop);
    loop_post(loop, order_quit, &order);
    loop_run(loop);
    ck_assert(loop_is_current(loop));
}
END_TEST

/* ---- many threads ------------------------------------------------------------------------- */

#define STRESS_THREADS 4
#define STRESS_ROUNDS  500

/* Only the loop's thread touches count, without a lock: that is what a loop promises. */
typedef struct Tally {
    Loop *loop;
    unsigned count;
} Tally;

static void tally_add(void *opaque)
{
    Tally *tally = opaque;

    tally->count++;
}

static void *tally_thread(void *opaque)
{
    Tally *tally = opaque;

    for (unsigned i = 0; i < STRESS_ROUNDS; i++) {
        loop_post(tally->loop, tally_add, tally);
        loop_call(tally->loop, tally_add, tally);
    }
    return NULL;
}

START_TEST(posts_and_calls_from_many_threads_all_run_one_at_a_time)
{
    g_autoptr(Loop) loop = thread_loop("worker");
    Tally tally = {.loop = loop};
    GThread *threads[STRESS_THREADS];

    for (unsigned i = 0; i < STRESS_THREADS; i++) {
        threads[i] = g_thread_new("caller", tally_thread, &tally);
    }
    for (unsigned i = 0; i < STRESS_THREADS; i++) {
        g_thread_join(threads[i]);
    }
    /* each thread's last act was a call, behind all its posts */
    ck_assert_uint_eq(tally.count, STRESS_THREADS * STRESS_ROUNDS * 2);
}
END_TEST

static void call_neighbour(void *opaque)
{
    Tally *tally = opaque;

    loop_call(tally->loop, tally_add, tally);
}

START_TEST(loops_call_each_other_in_a_chain)
{
    g_autoptr(Loop) first = thread_loop("first");
    g_autoptr(Loop) second = thread_loop("second");
    Tally tally = {.loop = second};

    for (unsigned i = 0; i < STRESS_ROUNDS; i++) {
        loop_call(first, call_neighbour, &tally);
    }
    ck_assert_uint_eq(tally.count, STRESS_ROUNDS);
}
END_TEST

START_TEST(loops_start_and_end_many_times)
{
    for (unsigned i = 0; i < 200; i++) {
        g_autoptr(Loop) loop = thread_loop("short");
        Tally tally = {.loop = loop};

        if (i % 2 == 0) {
            loop_call(loop, tally_add, &tally);
            ck_assert_uint_eq(tally.count, 1);
        }
    }
}
END_TEST

/* ---- descriptors and timers --------------------------------------------------------------- */

typedef struct Seen {
    Loop *loop;
    LoopWatch *watch;
    LoopTimer *timer;
    unsigned calls;
    unsigned until;
    GIOCondition events;
    int64_t when_ns;
} Seen;

static void fd_seen(void *opaque, int fd, GIOCondition events)
{
    Seen *seen = opaque;
    uint64_t count;

    seen->events = events;
    ck_assert_int_eq(read(fd, &count, sizeof(count)), sizeof(count));
    if (++seen->calls == seen->until) {
        loop_unwatch(g_steal_pointer(&seen->watch));
        loop_quit(seen->loop);
    } else {
        ck_assert_int_eq(eventfd_write(fd, 1), 0);
    }
}

START_TEST(a_watched_descriptor_calls_back_while_it_is_readable)
{
    g_autoptr(Loop) loop = loop_new("main");
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    Seen seen = {.loop = loop, .until = 3};

    seen.watch = loop_watch_fd(loop, fd, G_IO_IN, fd_seen, &seen);
    ck_assert_int_eq(eventfd_write(fd, 1), 0);
    loop_run(loop);
    ck_assert_uint_eq(seen.calls, 3);
    ck_assert_int_eq(seen.events, G_IO_IN);
    close(fd);
}
END_TEST

START_TEST(an_unwatched_descriptor_is_silent)
{
    g_autoptr(Loop) loop = loop_new("main");
    int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    Seen seen = {.loop = loop, .until = 1};
    Order order = {.loop = loop};

    loop_unwatch(loop_watch_fd(loop, fd, G_IO_IN, fd_seen, &seen));
    loop_unwatch(NULL);
    loop_post(loop, order_quit, &order);
    loop_run(loop);
    ck_assert_uint_eq(seen.calls, 0);
    close(fd);
}
END_TEST

static void timer_seen(void *opaque)
{
    Seen *seen = opaque;

    seen->when_ns = loop_now_ns();
    if (++seen->calls == seen->until) {
        loop_quit(seen->loop);
    } else {
        loop_timer_arm(seen->timer, seen->when_ns + MS);
    }
}

START_TEST(a_timer_fires_once_and_never_early)
{
    g_autoptr(Loop) loop = loop_new("main");
    Seen seen = {.loop = loop, .until = 1};
    int64_t deadline = loop_now_ns() + 5 * MS + 1;

    seen.timer = loop_timer_new(loop, timer_seen, &seen);
    loop_timer_arm(seen.timer, deadline);
    loop_run(loop);
    ck_assert_uint_eq(seen.calls, 1);
    ck_assert_int_ge(seen.when_ns, deadline);
    loop_timer_free(seen.timer);
    loop_timer_free(NULL);
}
END_TEST

START_TEST(a_timer_can_arm_itself_again)
{
    g_autoptr(Loop) loop = loop_new("main");
    Seen seen = {.loop = loop, .until = 5};

    seen.timer = loop_timer_new(loop, timer_seen, &seen);
    loop_timer_arm(seen.timer, 0);
    loop_run(loop);
    ck_assert_uint_eq(seen.calls, 5);
    loop_timer_free(seen.timer);
}
END_TEST

START_TEST(a_disarmed_timer_does_not_fire)
{
    g_autoptr(Loop) loop = loop_new("main");
    Seen never = {.loop = loop, .until = 1};
    Seen last = {.loop = loop, .until = 1};

    never.timer = loop_timer_new(loop, timer_seen, &never);
    last.timer = loop_timer_new(loop, timer_seen, &last);
    loop_timer_arm(never.timer, loop_now_ns() + MS);
    loop_timer_arm(last.timer, loop_now_ns() + 4 * MS);
    loop_timer_disarm(never.timer);
    loop_run(loop);
    ck_assert_uint_eq(never.calls, 0);
    ck_assert_uint_eq(last.calls, 1);
    loop_timer_free(never.timer);
    loop_timer_free(last.timer);
}
END_TEST

#define SOONEST_NS  5000
#define SHORT_WAITS 40000u

static void timer_soon(void *opaque)
{
    Seen *seen = opaque;

    if (++seen->calls == seen->until) {
        loop_quit(seen->loop);
    } else {
        loop_timer_arm(seen->timer, loop_now_ns() + seen->calls % SOONEST_NS);
    }
}

/* Some of them while the loop works out how long it may sleep. */
START_TEST(a_timer_may_fall_due_at_any_moment)
{
    g_autoptr(Loop) loop = loop_new("main");
    Seen seen = {.loop = loop, .until = SHORT_WAITS};

    seen.timer = loop_timer_new(loop, timer_soon, &seen);
    loop_timer_arm(seen.timer, 0);
    loop_run(loop);
    ck_assert_uint_eq(seen.calls, SHORT_WAITS);
    loop_timer_free(seen.timer);
}
END_TEST

static void arm_now(void *opaque)
{
    Seen *seen = opaque;

    loop_timer_arm(seen->timer, loop_now_ns() + MS);
}

START_TEST(a_timer_is_brought_forward)
{
    g_autoptr(Loop) loop = loop_new("main");
    Seen seen = {.loop = loop, .until = 1};

    seen.timer = loop_timer_new(loop, timer_seen, &seen);
    loop_timer_arm(seen.timer, loop_now_ns() + 3600 * 1000 * MS);
    loop_post(loop, arm_now, &seen);
    loop_run(loop);
    ck_assert_uint_eq(seen.calls, 1);
    loop_timer_free(seen.timer);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("loop");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, posts_run_in_the_order_they_were_posted);
    tcase_add_test(tc, a_call_runs_on_the_loops_thread_and_returns_after_it);
    tcase_add_test(tc, a_call_from_the_loop_itself_runs_at_once);
    tcase_add_test(tc, a_loop_that_was_not_run_can_be_freed_with_posts_in_it);
    tcase_add_test(tc, a_loop_can_be_run_again_after_it_quit);
    tcase_add_test(tc, posts_and_calls_from_many_threads_all_run_one_at_a_time);
    tcase_add_test(tc, loops_call_each_other_in_a_chain);
    tcase_add_test(tc, loops_start_and_end_many_times);
    tcase_add_test(tc, a_watched_descriptor_calls_back_while_it_is_readable);
    tcase_add_test(tc, an_unwatched_descriptor_is_silent);
    tcase_add_test(tc, a_timer_fires_once_and_never_early);
    tcase_add_test(tc, a_timer_can_arm_itself_again);
    tcase_add_test(tc, a_disarmed_timer_does_not_fire);
    tcase_add_test(tc, a_timer_is_brought_forward);
    tcase_add_test(tc, a_timer_may_fall_due_at_any_moment);
    return suite_run("loop", tc);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The edges of watches and timers: shared descriptors, odd files, callbacks that free things. */
#include "util/loop.h"

#include "tests/unit/suite.h"
#include "util/fd.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define MS INT64_C(1000000)

typedef struct Fixture {
    Loop *loop;
    int fd;
    LoopWatch *watch;
    LoopWatch *other;
    LoopTimer *timer;
    LoopTimer *second;
    unsigned calls;
    unsigned order[8];
    GIOCondition events;
} Fixture;

static void fixture_init(Fixture *f)
{
    *f = (Fixture){.loop = loop_new("test"), .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    ck_assert_int_ge(f->fd, 0);
}

static void fixture_fini(Fixture *f)
{
    loop_unwatch(f->watch);
    loop_unwatch(f->other);
    loop_timer_free(f->timer);
    loop_timer_free(f->second);
    close(f->fd);
    loop_free(f->loop);
}

static void signal_fd(int fd)
{
    uint64_t one = 1;

    ck_assert_int_eq(write(fd, &one, sizeof(one)), sizeof(one));
}

static void quit(void *opaque)
{
    loop_quit(opaque);
}

/* One turn, in which everything is served that is ready now. */
static void turn(Fixture *f)
{
    loop_post(f->loop, quit, f->loop);
    loop_run(f->loop);
}

static void count_event(void *opaque, int fd, GIOCondition events)
{
    Fixture *f = opaque;

    (void)fd;
    f->calls++;
    f->events = events;
}

START_TEST(a_watch_is_called_as_long_as_its_descriptor_is_ready)
{
    Fixture f;
    uint64_t value;

    fixture_init(&f);
    f.watch = loop_watch_fd(f.loop, f.fd, G_IO_IN, count_event, &f);
    turn(&f);
    ck_assert_uint_eq(f.calls, 0);
    signal_fd(f.fd);
    turn(&f);
    turn(&f);
    ck_assert_uint_eq(f.calls, 2);
    ck_assert_int_eq(f.events, G_IO_IN);
    ck_assert_int_eq(read(f.fd, &value, sizeof(value)), sizeof(value));
    turn(&f);
    ck_assert_uint_eq(f.calls, 2);
    fixture_fini(&f);
}
END_TEST

START_TEST(two_watches_may_share_a_descriptor)
{
    Fixture f;

    fixture_init(&f);
    f.watch = loop_watch_fd(f.loop, f.fd, G_IO_IN, count_event, &f);
    f.other = loop_watch_fd(f.loop, f.fd, G_IO_OUT, count_event, &f);
    turn(&f);
    ck_assert_uint_eq(f.calls, 1);
    ck_assert_int_eq(f.events, G_IO_OUT);
    signal_fd(f.fd);
    turn(&f);
    ck_assert_uint_eq(f.calls, 3);
    fixture_fini(&f);
}
END_TEST

START_TEST(a_regular_file_is_always_ready)
{
    Fixture f;
    char name[] = "/tmp/stencil-loop-XXXXXX";
    auto_fd int file = mkostemp(name, O_CLOEXEC);

    ck_assert_int_ge(file, 0);
    unlink(name);
    fixture_init(&f);
    f.watch = loop_watch_fd(f.loop, file, G_IO_IN, count_event, &f);
    turn(&f);
    ck_assert_uint_eq(f.calls, 1);
    fixture_fini(&f);
}
END_TEST

START_TEST(a_closed_peer_is_told_without_being_asked_for)
{
    Fixture f;
    int pipe_fds[2];

    fixture_init(&f);
    ck_assert_int_eq(pipe2(pipe_fds, O_CLOEXEC), 0);
    f.watch = loop_watch_fd(f.loop, pipe_fds[0], G_IO_IN, count_event, &f);
    close(pipe_fds[1]);
    turn(&f);
    ck_assert_int_eq(f.events & G_IO_HUP, G_IO_HUP);
    loop_unwatch(f.watch);
    f.watch = NULL;
    close(pipe_fds[0]);
    fixture_fini(&f);
}
END_TEST

static void unwatch_both(void *opaque, int fd, GIOCondition events)
{
    Fixture *f = opaque;

    count_event(opaque, fd, events);
    loop_unwatch(f->watch);
    f->watch = NULL;
    loop_unwatch(f->other);
    f->other = NULL;
}

START_TEST(after_unwatch_no_callback_comes_not_even_in_the_same_turn)
{
    Fixture f;
    auto_fd int fd = eventfd(1, EFD_CLOEXEC);

    fixture_init(&f);
    signal_fd(f.fd);
    f.watch = loop_watch_fd(f.loop, f.fd, G_IO_IN, unwatch_both, &f);
    f.other = loop_watch_fd(f.loop, fd, G_IO_IN, unwatch_both, &f);
    turn(&f);
    turn(&f);
    ck_assert_uint_eq(f.calls, 1);
    fixture_fini(&f);
}
END_TEST

static void note_first(void *opaque)
{
    Fixture *f = opaque;

    f->order[f->calls++] = 1;
}

static void note_second_and_quit(void *opaque)
{
    Fixture *f = opaque;

    f->order[f->calls++] = 2;
    loop_quit(f->loop);
}

START_TEST(timers_fire_in_order_once_and_never_early)
{
    Fixture f;
    int64_t begin = loop_now_ns();

    fixture_init(&f);
    f.timer = loop_timer_new(f.loop, note_first, &f);
    f.second = loop_timer_new(f.loop, note_second_and_quit, &f);
    loop_timer_arm(f.second, begin + 30 * MS);
    loop_timer_arm(f.timer, begin + 300 * MS);
    loop_timer_arm(f.timer, begin + 10 * MS + 1);
    loop_run(f.loop);
    ck_assert_int_ge(loop_now_ns() - begin, 30 * MS);
    ck_assert_uint_eq(f.calls, 2);
    ck_assert_uint_eq(f.order[0], 1);
    ck_assert_uint_eq(f.order[1], 2);
    fixture_fini(&f);
}
END_TEST

START_TEST(a_timer_waits_for_less_than_a_millisecond_if_so_asked)
{
    Fixture f;
    int64_t begin = loop_now_ns();

    fixture_init(&f);
    f.timer = loop_timer_new(f.loop, note_second_and_quit, &f);
    for (unsigned i = 0; i < 5; i++) {
        f.calls = 0;
        begin = loop_now_ns();
        loop_timer_arm(f.timer, begin + MS / 5);
        loop_run(f.loop);
        ck_assert_int_ge(loop_now_ns() - begin, MS / 5);
    }
    fixture_fini(&f);
}
END_TEST

START_TEST(a_disarmed_timer_stays_silent)
{
    Fixture f;

    fixture_init(&f);
    f.timer = loop_timer_new(f.loop, note_first, &f);
    f.second = loop_timer_new(f.loop, note_second_and_quit, &f);
    loop_timer_arm(f.timer, 0);
    loop_timer_disarm(f.timer);
    loop_timer_disarm(f.timer);
    loop_timer_arm(f.second, 0);
    loop_run(f.loop);
    ck_assert_uint_eq(f.calls, 1);
    ck_assert_uint_eq(f.order[0], 2);
    fixture_fini(&f);
}
END_TEST

static void free_both_timers(void *opaque)
{
    Fixture *f = opaque;

    f->calls++;
    g_clear_pointer(&f->timer, loop_timer_free);
    g_clear_pointer(&f->second, loop_timer_free);
}

START_TEST(a_timer_may_free_itself_and_others)
{
    Fixture f;

    fixture_init(&f);
    f.timer = loop_timer_new(f.loop, free_both_timers, &f);
    f.second = loop_timer_new(f.loop, free_both_timers, &f);
    loop_timer_arm(f.timer, 0);
    loop_timer_arm(f.second, 0);
    turn(&f);
    turn(&f);
    ck_assert_uint_eq(f.calls, 1);
    fixture_fini(&f);
}
END_TEST

static void arm_again(void *opaque)
{
    Fixture *f = opaque;

    f->calls++;
    loop_timer_arm(f->timer, 0);
}

START_TEST(a_timer_that_is_always_due_lets_others_have_their_turn)
{
    Fixture f;

    fixture_init(&f);
    f.timer = loop_timer_new(f.loop, arm_again, &f);
    loop_timer_arm(f.timer, 0);
    turn(&f);
    ck_assert_uint_eq(f.calls, 1);
    turn(&f);
    ck_assert_uint_eq(f.calls, 2);
    fixture_fini(&f);
}
END_TEST

static void post_again(void *opaque)
{
    Fixture *f = opaque;

    f->calls++;
    loop_post(f->loop, post_again, f);
}

START_TEST(a_post_of_a_post_waits_for_the_next_turn)
{
    Fixture f;

    fixture_init(&f);
    loop_post(f.loop, post_again, &f);
    turn(&f);
    ck_assert_uint_eq(f.calls, 1);
    fixture_fini(&f);
}
END_TEST

/* --- loops with threads of their own --- */

typedef struct Shared {
    Loop *loop;
    unsigned count; /* loop thread only */
    bool on_loop;
} Shared;

static void add_one(void *opaque)
{
    Shared *shared = opaque;

    shared->count++;
    shared->on_loop = loop_is_current(shared->loop);
}

static void *post_many(void *opaque)
{
    Shared *shared = opaque;

    for (unsigned i = 0; i < 10000; i++) {
        loop_post(shared->loop, add_one, shared);
    }
    loop_call(shared->loop, add_one, shared);
    return NULL;
}

START_TEST(posts_of_many_threads_all_arrive_and_calls_wait)
{
    Shared shared = {.loop = loop_new_thread("io", NULL)};
    GThread *threads[4];

    for (unsigned i = 0; i < G_N_ELEMENTS(threads); i++) {
        threads[i] = g_thread_new("poster", post_many, &shared);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(threads); i++) {
        g_thread_join(threads[i]);
    }
    loop_call(shared.loop, add_one, &shared);
    ck_assert_uint_eq(shared.count, 4 * 10001 + 1);
    ck_assert(shared.on_loop);
    ck_assert(!loop_is_current(shared.loop));
    ck_assert_int_ne(loop_thread_id(shared.loop), 0);
    loop_free(shared.loop);
}
END_TEST

typedef struct Ring {
    Loop *loop;
    LoopTimer *timer;
    LoopWatch *watch;
    int fd;
    atomic_uint fired;
} Ring;

static void ring_fired(void *opaque)
{
    atomic_fetch_add(&((Ring *)opaque)->fired, 1);
}

static void ring_event(void *opaque, int fd, GIOCondition events)
{
    uint64_t value;

    (void)events;
    if (read(fd, &value, sizeof(value)) == sizeof(value)) {
        ring_fired(opaque);
    }
}

static void ring_stop(void *opaque)
{
    Ring *ring = opaque;

    loop_unwatch(ring->watch);
}

START_TEST(timers_and_watches_from_another_thread_wake_a_sleeping_loop)
{
    Ring ring = {.loop = loop_new_thread("io", NULL), .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};

    ring.timer = loop_timer_new(ring.loop, ring_fired, &ring);
    for (unsigned i = 1; i <= 100; i++) {
        loop_timer_arm(ring.timer, i % 2 ? 0 : loop_now_ns() + MS / 10);
        while (atomic_load(&ring.fired) < i) {
            g_thread_yield();
        }
    }
    ring.watch = loop_watch_fd(ring.loop, ring.fd, G_IO_IN, ring_event, &ring);
    signal_fd(ring.fd);
    while (atomic_load(&ring.fired) < 101) {
        g_thread_yield();
    }
    loop_call(ring.loop, ring_stop, &ring);
    loop_timer_free(ring.timer);
    loop_free(ring.loop);
    close(ring.fd);
}
END_TEST

START_TEST(what_a_library_keeps_is_found_by_its_key)
{
    static const char key = 0;
    static const char other = 0;
    Fixture f;

    fixture_init(&f);
    ck_assert_ptr_null(loop_local(f.loop, &key));
    loop_set_local(f.loop, &key, &f);
    ck_assert_ptr_eq(loop_local(f.loop, &key), &f);
    ck_assert_ptr_null(loop_local(f.loop, &other));
    loop_set_local(f.loop, &key, NULL);
    ck_assert_ptr_null(loop_local(f.loop, &key));
    fixture_fini(&f);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("loop_watch");

    tcase_add_test(tc, a_watch_is_called_as_long_as_its_descriptor_is_ready);
    tcase_add_test(tc, two_watches_may_share_a_descriptor);
    tcase_add_test(tc, a_regular_file_is_always_ready);
    tcase_add_test(tc, a_closed_peer_is_told_without_being_asked_for);
    tcase_add_test(tc, after_unwatch_no_callback_comes_not_even_in_the_same_turn);
    tcase_add_test(tc, timers_fire_in_order_once_and_never_early);
    tcase_add_test(tc, a_timer_waits_for_less_than_a_millisecond_if_so_asked);
    tcase_add_test(tc, a_disarmed_timer_stays_silent);
    tcase_add_test(tc, a_timer_may_free_itself_and_others);
    tcase_add_test(tc, a_timer_that_is_always_due_lets_others_have_their_turn);
    tcase_add_test(tc, a_post_of_a_post_waits_for_the_next_turn);
    tcase_add_test(tc, posts_of_many_threads_all_arrive_and_calls_wait);
    tcase_add_test(tc, timers_and_watches_from_another_thread_wake_a_sleeping_loop);
    tcase_add_test(tc, what_a_library_keeps_is_found_by_its_key);
    return suite_run("loop_watch", tc);
}

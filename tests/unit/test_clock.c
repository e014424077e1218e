/* SPDX-License-Identifier: Apache-2.0 */
#include "util/clock.h"

#include "tests/unit/suite.h"

#include <string.h>

typedef struct Fired {
    GuestClock *clock;
    GuestTimer *timer;
    Loop *loop;
    unsigned count;
    int64_t at[8];
    int64_t period;
} Fired;

static void note(void *opaque)
{
    Fired *f = opaque;

    f->at[f->count++] = guest_clock_now_ns(f->clock);
    if (f->period != 0 && f->count < 8) {
        guest_timer_arm(f->timer, f->at[f->count - 1] + f->period);
    }
    if (f->loop) {
        loop_quit(f->loop);
    }
}

START_TEST(a_clock_stands_still_until_it_is_started_and_after_it_is_stopped)
{
    g_autoptr(Loop) loop = loop_new("test");
    g_autoptr(GuestClock) clock = guest_clock_new(loop);
    int64_t stopped;

    ck_assert_int_eq(guest_clock_now_ns(clock), 0);
    guest_clock_start(clock);
    while (guest_clock_now_ns(clock) == 0) {
    }
    guest_clock_stop(clock);
    stopped = guest_clock_now_ns(clock);
    ck_assert_int_gt(stopped, 0);
    ck_assert_int_eq(guest_clock_now_ns(clock), stopped);
    guest_clock_start(clock);
    ck_assert_int_ge(guest_clock_now_ns(clock), stopped);
}
END_TEST

START_TEST(stepping_fires_timers_in_order_each_at_its_own_instant)
{
    g_autoptr(Loop) loop = loop_new("test");
    g_autoptr(GuestClock) clock = guest_clock_new(loop);
    Fired slow = {.clock = clock};
    Fired fast = {.clock = clock, .period = 30};

    guest_clock_take_over(clock);
    slow.timer = guest_timer_new(clock, note, &slow);
    fast.timer = guest_timer_new(clock, note, &fast);
    guest_timer_arm(slow.timer, 50);
    guest_timer_arm(fast.timer, 30);
    ck_assert_int_eq(guest_clock_next_ns(clock), 30);
    guest_clock_step_to(clock, 100);
    ck_assert_uint_eq(slow.count, 1);
    ck_assert_int_eq(slow.at[0], 50);
    ck_assert_uint_eq(fast.count, 3);
    ck_assert_int_eq(fast.at[2], 90);
    ck_assert_int_eq(guest_clock_now_ns(clock), 100);
    guest_timer_disarm(fast.timer);
    ck_assert_int_eq(guest_clock_next_ns(clock), -1);
    guest_timer_free(slow.timer);
    guest_timer_free(fast.timer);
}
END_TEST

START_TEST(a_running_clock_wakes_the_loop_for_its_timers)
{
    g_autoptr(Loop) loop = loop_new("test");
    g_autoptr(GuestClock) clock = guest_clock_new(loop);
    Fired f = {.clock = clock, .loop = loop};

    f.timer = guest_timer_new(clock, note, &f);
    guest_timer_arm(f.timer, 2000000);
    guest_clock_start(clock);
    loop_run(loop);
    ck_assert_uint_eq(f.count, 1);
    ck_assert_int_ge(f.at[0], 2000000);
    guest_timer_free(f.timer);
}
END_TEST

START_TEST(a_clock_that_stands_still_can_be_set_and_goes_on_from_there)
{
    const int64_t hour = INT64_C(3600000000000);
    g_autoptr(Loop) loop = loop_new("test");
    g_autoptr(GuestClock) clock = guest_clock_new(loop);
    Fired f = {.clock = clock, .loop = loop};

    ck_assert(guest_clock_set_ns(clock, hour, NULL));
    ck_assert_int_eq(guest_clock_now_ns(clock), hour);
    f.timer = guest_timer_new(clock, note, &f);
    guest_timer_arm(f.timer, hour + 2000000);
    guest_clock_start(clock);
    loop_run(loop);
    ck_assert_int_ge(f.at[0], hour + 2000000);
    ck_assert_int_lt(f.at[0], 2 * hour);
    guest_timer_free(f.timer);
}
END_TEST

START_TEST(a_clock_is_not_set_while_it_runs_nor_to_what_is_no_time)
{
    g_autoptr(Loop) loop = loop_new("test");
    g_autoptr(GuestClock) clock = guest_clock_new(loop);
    GError *error = NULL;

    ck_assert(!guest_clock_set_ns(clock, -1, NULL));
    ck_assert(!guest_clock_set_ns(clock, INT64_MAX, &error));
    ck_assert_ptr_nonnull(strstr(error->message, "guest clock: 9223372036854775807 ns"));
    g_clear_error(&error);
    ck_assert_int_eq(guest_clock_now_ns(clock), 0);
    guest_clock_start(clock);
    ck_assert(!guest_clock_set_ns(clock, 5, NULL));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("clock");

    tcase_add_test(tc, a_clock_stands_still_until_it_is_started_and_after_it_is_stopped);
    tcase_add_test(tc, stepping_fires_timers_in_order_each_at_its_own_instant);
    tcase_add_test(tc, a_running_clock_wakes_the_loop_for_its_timers);
    tcase_add_test(tc, a_clock_that_stands_still_can_be_set_and_goes_on_from_there);
    tcase_add_test(tc, a_clock_is_not_set_while_it_runs_nor_to_what_is_no_time);
    return suite_run("clock", tc);
}

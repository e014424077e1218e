/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/runstate.h"

#include "tests/unit/suite.h"

START_TEST(every_state_has_a_name_of_its_own)
{
    for (unsigned i = 0; i < RUN_STATE_COUNT; i++) {
        ck_assert_ptr_nonnull(run_state_name((RunState)i));
        for (unsigned j = 0; j < i; j++) {
            ck_assert_str_ne(run_state_name((RunState)i), run_state_name((RunState)j));
        }
    }
    ck_assert_str_eq(run_state_name(RUN_STATE_FINISH_MIGRATE), "finish-migrate");
    ck_assert_str_eq(run_state_name(RUN_STATE_GUEST_PANICKED), "guest-panicked");
}
END_TEST

START_TEST(only_running_runs)
{
    for (unsigned i = 0; i < RUN_STATE_COUNT; i++) {
        ck_assert_int_eq(run_state_is_running((RunState)i), i == RUN_STATE_RUNNING);
    }
}
END_TEST

START_TEST(a_state_that_can_continue_may_be_followed_by_running)
{
    for (unsigned i = 0; i < RUN_STATE_COUNT; i++) {
        if (run_state_can_continue((RunState)i)) {
            ck_assert_msg(run_state_may_follow((RunState)i, RUN_STATE_RUNNING), "%s",
                          run_state_name((RunState)i));
        }
    }
}
END_TEST

START_TEST(what_a_failure_or_a_shutdown_stopped_needs_a_reset_first)
{
    static const RunState stuck[] = {RUN_STATE_SHUTDOWN, RUN_STATE_INTERNAL_ERROR};

    for (size_t i = 0; i < G_N_ELEMENTS(stuck); i++) {
        ck_assert(!run_state_can_continue(stuck[i]));
        ck_assert(!run_state_may_follow(stuck[i], RUN_STATE_RUNNING));
        ck_assert(run_state_may_follow(stuck[i], RUN_STATE_PAUSED));
    }
}
END_TEST

START_TEST(every_state_may_stay_and_every_stopped_state_may_end_in_shutdown)
{
    for (unsigned i = 0; i < RUN_STATE_COUNT; i++) {
        ck_assert(run_state_may_follow((RunState)i, (RunState)i));
        ck_assert_msg(run_state_may_follow((RunState)i, RUN_STATE_SHUTDOWN), "%s",
                      run_state_name((RunState)i));
    }
}
END_TEST

START_TEST(nothing_goes_back_to_waiting_for_a_template_once_it_ran)
{
    ck_assert(run_state_may_follow(RUN_STATE_PRELAUNCH, RUN_STATE_INMIGRATE));
    ck_assert(!run_state_may_follow(RUN_STATE_RUNNING, RUN_STATE_INMIGRATE));
    ck_assert(!run_state_may_follow(RUN_STATE_PAUSED, RUN_STATE_INMIGRATE));
    ck_assert(!run_state_may_follow(RUN_STATE_RUNNING, RUN_STATE_PRELAUNCH));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("runstate");

    tcase_add_test(tc, every_state_has_a_name_of_its_own);
    tcase_add_test(tc, only_running_runs);
    tcase_add_test(tc, a_state_that_can_continue_may_be_followed_by_running);
    tcase_add_test(tc, what_a_failure_or_a_shutdown_stopped_needs_a_reset_first);
    tcase_add_test(tc, every_state_may_stay_and_every_stopped_state_may_end_in_shutdown);
    tcase_add_test(tc, nothing_goes_back_to_waiting_for_a_template_once_it_ran);
    return suite_run("runstate", tc);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "util/side_thread.h"

#include "tests/unit/suite.h"
#include "util/error.h"
#include "util/lock.h"

#include <signal.h>

typedef struct Record {
    char order[8]; /* the side thread's, read after a wait */
    unsigned count;
    pthread_t thread;
    bool takes_sigterm;
} Record;

static bool note_a(void *opaque, GError **error)
{
    Record *record = opaque;
    sigset_t blocked;

    (void)error;
    record->order[record->count++] = 'a';
    record->thread = pthread_self();
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    record->takes_sigterm = !sigismember(&blocked, SIGTERM);
    return true;
}

static bool note_b(void *opaque, GError **error)
{
    Record *record = opaque;

    (void)error;
    record->order[record->count++] = 'b';
    return true;
}

static bool fail_first(void *opaque, GError **error)
{
    (void)opaque;
    return fail(error, VMM_ERROR_HOST, "the first");
}

static bool fail_second(void *opaque, GError **error)
{
    (void)opaque;
    return fail(error, VMM_ERROR_HOST, "the second");
}

START_TEST(jobs_are_done_in_order_on_a_thread_of_their_own)
{
    g_autoptr(SideThread) side = side_thread_new("side", NULL);
    Record record = {0};

    ck_assert_uint_eq(side_thread_do(side, note_a, &record, NULL), 1);
    ck_assert_uint_eq(side_thread_do(side, note_b, &record, NULL), 2);
    ck_assert(side_thread_wait(side, 2, NULL));
    ck_assert_str_eq(record.order, "ab");
    ck_assert(pthread_equal(record.thread, side_thread_id(side)));
    ck_assert(!pthread_equal(record.thread, pthread_self()));
    ck_assert(!record.takes_sigterm);
}
END_TEST

typedef struct Gate {
    Mutex lock;
    Cond opened;
    bool open;
} Gate;

static bool pass_gate(void *opaque, GError **error)
{
    Gate *gate = opaque;

    (void)error;
    mutex_lock(&gate->lock);
    while (!gate->open) {
        cond_wait(&gate->opened, &gate->lock);
    }
    mutex_unlock(&gate->lock);
    return true;
}

START_TEST(a_job_can_be_waited_for_while_a_later_one_goes_on)
{
    g_autoptr(SideThread) side = side_thread_new("side", NULL);
    Record record = {0};
    Gate gate = {0};

    mutex_init(&gate.lock);
    cond_init(&gate.opened);
    side_thread_do(side, note_a, &record, NULL);
    side_thread_do(side, pass_gate, &gate, NULL);
    ck_assert(side_thread_wait(side, 1, NULL));
    ck_assert_str_eq(record.order, "a");
    mutex_lock(&gate.lock);
    gate.open = true;
    mutex_unlock(&gate.lock);
    cond_signal(&gate.opened);
    ck_assert(side_thread_wait(side, 2, NULL));
    cond_fini(&gate.opened);
    mutex_fini(&gate.lock);
}
END_TEST

START_TEST(the_first_failure_is_told_once_and_never_forgotten)
{
    g_autoptr(SideThread) side = side_thread_new("side", NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(GError) again = NULL;

    side_thread_do(side, fail_first, NULL, NULL);
    side_thread_do(side, fail_second, NULL, NULL);
    ck_assert(!side_thread_wait(side, 2, &error));
    ck_assert_str_eq(error->message, "the first");
    ck_assert(!side_thread_wait(side, 2, &again));
    ck_assert_ptr_null(again);
}
END_TEST

static void count_destroyed(void *opaque)
{
    ++*(unsigned *)opaque;
}

static bool do_nothing(void *opaque, GError **error)
{
    (void)opaque;
    (void)error;
    return true;
}

START_TEST(what_was_given_is_finished_before_the_end)
{
    SideThread *side = side_thread_new("side", NULL);
    unsigned destroyed = 0;

    side_thread_do(side, do_nothing, &destroyed, count_destroyed);
    side_thread_do(side, fail_first, &destroyed, count_destroyed);
    side_thread_do(side, do_nothing, &destroyed, count_destroyed);
    side_thread_free(side);
    ck_assert_uint_eq(destroyed, 3);
    side_thread_free(NULL);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("side_thread");

    tcase_add_test(tc, jobs_are_done_in_order_on_a_thread_of_their_own);
    tcase_add_test(tc, a_job_can_be_waited_for_while_a_later_one_goes_on);
    tcase_add_test(tc, the_first_failure_is_told_once_and_never_forgotten);
    tcase_add_test(tc, what_was_given_is_finished_before_the_end);
    return suite_run("side_thread", tc);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "util/thread.h"

#include "tests/unit/suite.h"

#include <stdint.h>

static _Thread_local unsigned guarded; /* bits of the roles that this thread was guarded for */

static void note_role(ThreadRole role)
{
    guarded |= 1u << role;
}

static void *answer_roles(void *opaque)
{
    (void)opaque;
    return GUINT_TO_POINTER(guarded);
}

static unsigned roles_of_new_thread(ThreadRole role)
{
    GThread *thread = thread_start(role, "t", answer_roles, NULL, NULL);

    ck_assert_ptr_nonnull(thread);
    return GPOINTER_TO_UINT(g_thread_join(thread));
}

static void *start_another(void *opaque)
{
    (void)opaque;
    return GUINT_TO_POINTER(roles_of_new_thread(THREAD_WORKER));
}

START_TEST(without_a_guard_threads_just_run)
{
    ck_assert_uint_eq(roles_of_new_thread(THREAD_LOOP), 0);
}
END_TEST

START_TEST(the_guard_runs_on_the_new_thread_before_its_function)
{
    thread_set_guard(note_role);
    ck_assert_uint_eq(roles_of_new_thread(THREAD_PREALLOC), 1u << THREAD_PREALLOC);
    ck_assert_uint_eq(guarded, 0);
}
END_TEST

START_TEST(a_guard_is_inherited_by_the_threads_of_threads)
{
    GThread *thread;

    thread_set_guard(note_role);
    thread = thread_start(THREAD_LOOP, "t", start_another, NULL, NULL);
    ck_assert_uint_eq(GPOINTER_TO_UINT(g_thread_join(thread)), 1u << THREAD_WORKER);
}
END_TEST

static void *start_without_guard(void *opaque)
{
    (void)opaque;
    return GUINT_TO_POINTER(roles_of_new_thread(THREAD_LOOP));
}

START_TEST(a_thread_that_nobody_guards_passes_no_guard_on)
{
    GThread *thread;

    thread_set_guard(note_role);
    thread = g_thread_new("t", start_without_guard, NULL);
    ck_assert_uint_eq(GPOINTER_TO_UINT(g_thread_join(thread)), 0);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("thread");

    tcase_add_test(tc, without_a_guard_threads_just_run);
    tcase_add_test(tc, the_guard_runs_on_the_new_thread_before_its_function);
    tcase_add_test(tc, a_guard_is_inherited_by_the_threads_of_threads);
    tcase_add_test(tc, a_thread_that_nobody_guards_passes_no_guard_on);
    return suite_run("thread", tc);
}

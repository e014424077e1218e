/* SPDX-License-Identifier: Apache-2.0 */
#include "util/error.h"

#include "tests/unit/suite.h"

#include <errno.h>

START_TEST(a_failure_has_a_code_and_a_message)
{
    g_autoptr(GError) error = NULL;

    ck_assert(!fail(&error, VMM_ERROR_WIRE, "section '%s': %u", "ram", 7U));
    ck_assert(g_error_matches(error, VMM_ERROR, VMM_ERROR_WIRE));
    ck_assert_str_eq(error->message, "section 'ram': 7");
}
END_TEST

START_TEST(an_errno_adds_its_words)
{
    g_autoptr(GError) error = NULL;

    ck_assert(!fail_errno(&error, ENOENT, "open %s", "x"));
    ck_assert(g_error_matches(error, VMM_ERROR, VMM_ERROR_HOST));
    ck_assert_str_eq(error->message, "open x: No such file or directory");
}
END_TEST

START_TEST(functions_that_return_pointers_fail_with_null)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GError) host = NULL;

    ck_assert_ptr_null(fail_null(&error, VMM_ERROR_STATE, "busy"));
    ck_assert_int_eq(error->code, VMM_ERROR_STATE);
    ck_assert_ptr_null(fail_errno_null(&host, EPERM, "map"));
    ck_assert_str_eq(host->message, "map: Operation not permitted");
}
END_TEST

START_TEST(who_does_not_ask_is_not_told)
{
    ck_assert(!fail(NULL, VMM_ERROR_CONFIG, "x"));
    ck_assert(!fail_errno(NULL, EIO, "x"));
    ck_assert_ptr_null(fail_null(NULL, VMM_ERROR_GUEST, "x"));
    ck_assert_ptr_null(fail_errno_null(NULL, EIO, "x"));
}
END_TEST

static bool inner(GError **error)
{
    return fail(error, VMM_ERROR_GUEST, "index %d", 5);
}

START_TEST(context_is_added_on_the_way_up)
{
    g_autoptr(GError) error = NULL;

    ck_assert(!inner(&error));
    g_prefix_error(&error, "queue %u: ", 1U);
    g_prefix_error(&error, "device blk0: ");
    ck_assert_str_eq(error->message, "device blk0: queue 1: index 5");
    ck_assert_int_eq(error->code, VMM_ERROR_GUEST);
}
END_TEST

START_TEST(a_message_of_any_length_is_kept)
{
    g_autofree char *longest = g_strnfill(100000, 'x');
    g_autoptr(GError) error = NULL;

    fail(&error, VMM_ERROR_CONFIG, "%s%%", longest);
    ck_assert_uint_eq(strlen(error->message), 100001);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("error");

    tcase_add_test(tc, a_failure_has_a_code_and_a_message);
    tcase_add_test(tc, an_errno_adds_its_words);
    tcase_add_test(tc, functions_that_return_pointers_fail_with_null);
    tcase_add_test(tc, who_does_not_ask_is_not_told);
    tcase_add_test(tc, context_is_added_on_the_way_up);
    tcase_add_test(tc, a_message_of_any_length_is_kept);
    return suite_run("error", tc);
}

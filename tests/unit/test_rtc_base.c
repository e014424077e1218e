/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/rtc_base.h"

#include "tests/unit/suite.h"
#include "util/error.h"

#define NOW INT64_C(1700000000) /* 2023-11-14T22:13:20 */

START_TEST(utc_and_nothing_are_no_offset)
{
    int64_t offset = 1;

    ck_assert(rtc_base_offset(NULL, NOW, &offset, NULL));
    ck_assert_int_eq(offset, 0);
    offset = 1;
    ck_assert(rtc_base_offset("utc", NOW, &offset, NULL));
    ck_assert_int_eq(offset, 0);
}
END_TEST

START_TEST(a_date_is_where_the_clock_starts)
{
    int64_t offset;

    ck_assert(rtc_base_offset("2023-11-14T22:13:25", NOW, &offset, NULL));
    ck_assert_int_eq(offset, 5);
    ck_assert(rtc_base_offset("2023-11-14", NOW, &offset, NULL));
    ck_assert_int_eq(offset, -(22 * 3600 + 13 * 60 + 20));
}
END_TEST

START_TEST(local_time_is_the_zone_of_the_host)
{
    int64_t offset;

    setenv("TZ", "XYZ-3", 1);
    ck_assert(rtc_base_offset("localtime", NOW, &offset, NULL));
    ck_assert_int_eq(offset, 3 * 3600);
}
END_TEST

START_TEST(anything_else_is_refused_with_an_example)
{
    static const char *const bad[] = {"", "now", "2023-13-01", "2023-11-14T22:13", "2023-11-14x"};

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        int64_t offset;

        ck_assert(!rtc_base_offset(bad[i], NOW, &offset, &error));
        ck_assert_int_eq(error->code, VMM_ERROR_CONFIG);
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("rtc_base");

    tcase_add_test(tc, utc_and_nothing_are_no_offset);
    tcase_add_test(tc, a_date_is_where_the_clock_starts);
    tcase_add_test(tc, local_time_is_the_zone_of_the_host);
    tcase_add_test(tc, anything_else_is_refused_with_an_example);
    return suite_run("rtc_base", tc);
}

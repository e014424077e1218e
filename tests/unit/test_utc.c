/* SPDX-License-Identifier: Apache-2.0 */
#include "util/utc.h"

#include "tests/unit/suite.h"

#include <string.h>

/* Whole years on both sides of 1970, in steps that meet every hour, weekday and month. */
#define FIRST INT64_C(-70000000000)
#define LAST  INT64_C(300000000000)
#define STEP  INT64_C(12345677)

static void check_against_libc(int64_t seconds)
{
    time_t t = (time_t)seconds;
    struct tm expected, tm;

    gmtime_r(&t, &expected);
    utc_from_seconds(seconds, &tm);
    ck_assert_int_eq(tm.tm_year, expected.tm_year);
    ck_assert_int_eq(tm.tm_mon, expected.tm_mon);
    ck_assert_int_eq(tm.tm_mday, expected.tm_mday);
    ck_assert_int_eq(tm.tm_hour, expected.tm_hour);
    ck_assert_int_eq(tm.tm_min, expected.tm_min);
    ck_assert_int_eq(tm.tm_sec, expected.tm_sec);
    ck_assert_int_eq(tm.tm_wday, expected.tm_wday);
    ck_assert_int_eq(tm.tm_yday, expected.tm_yday);
    ck_assert_int_eq(utc_to_seconds(&tm), seconds);
}

START_TEST(the_calendar_is_the_c_librarys_and_leads_back)
{
    for (int64_t seconds = FIRST; seconds < LAST; seconds += STEP) {
        check_against_libc(seconds);
    }
}
END_TEST

START_TEST(days_of_five_centuries_are_right_at_both_ends)
{
    for (int64_t day = -25567; day < 146097; day += 11) {
        check_against_libc(day * 86400);
        check_against_libc(day * 86400 + 86399);
    }
}
END_TEST

/* A guest may write anything into the registers of its clock. */
START_TEST(what_is_out_of_range_counts_on_as_with_timegm)
{
    static const int odd[] = {-200, -13, -1, 0, 12, 13, 31, 61, 99, 165};

    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        for (size_t j = 0; j < sizeof(odd) / sizeof(odd[0]); j++) {
            struct tm tm = {.tm_year = 126 + odd[j],
                            .tm_mon = odd[i],
                            .tm_mday = odd[j],
                            .tm_hour = odd[i],
                            .tm_min = odd[j],
                            .tm_sec = odd[i]};
            struct tm copy = tm;

            ck_assert_int_eq(utc_to_seconds(&tm), timegm(&copy));
        }
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("utc");

    tcase_add_test(tc, the_calendar_is_the_c_librarys_and_leads_back);
    tcase_add_test(tc, days_of_five_centuries_are_right_at_both_ends);
    tcase_add_test(tc, what_is_out_of_range_counts_on_as_with_timegm);
    return suite_run("utc", tc);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Years begin in March here: the leap day is then the last one, and the months before it follow a
 * pattern that repeats every five (31 30 31 30 31, 153 days).
 */
#include "util/utc.h"

#define SECONDS_PER_DAY   INT64_C(86400)
#define DAYS_PER_ERA      INT64_C(146097) /* 400 years, after which everything repeats */
#define DAYS_TO_1970      INT64_C(719468) /* from March 1 of year 0 */
#define DAYS_PER_5_MONTHS 153
#define JANUARY_1         306 /* as a day of such a year */

/* Towards minus infinity, as the calendar runs on before 1970. */
static int64_t divide_down(int64_t number, int64_t by)
{
    int64_t quotient = number / by;

    return number % by < 0 ? quotient - 1 : quotient;
}

static int64_t days_before_year(int64_t year)
{
    return 365 * year + divide_down(year, 4) - divide_down(year, 100) + divide_down(year, 400);
}

void utc_from_seconds(int64_t seconds, struct tm *ret)
{
    int64_t days_1970 = divide_down(seconds, SECONDS_PER_DAY);
    int64_t second = seconds - days_1970 * SECONDS_PER_DAY;
    int64_t days = days_1970 + DAYS_TO_1970;
    int64_t era = divide_down(days, DAYS_PER_ERA);
    int64_t in_era = days - era * DAYS_PER_ERA;
    /* The days that make a year of 365 come out whole: one in 4 years, in 100, in 400. */
    int64_t year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    int64_t in_year = in_era - days_before_year(year);
    int64_t month = (5 * in_year + 2) / DAYS_PER_5_MONTHS; /* 0 is March */
    int64_t calendar_year = era * 400 + year + (month >= 10 ? 1 : 0);
    int64_t before = days_before_year(calendar_year - 1) + JANUARY_1 - DAYS_TO_1970;

    *ret = (struct tm){
        .tm_year = (int)(calendar_year - 1900),
        .tm_mon = (int)((month + 2) % 12),
        .tm_mday = (int)(in_year - (DAYS_PER_5_MONTHS * month + 2) / 5 + 1),
        .tm_hour = (int)(second / 3600),
        .tm_min = (int)(second / 60 % 60),
        .tm_sec = (int)(second % 60),
        .tm_wday = (int)(days_1970 + 4 - divide_down(days_1970 + 4, 7) * 7), /* a Thursday */
        .tm_yday = (int)(days_1970 - before),
    };
}

int64_t utc_to_seconds(const struct tm *tm)
{
    int64_t months = (int64_t)tm->tm_mon - 2; /* from March */
    int64_t year = tm->tm_year + INT64_C(1900) + divide_down(months, 12);
    int64_t month = months - divide_down(months, 12) * 12;
    int64_t days = days_before_year(year) + (DAYS_PER_5_MONTHS * month + 2) / 5 + tm->tm_mday - 1 -
                   DAYS_TO_1970;

    return ((days * 24 + tm->tm_hour) * 60 + tm->tm_min) * 60 + tm->tm_sec;
}

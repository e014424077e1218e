/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UTIL_UTC_H
#define UTIL_UTC_H

/*
 * Seconds since 1970 and the calendar, both in UTC.  The C library's functions read the file of the
 * local time zone even for this, which a vCPU thread may not (machine/sandbox.h).
 */

#include <stdint.h>
#include <time.h>

/* Fills the date, the time of day and tm_wday and tm_yday; years that struct tm cannot hold wrap. */
void utc_from_seconds(int64_t seconds, struct tm *ret);

/* Looks at tm_year to tm_sec.  What is out of its range counts on into the next larger unit. */
int64_t utc_to_seconds(const struct tm *tm);

#endif

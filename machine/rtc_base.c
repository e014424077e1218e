/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/rtc_base.h"

#include "util/error.h"

#include <time.h>

static bool local_offset(int64_t now_s, int64_t *ret_offset_s)
{
    time_t now = (time_t)now_s;
    struct tm local;

    if (!localtime_r(&now, &local)) {
        return false;
    }
    *ret_offset_s = local.tm_gmtoff;
    return true;
}

bool rtc_base_offset(const char *base, int64_t now_s, int64_t *ret_offset_s, GError **error)
{
    struct tm date = {0};
    const char *rest;

    if (!base || strcmp(base, "utc") == 0) {
        *ret_offset_s = 0;
        return true;
    }
    if (strcmp(base, "localtime") == 0) {
        return local_offset(now_s, ret_offset_s) ||
               fail(error, VMM_ERROR_HOST, "-rtc base=localtime: the host has no local time");
    }
    rest = strptime(base, "%Y-%m-%d", &date);
    if (rest && *rest == 'T') {
        rest = strptime(rest, "T%H:%M:%S", &date);
    }
    if (!rest || *rest != '\0') {
        return fail(error, VMM_ERROR_CONFIG,
                    "-rtc base=%s: expected utc, localtime or a date such as 2026-11-21T06:13:00",
                    base);
    }
    *ret_offset_s = (int64_t)timegm(&date) - now_s;
    return true;
}

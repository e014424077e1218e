/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_RTC_BASE_H
#define MACHINE_RTC_BASE_H

/* -rtc base=: how far the guest's clock is from UTC when the VM starts. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* base is "utc", "localtime", a date ("2026-11-21") or a date and time ("2026-11-21T06:13:00"). */
bool rtc_base_offset(const char *base, int64_t now_s, int64_t *ret_offset_s, GError **error);

#endif

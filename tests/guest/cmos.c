/* SPDX-License-Identifier: Apache-2.0 */
/* The real-time clock and its battery-backed bytes, as Linux uses them. */
#include "tests/guest/lib/cmos.h"
#include "tests/guest/lib/report.h"
#include "tests/guest/lib/start.h"
#include "tests/guest/lib/x86.h"

#define RTC_SECONDS    0x00
#define RTC_MINUTES    0x02
#define RTC_HOURS      0x04
#define RTC_DAY        0x07
#define RTC_MONTH      0x08
#define RTC_YEAR       0x09
#define RTC_A          0x0a
#define RTC_B          0x0b
#define RTC_D          0x0d
#define RTC_A_UPDATING 0x80
#define RTC_B_BINARY   0x04
#define RTC_B_24_HOURS 0x02
#define RTC_D_VALID    0x80
#define PATIENCE       40000000000ul

typedef struct Time {
    unsigned seconds, minutes, hours, day, month, year;
} Time;

static unsigned rtc_field(uint8_t index)
{
    uint8_t value = cmos_read(index);

    if (cmos_read(RTC_B) & RTC_B_BINARY) {
        return value;
    }
    return (value >> 4) * 10u + (value & 15);
}

static Time rtc_time(void)
{
    while (cmos_read(RTC_A) & RTC_A_UPDATING) {
        cpu_relax();
    }
    return (Time){rtc_field(RTC_SECONDS), rtc_field(RTC_MINUTES), rtc_field(RTC_HOURS),
                  rtc_field(RTC_DAY),     rtc_field(RTC_MONTH),   rtc_field(RTC_YEAR)};
}

/* Seconds since the start of the month; good enough for a test that lasts seconds. */
static unsigned long month_seconds(const Time *t)
{
    return ((t->day * 24ul + t->hours) * 60 + t->minutes) * 60 + t->seconds;
}

static uint64_t wait_for_next_second(void)
{
    uint64_t start = tsc_read();
    unsigned before = rtc_time().seconds;

    while (rtc_time().seconds == before && tsc_read() - start < PATIENCE) {
        cpu_relax();
    }
    report(rtc_time().seconds == (before + 1) % 60, "a second passes on the clock");
    return tsc_read();
}

void payload_main(void)
{
    Time before, after;
    uint64_t first, second;

    cmos_write(CMOS_SCRATCH, 0x5a);
    cmos_write(CMOS_SCRATCH + 1, 0xa5);
    report_equal(cmos_read(CMOS_SCRATCH), 0x5a, "a CMOS byte keeps what is written");
    report_equal(cmos_read(CMOS_SCRATCH + 1), 0xa5, "its neighbour keeps something else");
    report(cmos_read(RTC_D) & RTC_D_VALID, "the clock says that its time is valid");
    report(cmos_read(RTC_B) & RTC_B_24_HOURS, "the clock counts 24 hours");
    before = rtc_time();
    report(before.seconds < 60 && before.minutes < 60 && before.hours < 24 && before.day >= 1 &&
               before.day <= 31 && before.month >= 1 && before.month <= 12 && before.year < 100,
           "the time is one that exists: %02u-%02u-%02u %02u:%02u:%02u", before.year, before.month,
           before.day, before.hours, before.minutes, before.seconds);
    first = wait_for_next_second();
    second = wait_for_next_second();
    report_note("about %lu TSC cycles in a second", second - first);

    before = rtc_time();
    migrate_point();
    report_equal(cmos_read(CMOS_SCRATCH), 0x5a, "a CMOS byte survives the migrate point");
    after = rtc_time();
    report(month_seconds(&after) >= month_seconds(&before) || after.month != before.month,
           "the clock has not gone back");
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "util/trace.h"

#include "util/log.h"
#include "util/loop.h"

#include <inttypes.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Mutable and global, as the log that the lines go to. */
atomic_bool trace_switches[TRACE_COUNT];

typedef struct PointText {
    const char *name;
    const char *help;
} PointText;

#define POINT_TEXT(name, help) {#name, help},
static const PointText points[] = {TRACE_POINTS(POINT_TEXT)};

void trace_write(TracePoint point, const char *fmt, ...)
{
    int64_t now_us = loop_now_ns() / 1000;
    g_autofree char *text = NULL;
    va_list ap;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    log_trace("%" PRId64 ".%06" PRId64 " [%ld] %s %s", now_us / 1000000, now_us % 1000000,
              syscall(SYS_gettid), points[point].name, text);
}

const char *trace_name(TracePoint point)
{
    return points[point].name;
}

const char *trace_help(TracePoint point)
{
    return points[point].help;
}

bool trace_get(TracePoint point)
{
    return atomic_load(&trace_switches[point]);
}

void trace_set(TracePoint point, bool on)
{
    atomic_store(&trace_switches[point], on);
}

bool trace_matches(TracePoint point, const char *pattern)
{
    return g_pattern_match_simple(pattern, points[point].name);
}

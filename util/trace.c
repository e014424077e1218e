/* SPDX-License-Identifier: Apache-2.0 */
#include "util/trace.h"

#include "util/log.h"
#include "util/loop.h"

#include <inttypes.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Mutable and global, as the log that the lines go to. */
atomic_bool trace_switches[TRACE_COUNT];

/* -1: they go to the log. */
static int trace_fd = -1;

typedef struct PointText {
    const char *name;
    const char *help;
} PointText;

#define POINT_TEXT(name, help) {#name, help},
static const PointText points[] = {TRACE_POINTS(POINT_TEXT)};

void trace_init(int fd)
{
    trace_fd = fd;
}

void trace_write(TracePoint point, const char *fmt, ...)
{
    int64_t now_us = loop_now_ns() / 1000;
    g_autofree char *text = NULL;
    g_autofree char *line = NULL;
    va_list ap;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    line = g_strdup_printf("%" PRId64 ".%06" PRId64 " [%ld] %s %s\n", now_us / 1000000,
                           now_us % 1000000, syscall(SYS_gettid), points[point].name, text);
    if (trace_fd < 0) {
        log_trace("%.*s", (int)strlen(line) - 1, line);
    } else if (write(trace_fd, line, strlen(line)) < 0) {
        return; /* nowhere to complain */
    }
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

bool trace_is_known(const char *pattern)
{
    bool known = strpbrk(pattern, "*?") != NULL;

    for (unsigned i = 0; i < TRACE_COUNT && !known; i++) {
        known = strcmp(points[i].name, pattern) == 0;
    }
    return known;
}

bool trace_switch(const char *pattern, bool on)
{
    if (!trace_is_known(pattern)) {
        return false;
    }
    for (unsigned i = 0; i < TRACE_COUNT; i++) {
        if (trace_matches((TracePoint)i, pattern)) {
            trace_set((TracePoint)i, on);
        }
    }
    return true;
}

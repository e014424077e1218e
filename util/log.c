/* SPDX-License-Identifier: Apache-2.0 */
#include "util/log.h"

#include "util/loop.h"
#include "util/utc.h"

#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LIMIT_LINES_PER_SECOND 5
#define NS_PER_SECOND          INT64_C(1000000000)

static const char *const level_names[] = {
    [LOG_LEVEL_ERROR] = "error",
    [LOG_LEVEL_WARNING] = "warning",
    [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_DEBUG] = "debug",
};

/* The mutable globals of the house: where a line goes is a property of the process. */
static int log_fd = STDERR_FILENO;
static LogLevel log_level = LOG_LEVEL_WARNING;
static bool log_with_time = false;

void log_init(int fd, LogLevel level)
{
    log_fd = fd;
    log_level = level;
}

void log_show_time(bool on)
{
    log_with_time = on;
}

/* "2026-11-21T06:13:00.123456Z " or nothing. */
static void format_time(char *text, size_t size)
{
    struct timespec now;
    struct tm utc;
    size_t len = 0;

    text[0] = '\0';
    if (log_with_time) {
        clock_gettime(CLOCK_REALTIME, &now);
        utc_from_seconds(now.tv_sec, &utc);
        len = strftime(text, size, "%Y-%m-%dT%H:%M:%S", &utc);
        g_snprintf(text + len, size - len, ".%06ldZ ", now.tv_nsec / 1000);
    }
}

G_GNUC_PRINTF(2, 0)
static void write_line(const char *kind, const char *fmt, va_list ap)
{
    char when[64];

    format_time(when, sizeof(when));

    g_autofree char *text = g_strdup_vprintf(fmt, ap);
    g_autofree char *line = g_strdup_printf("%sstencil: %s: %s\n", when, kind, text);

    if (write(log_fd, line, strlen(line)) < 0) {
        return; /* nowhere left to complain */
    }
}

G_GNUC_PRINTF(2, 0)
static void log_write(LogLevel level, const char *fmt, va_list ap)
{
    if (level <= log_level) {
        write_line(level_names[level], fmt, ap);
    }
}

void log_trace(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    write_line("trace", fmt, ap);
    va_end(ap);
}

void log_line(LogLevel level, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    log_write(level, fmt, ap);
    va_end(ap);
}

void log_from_signal(const char *fmt, ...)
{
    static const char prefix[] = "stencil: error: ";
    char line[400];
    va_list ap;
    size_t len = sizeof(prefix) - 1;

    memcpy(line, prefix, len);
    va_start(ap, fmt);
    g_vsnprintf(line + len, (gulong)(sizeof(line) - len), fmt, ap);
    va_end(ap);
    len = strlen(line);
    line[len++] = '\n';
    if (write(log_fd, line, len) < 0) {
        return; /* nowhere left to complain */
    }
}

void log_limited(LogLimit *limit, LogLevel level, const char *fmt, ...)
{
    int64_t now = loop_now_ns();
    va_list ap;

    if (now - limit->window_start_ns >= NS_PER_SECOND) {
        if (limit->held_back > 0) {
            log_line(level, "%u more messages of this kind were held back", limit->held_back);
        }
        *limit = (LogLimit){.window_start_ns = now};
    }
    if (limit->lines >= LIMIT_LINES_PER_SECOND) {
        limit->held_back++;
        return;
    }
    limit->lines++;
    va_start(ap, fmt);
    log_write(level, fmt, ap);
    va_end(ap);
}

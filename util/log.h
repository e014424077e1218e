/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UTIL_LOG_H
#define UTIL_LOG_H

/*
 * Lines for the person at the console (-D FILE, else stderr).  Only main, qmp/ and threads with
 * nobody to return an error to write here; everything else returns a GError.
 */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum {
    LOG_LEVEL_ERROR,
    LOG_LEVEL_WARNING,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG,
} LogLevel;

/* Takes the descriptor; called once before threads start.  The default is stderr, warnings and up. */
void log_init(int fd, LogLevel level);

/* Each line begins with the time, UTC, to the microsecond.  As log_init. */
void log_show_time(bool on);

/* One line, one write(); any thread. */
void log_line(LogLevel level, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

/* The same from a signal handler: no allocation, no lock, one line of at most 400 bytes, no time. */
void log_from_signal(const char *fmt, ...) G_GNUC_PRINTF(1, 2);

/* A line of a tracepoint (util/trace.h): it was asked for, so no level holds it back. */
void log_trace(const char *fmt, ...) G_GNUC_PRINTF(1, 2);

/*
 * For what a guest can cause at will: a budget of lines a second, and a count of what was held
 * back.  Zero-initialised; each source of complaints has its own.
 */
typedef struct LogLimit {
    int64_t window_start_ns;
    unsigned lines;
    unsigned held_back;
} LogLimit;

/* Not thread-safe by itself: the owner of limit holds its own lock. */
void log_limited(LogLimit *limit, LogLevel level, const char *fmt, ...) G_GNUC_PRINTF(3, 4);

#endif

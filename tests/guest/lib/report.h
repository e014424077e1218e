/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a payload says and how it ends.
 *
 *     ok TEXT                   one line per report(); "not ok TEXT" when it does not hold
 *     note TEXT                 something worth reading, which decides nothing
 *     MIGRATE-POINT N           the payload waits for one byte on its serial input
 *     PASS n                    last line: all n reports held
 *     FAIL n of m               last line: n of m did not
 *     SKIP TEXT                 last line: this machine lacks what the payload needs
 *     CRASH TEXT                last line: an exception that nobody asked for
 *
 * and then the matching value goes to the debug-exit port, which ends the monitor with the status
 * (value << 1) | 1.  None of the four is 1, the status of a monitor that failed by itself:
 *
 *     PASS 33, FAIL 35, CRASH 37, SKIP 39
 */
#ifndef TESTS_GUEST_LIB_REPORT_H
#define TESTS_GUEST_LIB_REPORT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#define EXIT_PORT  0xf4
#define EXIT_PASS  0x10
#define EXIT_FAIL  0x11
#define EXIT_CRASH 0x12
#define EXIT_SKIP  0x13

/* Conversions: %s %c %d %u %x %p %%, with l, zero padding and width. */
__attribute__((format(printf, 1, 2))) void print(const char *format, ...);

/* True if the condition held, so that a payload can stop where going on makes no sense. */
__attribute__((format(printf, 2, 3))) bool report(bool condition, const char *format, ...);

/* As report(), and prints both numbers when they differ. */
bool report_equal(uint64_t actual, uint64_t expected, const char *text);

__attribute__((format(printf, 1, 2))) void report_note(const char *format, ...);

/* How many did not hold so far. */
unsigned report_failures(void);

/* Returning from payload_main() does the first; the others may be called anywhere. */
__attribute__((noreturn)) void report_finish(void);
__attribute__((noreturn)) void report_skip(const char *reason);
/* Also from inside another line: the console lock is broken. */
__attribute__((noreturn, format(printf, 1, 2))) void report_crash(const char *format, ...);

/*
 * Here the machine may be frozen and thawed, here or elsewhere, any number of times; the payload
 * goes on when a byte comes.  Returns that byte.  Interrupts stay as they are.
 */
uint8_t migrate_point(void);

/* Only announces; for payloads that must wait in code of their own. */
void migrate_point_announce(void);

#endif

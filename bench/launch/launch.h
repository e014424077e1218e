/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_LAUNCH_H
#define BENCH_LAUNCH_H

/*
 * The stopwatch of every start-up figure: it reads the clock, starts a program by vfork + exec, and
 * reads the clock again when the program has visibly got somewhere.  The clock runs outside the
 * program that is measured, so nothing that the program does can hide from it:
 *
 *     t0 --vfork,exec--> main ... --> the event of the case --> killed or exits --> reaped
 *      |<---------------- sample ------------->|<------------ teardown -------------->|
 *
 * A program may also report its own milestones on its standard output, one per line, as
 * `step NAME NANOSECONDS` (CLOCK_MONOTONIC); each becomes a figure measured from the one before.
 *
 * Plain libc and static: the stopwatch must run on any host, also inside an emulated one.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LAUNCH_STEPS_MAX 24
#define LAUNCH_CASES_MAX 16
#define LAUNCH_STEP_NAME 32

/* What ends a sample. */
typedef enum {
    UNTIL_BYTE,  /* the first byte on standard output; the program is then killed */
    UNTIL_STEPS, /* the same, but the program goes on to its end and its steps are read */
    UNTIL_TEXT,  /* standard output has shown a given text; the program is then killed */
    UNTIL_QMP,   /* a QMP greeting can be read from a given unix socket; then killed */
    UNTIL_EXIT,  /* the program has exited with status 0 and was reaped */
} Until;

/* A growing list of durations, in nanoseconds. */
typedef struct {
    uint64_t *ns;
    size_t count;
} Samples;

typedef struct {
    char name[LAUNCH_STEP_NAME];
    Samples samples;
} Step;

typedef struct {
    /* fixed after the command line was read */
    const char *name;
    Until until;
    const char *argument; /* text or socket path */
    char **argv;
    /* grows run by run */
    Samples total;
    Samples teardown;
    Step steps[LAUNCH_STEPS_MAX];
    size_t step_count;
    unsigned failures;
} Case;

uint64_t launch_now_ns(void);

bool samples_add(Samples *samples, uint64_t ns);

/* Runs the program of a case once.  With record false the run only warms caches up. */
void case_run(Case *run, int timeout_ms, bool record);

void report_table(const Case *cases, size_t count);
void report_json(const Case *cases, size_t count);

#endif

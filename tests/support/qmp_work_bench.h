/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_QMP_WORK_BENCH_H
#define TESTS_SUPPORT_QMP_WORK_BENCH_H

/*
 * A bench for commands that answer later: a session that tells the loop when it has something to
 * say, and a place for the file that a command writes.
 */

#include "tests/support/qmp_bench.h"

#define ANSWER_RETURN      "{\"return\": {}}\r\n"
#define ANSWER_ERROR(desc) "{\"error\": {\"class\": \"GenericError\", \"desc\": \"" desc "\"}}\r\n"
#define ASK_YANK           "{\"exec-oob\":\"yank\",\"arguments\":{\"instances\":[{\"type\":\"command\"}]}}"

typedef struct QmpWorkBench {
    QmpBench bench;
    QmpSession *session; /* NULL until qmp_work_bench_connect; a test may free it */
    char *folder;
    char *path; /* in folder; nothing is there yet, and in the end it is removed */
} QmpWorkBench;

/* prepare as in qmp_bench_begin. */
void qmp_work_bench_begin(QmpWorkBench *work, void (*prepare)(VmConfig *config));
void qmp_work_bench_end(QmpWorkBench *work);

/* The session, negotiated. */
void qmp_work_bench_connect(QmpWorkBench *work, bool oob);

/* command is answered like that, at once. */
void qmp_work_bench_expect(QmpWorkBench *work, const char *command, const char *answer);

/* Runs the loop until the session wants something, and adds what it then says. */
void qmp_work_bench_hear(QmpWorkBench *work, GString *said);

/* The same until there is a line; it must be answer. */
void qmp_work_bench_expect_later(QmpWorkBench *work, const char *answer);

/* Makes path a pipe; the end to read from.  It is full after 64 KiB and holds up who writes more. */
int qmp_work_bench_open_pipe(QmpWorkBench *work);

/* Reads size bytes from that end, waiting for them; the caller frees them. */
uint8_t *qmp_work_bench_read_pipe(int fd, size_t size);

#endif

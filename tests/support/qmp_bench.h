/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_QMP_BENCH_H
#define TESTS_SUPPORT_QMP_BENCH_H

/* A QMP server over a VM that has no processor worth the name, and sessions without sockets. */

#include "machine/vm.h"
#include "qmp/server.h"
#include "qmp/session.h"

typedef struct QmpBench {
    VmConfig *config;
    Loop *loop;
    QmpServer *server;
    Vm *vm;
} QmpBench;

/* -machine none -accel qtest.  prepare may be NULL; it may change the configuration first. */
void qmp_bench_begin(QmpBench *bench, void (*prepare)(VmConfig *config));
void qmp_bench_end(QmpBench *bench);

/* Runs what waits on the loop, until nothing does. */
void qmp_bench_settle(QmpBench *bench);

/* A session whose greeting has been read. */
QmpSession *qmp_bench_session(QmpBench *bench, bool negotiated, bool oob);

/* Everything that the session wants to send, which thereby is sent; the caller frees it. */
char *qmp_bench_read(QmpSession *session);

/* Sends text in pieces of that many bytes; what comes back, the caller frees it. */
char *qmp_bench_talk(QmpSession *session, const char *data, size_t len, size_t piece);
char *qmp_bench_ask(QmpSession *session, const char *text);

#endif

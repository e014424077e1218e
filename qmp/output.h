/* SPDX-License-Identifier: Apache-2.0 */
#ifndef QMP_OUTPUT_H
#define QMP_OUTPUT_H

/*
 * A file that a command writes for a client.  It is O_NONBLOCK, so that nobody waits for the reader
 * of a pipe: qmp_work_write (work.h) is how it is written.  A command that fails leaves no file
 * behind that was not there before.
 */

#include "qmp/reply.h"

typedef struct QmpOutput {
    int fd;
    char *name;   /* for errors */
    bool created; /* by us */
} QmpOutput;

/* A path, or /dev/fdset/N. */
bool qmp_output_open(const QmpCall *call, const char *path, QmpOutput *ret_output, GError **error);

/* The loop's thread.  keep: all of it is in there. */
void qmp_output_close(QmpOutput *output, bool keep);

#endif

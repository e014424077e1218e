/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_TRACING_H
#define MACHINE_TRACING_H

/* What -trace asks for, from the start of the process on (util/trace.h says what it is). */

#include "machine/config.h"

/*
 * After the log was opened, before threads start: opens the file that lines go to and switches the
 * tracepoints, in the order of the command line.
 */
bool tracing_begin(const VmConfig *config, GError **error);

#endif

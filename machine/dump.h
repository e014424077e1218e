/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_DUMP_H
#define MACHINE_DUMP_H

/* What -dump-state and -dump-vmstate print: JSON, with a line end.  The caller frees. */

#include <glib.h>

/* path is a template's folder or a state file. */
char *dump_state(const char *path, GError **error);

/* The tables of everything that this build saves, by name. */
char *dump_vmstate(void);

#endif

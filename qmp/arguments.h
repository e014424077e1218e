/* SPDX-License-Identifier: Apache-2.0 */
#ifndef QMP_ARGUMENTS_H
#define QMP_ARGUMENTS_H

/*
 * Reads a request's arguments into a command's C struct, by the tables that the schema became.
 * An error names the parameter by its path ("channels[0].addr.offset"), the type that was expected
 * and what came.
 */

#include "qmp/schema.h"

#include <glib.h>

/* What the lists in a struct point to, and the struct itself; strings are the request's. */
typedef struct QmpArguments {
    void *value;
    GPtrArray *owned;
} QmpArguments;

/* object may be NULL: no arguments were given. */
bool qmp_arguments_read(QmpArguments *arguments, const QmpType *type, json_object *object,
                        GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Also after a failed read. */
void qmp_arguments_clear(QmpArguments *arguments);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(QmpArguments, qmp_arguments_clear)

#endif

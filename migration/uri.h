/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MIGRATION_URI_H
#define MIGRATION_URI_H

/* Where a save goes to, or a load comes from: "file:/srv/template". */

#include <glib.h>
#include <stdbool.h>

typedef enum {
    MIGRATION_URI_TEMPLATE, /* file:DIR, a folder with state and memory */
} MigrationUriKind;

typedef struct MigrationUri {
    MigrationUriKind kind;
    const char *path; /* into the text that was parsed */
} MigrationUri;

bool migration_uri_parse(const char *text, MigrationUri *ret_uri, GError **error);

#endif

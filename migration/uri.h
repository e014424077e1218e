/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MIGRATION_URI_H
#define MIGRATION_URI_H

/*
 * Where a save goes to, or a load comes from.
 *
 *     file:/srv/template           a template's folder
 *     file:/srv/vm.stream          a stream in a file
 *     file:/srv/vm,offset=4096     the same, behind what else is in it
 *     fd:7, fd:NAME                a stream through a descriptor
 *     exec:zstd -dc vm.zst         a stream through a command of the shell's
 */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum {
    MIGRATION_URI_FILE,
    MIGRATION_URI_FD,
    MIGRATION_URI_EXEC,
} MigrationUriKind;

typedef struct MigrationUri {
    MigrationUriKind kind;
    char *text;      /* the path, the descriptor or the command */
    bool has_offset; /* of a file */
    uint64_t offset;
} MigrationUri;

/* NULL with an error for what is none of them. */
MigrationUri *migration_uri_parse(const char *text, GError **error);
void migration_uri_free(MigrationUri *uri); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MigrationUri, migration_uri_free)

/*
 * Does it name a folder, rather than a stream?  A directory always is one, and so is what ends in
 * a slash.  What is there and is none, or has an offset, is a stream; and what is not there is to
 * become one if single_file says so, else a folder.
 */
bool migration_uri_is_folder(const MigrationUri *uri, bool single_file);

#endif

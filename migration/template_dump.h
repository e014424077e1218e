/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MIGRATION_TEMPLATE_DUMP_H
#define MIGRATION_TEMPLATE_DUMP_H

/* A template's state for people and scripts to look into; needs no VM and none of its devices. */

#include <glib.h>

struct json_object;

/* path is a template's folder, a state file, or a file with a stream.  The caller owns the result. */
struct json_object *template_dump(const char *path, GError **error);

#endif

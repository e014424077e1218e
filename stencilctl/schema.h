/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STENCILCTL_SCHEMA_H
#define STENCILCTL_SCHEMA_H

/*
 * What query-qmp-schema told: commands, what they take, and the words of enumerations.  A VM
 * without that command has an empty schema, which knows nothing and is no error.
 */

#include "stencilctl/call.h"

#include <glib.h>

typedef struct Schema Schema;

Status schema_load(const Call *call, Schema **ret_schema);
void schema_free(Schema *schema); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Schema, schema_free)

/* Calls visit with the name of each command. */
typedef void (*SchemaNameFn)(void *opaque, const char *name);
void schema_each_command(const Schema *schema, SchemaNameFn visit, void *opaque);

bool schema_has_command(const Schema *schema, const char *name);

/* The type of what command takes or returns; NULL if it is not known. */
const char *schema_arguments(const Schema *schema, const char *command);
const char *schema_result(const Schema *schema, const char *command);

/* Calls visit with the name of each member of an object type. */
void schema_each_member(const Schema *schema, const char *type, SchemaNameFn visit, void *opaque);

/* The type of the member at "a.b" in an object type; NULL if there is none. */
const char *schema_member(const Schema *schema, const char *type, const char *path);
bool schema_is_optional(const Schema *schema, const char *type, const char *member);

/* Calls visit with each word that a value of the type can be: an enumeration's, or true and false. */
void schema_each_word(const Schema *schema, const char *type, SchemaNameFn visit, void *opaque);

/* Strings and enumerations: what need not look like JSON. */
bool schema_is_text(const Schema *schema, const char *type);

/* How people call the type: "string", "int", "a|b|c", "list of ..."; newly allocated. */
char *schema_describe(const Schema *schema, const char *type);

#endif

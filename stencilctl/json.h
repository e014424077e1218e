/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STENCILCTL_JSON_H
#define STENCILCTL_JSON_H

/*
 * JSON values that free themselves, and looking into what a server sent, which need not have the
 * shape that one hopes for: every reader accepts NULL and every other type.
 */

#include <glib.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

static inline void json_value_free(json_object *value)
{
    json_object_put(value);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(json_object, json_value_free)

/* What is at "a.b.c" in objects within objects, borrowed; NULL if anything on the way is missing. */
json_object *json_at(json_object *value, const char *path);

/* The string there, borrowed; NULL if there is none. */
const char *json_text_at(json_object *value, const char *path);

/* The number there, 0 if there is none or it is negative. */
uint64_t json_uint_at(json_object *value, const char *path);

/* The elements of an array; 0 and NULL for anything else. */
size_t json_count(json_object *array);
json_object *json_item(json_object *array, size_t index);

#endif

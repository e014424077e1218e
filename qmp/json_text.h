/* SPDX-License-Identifier: Apache-2.0 */
#ifndef QMP_JSON_TEXT_H
#define QMP_JSON_TEXT_H

/*
 * JSON as it stands on the wire: the encoding of characters, and values as text.
 *
 * Strings inside the house are modified UTF-8: as on the wire, but U+0000 is the two bytes C0 80,
 * so that a C string holds whatever a client sent and "quit\u0000" is not "quit".
 */

#include <glib.h>
#include <json-c/json_object.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC(json_object, json_object_put)

/*
 * The character at text, which has at least one byte, and how many bytes it takes.  Anything that
 * is no character (broken, overlong, a surrogate, a noncharacter) gives -1 and what to skip.
 */
int32_t json_decode_char(const char *text, size_t len, size_t *ret_used);

/* True for what a JSON string may hold: a Unicode scalar value that is no noncharacter. */
bool json_is_char(uint32_t c);

/*
 * Appends value, in ASCII.  On one line with a space behind ':' and ','; pretty: four spaces a
 * level and CRLF between lines.
 */
void json_append(GString *out, json_object *value, bool pretty);
void json_append_string(GString *out, const char *text);

#endif

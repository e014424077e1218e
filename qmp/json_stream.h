/* SPDX-License-Identifier: Apache-2.0 */
#ifndef QMP_JSON_STREAM_H
#define QMP_JSON_STREAM_H

/*
 * A stream of JSON values from a client that is not to be trusted.
 *
 *     bytes --lexer--> tokens --until the brackets are even--> one value, or one error
 *
 * Values need nothing between them and may arrive in any pieces.  What is accepted, what each
 * mistake is called and where reading goes on after it are QEMU's, case by case: a client that
 * speaks to QEMU sees no difference.  (A tokener of a library could not do this: QMP takes strings
 * in single quotes but no comments, refuses a key that comes twice, and echoes numbers exactly;
 * docs/decisions/0006-qmp-json.md.)
 *
 * After a byte that belongs to no token the rest is skipped up to a bracket, ',', ':', a control
 * character or one of the bytes FE and FF; the last two are how a client in doubt resynchronizes.
 */

#include <glib.h>
#include <json-c/json_object.h>
#include <stddef.h>

/* Of one value: bytes of tokens, tokens, brackets in brackets. */
#define JSON_STREAM_MAX_BYTES  (64U << 20)
#define JSON_STREAM_MAX_TOKENS (2U << 20)
#define JSON_STREAM_MAX_DEPTH  1024U

typedef struct JsonStream JsonStream;

typedef enum JsonStreamResult {
    JSON_STREAM_MORE,  /* all bytes are used up and there is no value yet */
    JSON_STREAM_VALUE, /* *ret_value is the caller's; NULL is JSON's null */
    JSON_STREAM_ERROR, /* the caller goes on reading */
} JsonStreamResult;

JsonStream *json_stream_new(void);
void json_stream_free(JsonStream *stream); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(JsonStream, json_stream_free)

/* Reads up to the end of one value or one error, and says how much of data that took. */
JsonStreamResult json_stream_read(JsonStream *stream, const char *data, size_t len,
                                  size_t *ret_used, json_object **ret_value, GError **error);

/* How much of a value that is not complete is kept. */
size_t json_stream_pending(const JsonStream *stream);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef QMP_JSON_STREAM_PRIVATE_H
#define QMP_JSON_STREAM_PRIVATE_H

/* What the lexer (json_stream.c) hands to the parser (json_parse.c). */

#include <glib.h>
#include <json-c/json_object.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A punctuation character is its own type. */
typedef enum JsonTokenType {
    JSON_TOKEN_KEYWORD = 'k',
    JSON_TOKEN_NUMBER = 'n',
    JSON_TOKEN_STRING = 's', /* with its quotes and escapes */
} JsonTokenType;

typedef struct JsonToken {
    char type;
    uint32_t offset;
    uint32_t len;
} JsonToken;

/* One value from its tokens, whose offsets count from text.  count is at least 1. */
bool json_parse_tokens(const char *text, const JsonToken *tokens, size_t count,
                       json_object **ret_value, GError **error);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Recursive descent over tokens; the lexer has bounded how deep that can go. */
#include "qmp/json_stream_private.h"
#include "qmp/json_text.h"
#include "util/error.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Parser {
    const char *text;
    const JsonToken *next;
    const JsonToken *end;
} Parser;

static bool parse_value(Parser *p, json_object **ret_value, GError **error);

static bool bad(GError **error, const char *what)
{
    return fail(error, VMM_ERROR_WIRE, "JSON parse error, %s", what);
}

static bool take(Parser *p, char type)
{
    if (p->next == p->end || p->next->type != type) {
        return false;
    }
    p->next++;
    return true;
}

/* ---- strings ---- */

/* Four hexadecimal digits, or -1. */
static int32_t parse_hex(const char *text, const char *end)
{
    int32_t value = 0;

    for (int i = 0; i < 4; i++) {
        if (text + i >= end || !g_ascii_isxdigit(text[i])) {
            return -1;
        }
        value = value << 4 | g_ascii_xdigit_value(text[i]);
    }
    return value;
}

static void append_char(GString *out, uint32_t c)
{
    if (c == 0) {
        g_string_append_len(out, "\xC0\x80", 2);
    } else {
        g_string_append_unichar(out, c);
    }
}

/* text is behind "\u".  Returns what is behind the escape, or NULL. */
static const char *parse_unicode(GString *out, const char *text, const char *end, GError **error)
{
    int32_t first = parse_hex(text, end);
    int32_t second = -1;

    if (first >= 0xD800 && first <= 0xDBFF && end - text >= 6 && text[4] == '\\' &&
        text[5] == 'u') {
        second = parse_hex(text + 6, end);
    }
    if (second >= 0xDC00 && second <= 0xDFFF) {
        uint32_t c = 0x10000 + (((uint32_t)first & 0x3FF) << 10) + ((uint32_t)second & 0x3FF);

        if (json_is_char(c)) {
            append_char(out, c);
            return text + 10;
        }
    } else if (first >= 0 && json_is_char((uint32_t)first)) {
        append_char(out, (uint32_t)first);
        return text + 4;
    }
    return fail_null(error, VMM_ERROR_WIRE,
                     "JSON parse error, \\u%.*s is not a valid Unicode character",
                     (int)MIN(4, end + 1 - text), text);
}

/* text is behind the backslash.  Returns what is behind the escape, or NULL. */
static const char *parse_escape(GString *out, const char *text, const char *end, GError **error)
{
    static const char plain[] = "\"'\\/bfnrt";
    static const char meant[] = "\"'\\/\b\f\n\r\t";
    const char *found = *text != '\0' ? strchr(plain, *text) : NULL;

    if (found) {
        g_string_append_c(out, meant[found - plain]);
        return text + 1;
    }
    if (*text == 'u') {
        return parse_unicode(out, text + 1, end, error);
    }
    bad(error, "invalid escape sequence in string");
    return NULL;
}

/* The token with its quotes; the lexer has made sure that no escape reaches the closing one. */
static char *parse_string(const char *text, size_t len, GError **error)
{
    g_autoptr(GString) out = g_string_sized_new(len);
    const char *end = text + len - 1;
    const char *at = text + 1;

    while (at < end) {
        size_t used = 1;

        if (*at == '\\') {
            at = parse_escape(out, at + 1, end, error);
            if (!at) {
                return NULL;
            }
            continue;
        }
        if (json_decode_char(at, (size_t)(end - at), &used) < 0) {
            bad(error, "invalid UTF-8 sequence in string");
            return NULL;
        }
        g_string_append_len(out, at, (gssize)used);
        at += used;
    }
    return g_string_free(g_steal_pointer(&out), /* free_segment= */ FALSE);
}

/* ---- scalars ---- */

static bool parse_number(const char *text, size_t len, json_object **ret_value, GError **error)
{
    g_autofree char *copy = g_strndup(text, len);
    double number;

    if (!strpbrk(copy, ".eE")) {
        errno = 0;
        if (copy[0] == '-') {
            *ret_value = json_object_new_int64(strtoll(copy, NULL, 10));
        } else {
            *ret_value = json_object_new_uint64(strtoull(copy, NULL, 10));
        }
        if (errno == 0) {
            return true;
        }
        json_object_put(g_steal_pointer(ret_value));
    }
    number = g_ascii_strtod(copy, NULL);
    if (!isfinite(number)) {
        return fail(error, VMM_ERROR_WIRE, "JSON parse error, number '%.40s' is out of range",
                    copy);
    }
    *ret_value = json_object_new_double(number);
    return true;
}

static bool parse_keyword(const char *text, size_t len, json_object **ret_value, GError **error)
{
    g_autofree char *word = g_strndup(text, len);

    if (strcmp(word, "true") == 0 || strcmp(word, "false") == 0) {
        *ret_value = json_object_new_boolean(word[0] == 't');
        return true;
    }
    if (strcmp(word, "null") == 0) {
        *ret_value = NULL;
        return true;
    }
    return fail(error, VMM_ERROR_WIRE, "JSON parse error, invalid keyword '%s'", word);
}

/* ---- objects and arrays ---- */

static bool parse_member(Parser *p, json_object *object, GError **error)
{
    g_autoptr(json_object) key = NULL;
    json_object *value = NULL;
    const char *name;

    if (!parse_value(p, &key, error)) {
        return false;
    }
    if (!json_object_is_type(key, json_type_string)) {
        return bad(error, "key is not a string in object");
    }
    if (!take(p, ':')) {
        return bad(error, "missing : in object pair");
    }
    if (!parse_value(p, &value, error)) {
        return false;
    }
    name = json_object_get_string(key);
    if (json_object_object_get_ex(object, name, NULL)) {
        json_object_put(value);
        return bad(error, "duplicate key");
    }
    json_object_object_add_ex(object, name, value, JSON_C_OBJECT_ADD_KEY_IS_NEW);
    return true;
}

static bool parse_object(Parser *p, json_object **ret_value, GError **error)
{
    g_autoptr(json_object) object = json_object_new_object();

    if (!take(p, '}')) {
        do {
            if (!parse_member(p, object, error)) {
                return false;
            }
        } while (take(p, ','));
        if (!take(p, '}')) {
            return bad(error, "expected separator in dict");
        }
    }
    *ret_value = g_steal_pointer(&object);
    return true;
}

static bool parse_array(Parser *p, json_object **ret_value, GError **error)
{
    g_autoptr(json_object) array = json_object_new_array();

    if (!take(p, ']')) {
        do {
            json_object *element = NULL;

            if (!parse_value(p, &element, error)) {
                return false;
            }
            json_object_array_add(array, element);
        } while (take(p, ','));
        if (!take(p, ']')) {
            return bad(error, "expected separator in list");
        }
    }
    *ret_value = g_steal_pointer(&array);
    return true;
}

static bool parse_value(Parser *p, json_object **ret_value, GError **error)
{
    const JsonToken *token = p->next;
    const char *text;

    if (token == p->end) {
        return bad(error, "premature EOI");
    }
    p->next++;
    text = p->text + token->offset;
    switch (token->type) {
    case '{':
        return parse_object(p, ret_value, error);
    case '[':
        return parse_array(p, ret_value, error);
    case JSON_TOKEN_KEYWORD:
        return parse_keyword(text, token->len, ret_value, error);
    case JSON_TOKEN_NUMBER:
        return parse_number(text, token->len, ret_value, error);
    case JSON_TOKEN_STRING: {
        g_autofree char *string = parse_string(text, token->len, error);

        *ret_value = string ? json_object_new_string(string) : NULL;
        return string != NULL;
    }
    default:
        return bad(error, "expecting value");
    }
}

bool json_parse_tokens(const char *text, const JsonToken *tokens, size_t count,
                       json_object **ret_value, GError **error)
{
    Parser parser = {.text = text, .next = tokens, .end = tokens + count};

    return parse_value(&parser, ret_value, error);
}

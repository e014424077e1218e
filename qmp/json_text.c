/* SPDX-License-Identifier: Apache-2.0 */
#include "qmp/json_text.h"

#include <json-c/json.h>
#include <string.h>

#define INDENT 4

bool json_is_char(uint32_t c)
{
    bool surrogate = c >= 0xD800 && c <= 0xDFFF;
    bool noncharacter = (c >= 0xFDD0 && c <= 0xFDEF) || (c & 0xFFFE) == 0xFFFE;

    return c <= 0x10FFFF && !surrogate && !noncharacter;
}

/* How many bytes follow the first one of a character; -1 if it cannot be a first one. */
static int bytes_to_follow(uint8_t first)
{
    if (first < 0x80) {
        return 0;
    }
    if (first < 0xC0) {
        return -1;
    }
    if (first < 0xE0) {
        return 1;
    }
    if (first < 0xF0) {
        return 2;
    }
    return first < 0xF8 ? 3 : -1;
}

int32_t json_decode_char(const char *text, size_t len, size_t *ret_used)
{
    static const uint32_t smallest[] = {0, 0x80, 0x800, 0x10000};
    uint8_t first = (uint8_t)text[0];
    int follow = bytes_to_follow(first);
    uint32_t c = first;
    size_t used = 1;

    *ret_used = 1;
    if (follow <= 0) {
        return follow < 0 ? -1 : (int32_t)c;
    }
    c = first & (0x3FU >> follow);
    while (used < len && used <= (size_t)follow && ((uint8_t)text[used] & 0xC0) == 0x80) {
        c = c << 6 | ((uint8_t)text[used] & 0x3FU);
        used++;
    }
    *ret_used = used;
    if (used <= (size_t)follow) {
        return -1;
    }
    if (c == 0 && follow == 1) {
        return 0;
    }
    return c >= smallest[follow] && json_is_char(c) ? (int32_t)c : -1;
}

/* ---- writing ---- */

static void append_escaped(GString *out, uint32_t c)
{
    static const char shorthand[][2] = {{'"', '"'},  {'\\', '\\'}, {'\b', 'b'}, {'\f', 'f'},
                                        {'\n', 'n'}, {'\r', 'r'},  {'\t', 't'}};

    for (size_t i = 0; i < G_N_ELEMENTS(shorthand); i++) {
        if (c == (uint32_t)shorthand[i][0]) {
            g_string_append_c(out, '\\');
            g_string_append_c(out, shorthand[i][1]);
            return;
        }
    }
    if (c > 0xFFFF) {
        c -= 0x10000;
        g_string_append_printf(out, "\\u%04X\\u%04X", 0xD800 + (c >> 10), 0xDC00 + (c & 0x3FF));
    } else {
        g_string_append_printf(out, "\\u%04X", c);
    }
}

static bool is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x7F && c != '"' && c != '\\';
}

void json_append_string(GString *out, const char *text)
{
    size_t len = strlen(text);
    size_t i = 0;

    g_string_append_c(out, '"');
    while (i < len) {
        size_t run = i;
        size_t used;
        int32_t c;

        while (run < len && is_plain((uint8_t)text[run])) {
            run++;
        }
        g_string_append_len(out, text + i, (gssize)(run - i));
        i = run;
        if (i < len) {
            c = json_decode_char(text + i, len - i, &used);
            append_escaped(out, c >= 0 ? (uint32_t)c : 0xFFFD);
            i += used;
        }
    }
    g_string_append_c(out, '"');
}

static void append_integer(GString *out, json_object *value)
{
    int64_t number = json_object_get_int64(value);

    /* json-c answers with the nearest int64_t; only then can the value be larger. */
    if (number == INT64_MAX) {
        g_string_append_printf(out, "%" PRIu64, json_object_get_uint64(value));
    } else {
        g_string_append_printf(out, "%" PRId64, number);
    }
}

static void append_newline(GString *out, bool pretty, unsigned level)
{
    if (pretty) {
        g_string_append_printf(out, "\r\n%*s", (int)(level * INDENT), "");
    }
}

static void append_value(GString *out, json_object *value, bool pretty, unsigned level);

static void append_array(GString *out, json_object *array, bool pretty, unsigned level)
{
    size_t count = json_object_array_length(array);

    g_string_append_c(out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            g_string_append(out, pretty ? "," : ", ");
        }
        append_newline(out, pretty, level + 1);
        append_value(out, json_object_array_get_idx(array, i), pretty, level + 1);
    }
    append_newline(out, pretty, level);
    g_string_append_c(out, ']');
}

static void append_object(GString *out, json_object *object, bool pretty, unsigned level)
{
    bool first = true;

    g_string_append_c(out, '{');
    for (struct json_object_iterator i = json_object_iter_begin(object),
                                     end = json_object_iter_end(object);
         !json_object_iter_equal(&i, &end); json_object_iter_next(&i)) {
        if (!first) {
            g_string_append(out, pretty ? "," : ", ");
        }
        first = false;
        append_newline(out, pretty, level + 1);
        json_append_string(out, json_object_iter_peek_name(&i));
        g_string_append(out, ": ");
        append_value(out, json_object_iter_peek_value(&i), pretty, level + 1);
    }
    append_newline(out, pretty, level);
    g_string_append_c(out, '}');
}

static void append_value(GString *out, json_object *value, bool pretty, unsigned level)
{
    switch (json_object_get_type(value)) {
    case json_type_null:
        g_string_append(out, "null");
        break;
    case json_type_boolean:
        g_string_append(out, json_object_get_boolean(value) ? "true" : "false");
        break;
    case json_type_double:
        /* 17 digits say which double it is, whatever it is. */
        g_string_append_printf(out, "%.17g", json_object_get_double(value));
        break;
    case json_type_int:
        append_integer(out, value);
        break;
    case json_type_string:
        json_append_string(out, json_object_get_string(value));
        break;
    case json_type_array:
        append_array(out, value, pretty, level);
        break;
    case json_type_object:
        append_object(out, value, pretty, level);
        break;
    }
}

void json_append(GString *out, json_object *value, bool pretty)
{
    append_value(out, value, pretty, 0);
}

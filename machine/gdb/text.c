/* SPDX-License-Identifier: Apache-2.0 */
/* The few ways in which packets spell things. */
#include "machine/gdb/private.h"

bool gdb_parse_hex(const char **cursor, uint64_t *ret_value)
{
    const char *at = *cursor;
    uint64_t value = 0;
    unsigned digits = 0;

    for (; g_ascii_isxdigit(*at); at++) {
        value = value << 4 | (uint64_t)g_ascii_xdigit_value(*at);
        if (++digits > 2 * sizeof(value)) {
            return false;
        }
    }
    if (digits == 0) {
        return false;
    }
    *cursor = at;
    *ret_value = value;
    return true;
}

bool gdb_parse_hex_until(const char **cursor, char separator, uint64_t *ret_value)
{
    if (!gdb_parse_hex(cursor, ret_value) || **cursor != separator) {
        return false;
    }
    *cursor += separator != '\0';
    return true;
}

void gdb_append_hex(GString *text, const uint8_t *data, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    size_t at = text->len;

    g_string_set_size(text, at + 2 * len);
    for (size_t i = 0; i < len; i++) {
        text->str[at + 2 * i] = digits[data[i] >> 4];
        text->str[at + 2 * i + 1] = digits[data[i] & 15];
    }
}

bool gdb_parse_bytes(const char *text, uint8_t *ret_data, size_t len)
{
    for (size_t i = 0; i < len; i++, text += 2) {
        if (!g_ascii_isxdigit(text[0]) || !g_ascii_isxdigit(text[1])) {
            return false;
        }
        ret_data[i] = (uint8_t)(g_ascii_xdigit_value(text[0]) << 4 | g_ascii_xdigit_value(text[1]));
    }
    return *text == '\0';
}

bool gdb_parse_thread(const GdbStub *stub, const char **cursor, int *ret_index)
{
    uint64_t number;

    if (g_str_has_prefix(*cursor, "-1")) {
        *cursor += 2;
        *ret_index = -1;
        return true;
    }
    if (!gdb_parse_hex(cursor, &number) || number > stub->num_cpus) {
        return false;
    }
    *ret_index = number > 0 ? (int)number - 1 : (int)stub->current;
    return true;
}

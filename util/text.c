/* SPDX-License-Identifier: Apache-2.0 */
/*
 * By hand rather than by strtoull and sscanf: those skip blanks, take signs, know the locale and
 * leave it to the caller to find out where they stopped.
 */
#include "util/text.h"

#include "util/bytes.h"

#include <string.h>

#define ID_MAX_LENGTH 255

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Reads digits of base, at least one, up to the first character that is none. */
static bool scan_digits(const char **cursor, unsigned base, uint64_t *ret_value)
{
    const char *pos = *cursor;
    uint64_t value = 0;

    for (;; pos++) {
        int digit = base == 16 ? g_ascii_xdigit_value(*pos) : g_ascii_digit_value(*pos);

        if (digit < 0) {
            break;
        }
        if (!checked_mul(value, base, &value) || !checked_add(value, (uint64_t)digit, &value)) {
            return false;
        }
    }
    if (pos == *cursor) {
        return false;
    }
    *cursor = pos;
    *ret_value = value;
    return true;
}

bool text_parse_uint(const char *text, uint64_t *ret_value)
{
    bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    const char *cursor = hex ? text + 2 : text;
    uint64_t value;

    if (!scan_digits(&cursor, hex ? 16 : 10, &value) || *cursor != '\0') {
        return false;
    }
    *ret_value = value;
    return true;
}

/* The unit that a size's last letter names, 0 if there is no such unit. */
static uint64_t size_suffix(char letter)
{
    static const char suffixes[] = "bkmgtpe";
    const char *at = letter ? strchr(suffixes, g_ascii_tolower(letter)) : NULL;

    return at ? UINT64_C(1) << (10 * (unsigned)(at - suffixes)) : 0;
}

/* The value of ".25" times unit, rounded down; digits past the ninth change nothing. */
static uint64_t scan_fraction(const char **cursor, uint64_t unit)
{
    uint64_t digits = 0;
    uint64_t scale = 1;

    for (; is_digit(**cursor); (*cursor)++) {
        if (scale < 1000000000) {
            digits = digits * 10 + (uint64_t)(**cursor - '0');
            scale *= 10;
        }
    }
    return unit / scale * digits + unit % scale * digits / scale;
}

static bool parse_decimal_size(const char *text, uint64_t unit, uint64_t *ret_bytes)
{
    const char *cursor = text;
    const char *fraction;
    uint64_t whole;
    uint64_t bytes;

    if (!scan_digits(&cursor, 10, &whole)) {
        return false;
    }
    fraction = cursor;
    if (*cursor == '.') {
        cursor++;
        if (!is_digit(*cursor)) {
            return false;
        }
        while (is_digit(*cursor)) {
            cursor++;
        }
    }
    if (*cursor != '\0') {
        unit = size_suffix(*cursor);
        cursor++;
        if (unit == 0 || *cursor != '\0') {
            return false;
        }
    }
    if (!checked_mul(whole, unit, &bytes)) {
        return false;
    }
    if (*fraction == '.') {
        fraction++;
        if (!checked_add(bytes, scan_fraction(&fraction, unit), &bytes)) {
            return false;
        }
    }
    *ret_bytes = bytes;
    return true;
}

bool text_parse_size(const char *text, uint64_t unit, uint64_t *ret_bytes)
{
    uint64_t value;

    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        if (!text_parse_uint(text, &value) || !checked_mul(value, unit, &value)) {
            return false;
        }
        *ret_bytes = value;
        return true;
    }
    return parse_decimal_size(text, unit, ret_bytes);
}

char *text_format_size(uint64_t bytes)
{
    static const char suffixes[] = "\0KMGTPE";
    unsigned step = 0;

    while (bytes != 0 && bytes % 1024 == 0 && suffixes[step + 1] != '\0') {
        bytes /= 1024;
        step++;
    }
    if (step == 0) {
        return g_strdup_printf("%" G_GUINT64_FORMAT, bytes);
    }
    return g_strdup_printf("%" G_GUINT64_FORMAT "%c", bytes, suffixes[step]);
}

bool text_parse_bool(const char *text, bool *ret_value)
{
    static const struct {
        const char *word;
        bool value;
    } words[] = {
        {"on", true},   {"off", false},   {"yes", true}, {"no", false},
        {"true", true}, {"false", false}, {"y", true},   {"n", false},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        if (strcmp(text, words[i].word) == 0) {
            *ret_value = words[i].value;
            return true;
        }
    }
    return false;
}

bool text_parse_set(const char *text, unsigned limit, uint64_t *bits)
{
    const char *cursor = text;

    for (;;) {
        uint64_t first;
        uint64_t last;

        if (!scan_digits(&cursor, 10, &first)) {
            return false;
        }
        last = first;
        if (*cursor == '-') {
            cursor++;
            if (!scan_digits(&cursor, 10, &last)) {
                return false;
            }
        }
        if (first > last || last >= limit) {
            return false;
        }
        for (uint64_t i = first; i <= last; i++) {
            bits[i / 64] |= UINT64_C(1) << (i % 64);
        }
        if (*cursor == '\0') {
            return true;
        }
        if (*cursor != ':') {
            return false;
        }
        cursor++;
    }
}

static bool set_has(const uint64_t *bits, unsigned i)
{
    return bits[i / 64] >> (i % 64) & 1;
}

char *text_format_set(const uint64_t *bits, unsigned limit)
{
    GString *text = g_string_new(NULL);

    for (unsigned i = 0; i < limit; i++) {
        unsigned first = i;

        if (!set_has(bits, i)) {
            continue;
        }
        while (i + 1 < limit && set_has(bits, i + 1)) {
            i++;
        }
        g_string_append_printf(text, "%s%u", text->len > 0 ? ":" : "", first);
        if (i > first) {
            g_string_append_printf(text, "-%u", i);
        }
    }
    return g_string_free(text, /* free_segment= */ FALSE);
}

/* Two hexadecimal digits, or -1. */
static int parse_byte(const char *text)
{
    int high = g_ascii_xdigit_value(text[0]);
    int low = high < 0 ? -1 : g_ascii_xdigit_value(text[1]);

    return low < 0 ? -1 : high * 16 + low;
}

bool text_parse_mac(const char *text, uint8_t ret_mac[6])
{
    char separator;
    uint8_t mac[6];

    if (strlen(text) != 17) {
        return false;
    }
    separator = text[2];
    if (separator != ':' && separator != '-') {
        return false;
    }
    for (unsigned i = 0; i < 6; i++) {
        int byte = parse_byte(text + (size_t)3 * i);

        if (byte < 0 || (i > 0 && text[3 * i - 1] != separator)) {
            return false;
        }
        mac[i] = (uint8_t)byte;
    }
    memcpy(ret_mac, mac, sizeof(mac));
    return true;
}

/* A hyphen stands before these bytes of a written UUID. */
static bool uuid_has_hyphen_before(unsigned byte)
{
    return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

bool text_parse_uuid(const char *text, uint8_t ret_uuid[16])
{
    uint8_t uuid[16];

    for (unsigned i = 0; i < sizeof(uuid); i++) {
        if (uuid_has_hyphen_before(i)) {
            if (*text != '-') {
                return false;
            }
            text++;
        }

        int byte = parse_byte(text);

        if (byte < 0) {
            return false;
        }
        uuid[i] = (uint8_t)byte;
        text += 2;
    }
    if (*text != '\0') {
        return false;
    }
    memcpy(ret_uuid, uuid, sizeof(uuid));
    return true;
}

void text_format_uuid(const uint8_t uuid[16], char ret_text[TEXT_UUID_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    char *pos = ret_text;

    for (unsigned i = 0; i < 16; i++) {
        if (uuid_has_hyphen_before(i)) {
            *pos++ = '-';
        }
        *pos++ = digits[uuid[i] >> 4];
        *pos++ = digits[uuid[i] & 15];
    }
    *pos = '\0';
}

bool text_is_id(const char *text)
{
    size_t len = strlen(text);

    if (!g_ascii_isalpha(text[0]) || len > ID_MAX_LENGTH) {
        return false;
    }
    for (size_t i = 1; i < len; i++) {
        if (!g_ascii_isalnum(text[i]) && !strchr("-._", text[i])) {
            return false;
        }
    }
    return true;
}

char *text_next_field(const char **cursor)
{
    const char *pos = *cursor;
    char *field;
    size_t len = 0;

    if (*pos == '\0') {
        return NULL;
    }
    field = g_malloc(strlen(pos) + 1);
    while (*pos != '\0') {
        if (*pos == ',') {
            pos++;
            if (*pos != ',') {
                break;
            }
        }
        field[len++] = *pos++;
    }
    field[len] = '\0';
    *cursor = pos;
    return field;
}

#define NEAREST_MAX_LENGTH 48

/*
 * The slips between two words (a letter missing, too many, wrong, or two swapped), with the last
 * three rows of the usual table.  Both words are at most NEAREST_MAX_LENGTH long.
 */
static unsigned edit_distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    unsigned rows[3][NEAREST_MAX_LENGTH + 1];

    for (unsigned j = 0; j <= b_len; j++) {
        rows[0][j] = j;
    }
    for (size_t i = 1; i <= a_len; i++) {
        unsigned *row = rows[i % 3];
        const unsigned *above = rows[(i + 2) % 3];
        const unsigned *above2 = rows[(i + 1) % 3];

        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_len; j++) {
            char x = g_ascii_tolower(a[i - 1]);
            char y = g_ascii_tolower(b[j - 1]);

            row[j] = MIN(MIN(row[j - 1], above[j]) + 1, above[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == g_ascii_tolower(b[j - 2]) &&
                y == g_ascii_tolower(a[i - 2])) {
                row[j] = MIN(row[j], above2[j - 2] + 1);
            }
        }
    }
    return rows[a_len % 3][b_len];
}

void text_nearest_offer(TextNearest *nearest, const char *candidate)
{
    size_t word_len = strlen(nearest->word);
    size_t len = candidate ? strlen(candidate) : 0;

    if (len == 0 || word_len == 0 || word_len > NEAREST_MAX_LENGTH || len > NEAREST_MAX_LENGTH) {
        return;
    }

    /* A word that was cut short or run on counts as one slip, however long the rest. */
    bool prefix = MIN(len, word_len) >= 3 &&
                  g_ascii_strncasecmp(nearest->word, candidate, MIN(len, word_len)) == 0;
    unsigned distance = edit_distance(nearest->word, word_len, candidate, len);
    unsigned most = (unsigned)MAX(word_len, len) / 3;

    if (prefix && distance > 1) {
        distance = 2;
        most = 2;
    }
    if (distance <= MAX(most, 1) && (!nearest->best || distance < nearest->distance)) {
        nearest->best = candidate;
        nearest->distance = distance;
    }
}

char *text_nearest_hint(const TextNearest *nearest)
{
    if (!nearest->best) {
        return g_strdup("");
    }
    return g_strdup_printf("; did you mean '%s'?", nearest->best);
}

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UTIL_TEXT_H
#define UTIL_TEXT_H

/*
 * Small strict readers of what a person typed: numbers, sizes, ids, lists, and the nearest known
 * word for a misspelt one.
 *
 * A reader returns true and writes its result, or returns false and writes nothing; the caller
 * knows the name of the thing and makes the message.  The whole text must match: no leading or
 * trailing blanks, no rest.
 */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decimal, or hexadecimal after 0x. */
bool text_parse_uint(const char *text, uint64_t *ret_value);

/*
 * Bytes: decimal with an optional fraction and an optional suffix b K M G T P E (either case), or
 * hexadecimal without one.  A bare number counts in units of unit bytes.  "1.5G" is fine.
 */
bool text_parse_size(const char *text, uint64_t unit, uint64_t *ret_bytes);

/* The shortest exact form of it: "256M", "3K", "1000". */
char *text_format_size(uint64_t bytes);

/* on yes true y, off no false n. */
bool text_parse_bool(const char *text, bool *ret_value);

/*
 * Numbers below limit: "3", "0-3", and several joined with ':'.  Sets their bits and leaves the
 * others as they are; on failure some may have been set.  bits has (limit + 63) / 64 words.
 */
bool text_parse_set(const char *text, unsigned limit, uint64_t *bits);

/* The way back: "0-3:7", "" for the empty set. */
char *text_format_set(const uint64_t *bits, unsigned limit);

/* Six pairs of hexadecimal digits, with ':' or '-' between them. */
bool text_parse_mac(const char *text, uint8_t ret_mac[6]);

#define TEXT_UUID_SIZE 37

/* 8-4-4-4-12 hexadecimal digits, stored in the order written. */
bool text_parse_uuid(const char *text, uint8_t ret_uuid[16]);
void text_format_uuid(const uint8_t uuid[16], char ret_text[TEXT_UUID_SIZE]);

/* A letter, then letters, digits, '-', '.', '_'; at most 255 characters. */
bool text_is_id(const char *text);

/*
 * The next field of "a,b,,c" (two: "a" and "b,c"), newly allocated, or NULL at the end.  *cursor
 * starts at the text and is moved on.  A comma at the very end adds no field.
 */
char *text_next_field(const char **cursor);

/* Collects the known word that is nearest to a misspelt one. */
typedef struct TextNearest {
    const char *word;
    const char *best; /* NULL: none is near enough to be meant */
    unsigned distance;
} TextNearest;

#define TEXT_NEAREST(text) ((TextNearest){.word = (text)})

/* candidate is borrowed; NULL is skipped. */
void text_nearest_offer(TextNearest *nearest, const char *candidate);

/* "; did you mean 'x'?" or an empty string: the end of a message. */
char *text_nearest_hint(const TextNearest *nearest);

#endif

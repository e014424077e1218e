/* SPDX-License-Identifier: Apache-2.0 */
/* The part of string.h that a freestanding compiler calls by itself, and what the parsers need. */
#ifndef TESTS_GUEST_LIB_STRING_H
#define TESTS_GUEST_LIB_STRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *memcpy(void *to, const void *from, size_t length);
void *memmove(void *to, const void *from, size_t length);
void *memset(void *to, int value, size_t length);
int memcmp(const void *a, const void *b, size_t length);
size_t strlen(const char *s);

bool string_starts_with(const char *s, const char *prefix);

/* Decimal, or hexadecimal behind 0x; K, M, G multiply. *end is behind the last character used. */
uint64_t string_parse_number(const char *s, const char **end);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory functions as string instructions: one instruction is one trip through an emulator that
 * runs kernel-mode code, where a C loop would be hundreds.
 */
#include "tests/guest/lib/string.h"

void *memcpy(void *to, const void *from, size_t length)
{
    void *d = to;

    __asm__ volatile("rep movsb" : "+D"(d), "+S"(from), "+c"(length) : : "memory");
    return to;
}

void *memmove(void *to, const void *from, size_t length)
{
    uint8_t *d = to;
    const uint8_t *s = from;

    if (d <= s || d >= s + length) {
        return memcpy(to, from, length);
    }
    while (length--) {
        __asm__ volatile("" : : : "memory");
        d[length] = s[length];
    }
    return to;
}

void *memset(void *to, int value, size_t length)
{
    void *d = to;

    __asm__ volatile("rep stosb" : "+D"(d), "+c"(length) : "a"(value) : "memory");
    return to;
}

int memcmp(const void *a, const void *b, size_t length)
{
    const uint8_t *x = a;
    const uint8_t *y = b;

    for (; length; length--, x++, y++) {
        if (*x != *y) {
            return *x < *y ? -1 : 1;
        }
    }
    return 0;
}

size_t strlen(const char *s)
{
    size_t length = 0;

    while (s[length]) {
        __asm__ volatile("" : : : "memory");
        length++;
    }
    return length;
}

bool string_starts_with(const char *s, const char *prefix)
{
    for (; *prefix; s++, prefix++) {
        if (*s != *prefix) {
            return false;
        }
    }
    return true;
}

static unsigned digit_value(char c)
{
    if (c >= '0' && c <= '9') {
        return (unsigned)(c - '0');
    }
    if (c >= 'a' && c <= 'f') {
        return (unsigned)(c - 'a') + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return (unsigned)(c - 'A') + 10;
    }
    return 16;
}

uint64_t string_parse_number(const char *s, const char **end)
{
    uint64_t value = 0;
    unsigned base = 10;

    if (s[0] == '0' && s[1] == 'x') {
        base = 16;
        s += 2;
    }
    for (; digit_value(*s) < base; s++) {
        value = value * base + digit_value(*s);
    }
    switch (*s) {
    case 'K':
        value <<= 10;
        s++;
        break;
    case 'M':
        value <<= 20;
        s++;
        break;
    case 'G':
        value <<= 30;
        s++;
        break;
    default:
        break;
    }
    if (end) {
        *end = s;
    }
    return value;
}

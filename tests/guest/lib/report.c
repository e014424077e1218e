/* SPDX-License-Identifier: Apache-2.0 */
/* Formatting, counting and the ways out. */
#include "tests/guest/lib/report.h"

#include "tests/guest/lib/lock.h"
#include "tests/guest/lib/serial.h"
#include "tests/guest/lib/x86.h"

#include <stddef.h>

static SpinLock print_lock;
static unsigned reports_made;
static unsigned reports_failed;
static unsigned migrate_points;

static void put_string(const char *s)
{
    for (; *s; s++) {
        serial_put(*s);
    }
}

static void put_number(uint64_t value, unsigned base, unsigned width, char pad)
{
    char digits[24];
    unsigned length = 0;

    do {
        digits[length++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    for (; width > length; width--) {
        serial_put(pad);
    }
    while (length) {
        serial_put(digits[--length]);
    }
}

static void put_signed(int64_t value, unsigned width, char pad)
{
    if (value < 0) {
        serial_put('-');
        value = -value;
    }
    put_number((uint64_t)value, 10, width, pad);
}

/* One conversion; format points behind the '%'. Returns the last character used. */
static const char *put_conversion(const char *format, va_list *args)
{
    char pad = *format == '0' ? '0' : ' ';
    unsigned width = 0;
    bool is_long = false;

    for (; *format >= '0' && *format <= '9'; format++) {
        width = width * 10 + (unsigned)(*format - '0');
    }
    for (; *format == 'l'; format++) {
        is_long = true;
    }
    switch (*format) {
    case 's':
        put_string(va_arg(*args, const char *));
        break;
    case 'c':
        serial_put((char)va_arg(*args, int));
        break;
    case 'd':
        put_signed(is_long ? va_arg(*args, int64_t) : va_arg(*args, int), width, pad);
        break;
    case 'u':
        put_number(is_long ? va_arg(*args, uint64_t) : va_arg(*args, unsigned), 10, width, pad);
        break;
    case 'p':
    case 'x':
        is_long |= *format == 'p';
        put_number(is_long ? va_arg(*args, uint64_t) : va_arg(*args, unsigned), 16, width, pad);
        break;
    default:
        serial_put(*format);
        break;
    }
    return format;
}

static void print_arguments(const char *format, va_list *args)
{
    for (; *format; format++) {
        if (*format == '%' && format[1]) {
            format = put_conversion(format + 1, args);
        } else {
            serial_put(*format);
        }
    }
}

void print(const char *format, ...)
{
    va_list args;

    spin_lock(&print_lock);
    va_start(args, format);
    print_arguments(format, &args);
    va_end(args);
    spin_unlock(&print_lock);
}

static void print_line(const char *prefix, const char *format, va_list *args)
{
    spin_lock(&print_lock);
    put_string(prefix);
    print_arguments(format, args);
    serial_put('\n');
    spin_unlock(&print_lock);
}

bool report(bool condition, const char *format, ...)
{
    va_list args;

    __atomic_fetch_add(&reports_made, 1, __ATOMIC_SEQ_CST);
    if (!condition) {
        __atomic_fetch_add(&reports_failed, 1, __ATOMIC_SEQ_CST);
    }
    va_start(args, format);
    print_line(condition ? "ok " : "not ok ", format, &args);
    va_end(args);
    return condition;
}

bool report_equal(uint64_t actual, uint64_t expected, const char *text)
{
    if (actual == expected) {
        return report(true, "%s", text);
    }
    return report(false, "%s: 0x%lx, expected 0x%lx", text, actual, expected);
}

void report_note(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    print_line("note ", format, &args);
    va_end(args);
}

unsigned report_failures(void)
{
    return reports_failed;
}

/* Where there is no debug-exit port the payload stands still, and the runner's clock ends it. */
__attribute__((noreturn)) static void leave(uint8_t value)
{
    port_write8(EXIT_PORT, value);
    for (;;) {
        __asm__ volatile("cli\n\thlt");
    }
}

void report_finish(void)
{
    if (reports_failed || !reports_made) {
        print("FAIL %u of %u\n", reports_failed, reports_made);
        leave(EXIT_FAIL);
    }
    print("PASS %u\n", reports_made);
    leave(EXIT_PASS);
}

void report_skip(const char *reason)
{
    print("SKIP %s\n", reason);
    leave(EXIT_SKIP);
}

void report_crash(const char *format, ...)
{
    va_list args;

    spin_unlock(&print_lock);
    va_start(args, format);
    print_line("\nCRASH ", format, &args);
    va_end(args);
    leave(EXIT_CRASH);
}

void migrate_point_announce(void)
{
    print("MIGRATE-POINT %u\n", ++migrate_points);
}

uint8_t migrate_point(void)
{
    migrate_point_announce();
    return serial_get();
}

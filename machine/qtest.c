/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/qtest.h"

#include "util/bytes.h"
#include "util/error.h"
#include "util/text.h"

#include <inttypes.h>

#define MAX_LINE  (16 * MIB)
#define MAX_WORDS 8
#define MAX_BLOCK (4 * MIB)
#define ANSWER_MS 1000

struct Qtest {
    Vm *vm;
    Chardev *chardev;
    GString *line;   /* of a command that has not ended */
    bool overlong;   /* the rest of the line is thrown away */
    bool intercepts; /* interrupts are reported */
};

/* One command: its words, and the number that its table row carries (a size). */
typedef struct Command {
    Qtest *qtest;
    char **words;
    guint count;
    unsigned size;
    GString *answer;
} Command;

static void send(Qtest *qtest, const char *text)
{
    chardev_write_all(qtest->chardev, text, strlen(text), ANSWER_MS);
}

static bool number(const Command *c, guint index, uint64_t *ret_value, GError **error)
{
    if (index >= c->count || !text_parse_uint(c->words[index], ret_value)) {
        return fail(error, VMM_ERROR_WIRE, "%s: argument %u: expected a number, got '%s'",
                    c->words[0], index, index < c->count ? c->words[index] : "nothing");
    }
    return true;
}

/* ---- ports and registers ------------------------------------------------------------------- */

static uint64_t mask(unsigned size)
{
    return size >= 8 ? UINT64_MAX : (UINT64_C(1) << (size * 8)) - 1;
}

static bool do_in(Command *c, GError **error)
{
    uint64_t port = 0;
    uint64_t value = 0;

    if (!number(c, 1, &port, error)) {
        return false;
    }
    bus_read(c->qtest->vm->ports, port, c->size, &value);
    g_string_printf(c->answer, "OK 0x%04" PRIx64 "\n", value & mask(c->size));
    return true;
}

static bool do_out(Command *c, GError **error)
{
    uint64_t port = 0;
    uint64_t value = 0;

    if (!number(c, 1, &port, error) || !number(c, 2, &value, error)) {
        return false;
    }
    bus_write(c->qtest->vm->ports, port, c->size, value & mask(c->size));
    return true;
}

/* An address is RAM if the whole access is, else a device's register. */
static void read_address(const Qtest *qtest, uint64_t address, void *data, uint64_t len)
{
    uint8_t *to = data;

    if (guest_mem_read(qtest->vm->memory, GPA(address), data, len, NULL)) {
        return;
    }
    for (uint64_t done = 0; done < len;) {
        unsigned size = len - done >= 8 ? 8 : len - done >= 4 ? 4 : len - done >= 2 ? 2 : 1;
        uint64_t value = 0;

        bus_read(qtest->vm->mmio, address + done, size, &value);
        store_le(to + done, size, value);
        done += size;
    }
}

static void write_address(const Qtest *qtest, uint64_t address, const void *data, uint64_t len)
{
    const uint8_t *from = data;

    if (guest_mem_write(qtest->vm->memory, GPA(address), data, len, NULL)) {
        return;
    }
    for (uint64_t done = 0; done < len;) {
        unsigned size = len - done >= 8 ? 8 : len - done >= 4 ? 4 : len - done >= 2 ? 2 : 1;

        bus_write(qtest->vm->mmio, address + done, size, load_le(from + done, size));
        done += size;
    }
}

static bool do_read_value(Command *c, GError **error)
{
    uint8_t data[8] = {0};
    uint64_t address = 0;

    if (!number(c, 1, &address, error)) {
        return false;
    }
    read_address(c->qtest, address, data, c->size);
    g_string_printf(c->answer, "OK 0x%016" PRIx64 "\n", load_le(data, c->size));
    return true;
}

static bool do_write_value(Command *c, GError **error)
{
    uint8_t data[8];
    uint64_t address = 0;
    uint64_t value = 0;

    if (!number(c, 1, &address, error) || !number(c, 2, &value, error)) {
        return false;
    }
    store_le(data, c->size, value);
    write_address(c->qtest, address, data, c->size);
    return true;
}

/* ---- blocks of memory ---------------------------------------------------------------------- */

static bool block_arguments(Command *c, uint64_t *ret_address, uint64_t *ret_len, GError **error)
{
    if (!number(c, 1, ret_address, error) || !number(c, 2, ret_len, error)) {
        return false;
    }
    if (*ret_len == 0 || *ret_len > MAX_BLOCK) {
        return fail(error, VMM_ERROR_WIRE, "%s: size %" PRIu64 " is not in 1..%" PRIu64,
                    c->words[0], *ret_len, MAX_BLOCK);
    }
    return true;
}

static bool do_read(Command *c, GError **error)
{
    g_autofree uint8_t *data = NULL;
    uint64_t address = 0;
    uint64_t len = 0;

    if (!block_arguments(c, &address, &len, error)) {
        return false;
    }
    data = g_malloc(len);
    read_address(c->qtest, address, data, len);
    g_string_assign(c->answer, "OK 0x");
    for (uint64_t i = 0; i < len; i++) {
        g_string_append_printf(c->answer, "%02x", data[i]);
    }
    g_string_append_c(c->answer, '\n');
    return true;
}

static bool do_read_base64(Command *c, GError **error)
{
    g_autofree uint8_t *data = NULL;
    g_autofree char *text = NULL;
    uint64_t address = 0;
    uint64_t len = 0;

    if (!block_arguments(c, &address, &len, error)) {
        return false;
    }
    data = g_malloc(len);
    read_address(c->qtest, address, data, len);
    text = g_base64_encode(data, len);
    g_string_printf(c->answer, "OK %s\n", text);
    return true;
}

/* Too few digits leave the rest zero, as QEMU has it. */
static bool do_write(Command *c, GError **error)
{
    g_autofree uint8_t *data = NULL;
    const char *hex = c->count > 3 ? c->words[3] : "";
    uint64_t address = 0;
    uint64_t len = 0;

    if (!block_arguments(c, &address, &len, error)) {
        return false;
    }
    if (!g_str_has_prefix(hex, "0x")) {
        return fail(error, VMM_ERROR_WIRE, "%s: argument 3: expected 0x and digits", c->words[0]);
    }
    data = g_malloc0(len);
    hex += 2;
    for (uint64_t i = 0; i < len && g_ascii_isxdigit(hex[0]) && g_ascii_isxdigit(hex[1]); i++) {
        data[i] = (uint8_t)(g_ascii_xdigit_value(hex[0]) << 4 | g_ascii_xdigit_value(hex[1]));
        hex += 2;
    }
    write_address(c->qtest, address, data, len);
    return true;
}

static bool do_write_base64(Command *c, GError **error)
{
    g_autofree guchar *data = NULL;
    uint64_t address = 0;
    uint64_t len = 0;
    gsize got = 0;

    if (!block_arguments(c, &address, &len, error)) {
        return false;
    }
    data = g_base64_decode(c->count > 3 ? c->words[3] : "", &got);
    if (got != len) {
        return fail(error, VMM_ERROR_WIRE, "%s: %zu bytes came, expected %" PRIu64, c->words[0],
                    got, len);
    }
    write_address(c->qtest, address, data, len);
    return true;
}

static bool do_memset(Command *c, GError **error)
{
    g_autofree uint8_t *data = NULL;
    uint64_t address = 0;
    uint64_t len = 0;
    uint64_t byte = 0;

    if (!block_arguments(c, &address, &len, error) || !number(c, 3, &byte, error)) {
        return false;
    }
    data = g_malloc(len);
    memset(data, (int)byte, len);
    write_address(c->qtest, address, data, len);
    return true;
}

/* ---- time and interrupts ------------------------------------------------------------------- */

static void answer_time(Command *c)
{
    g_string_printf(c->answer, "OK %" PRIi64 "\n", guest_clock_now_ns(c->qtest->vm->clock));
}

static bool do_clock_step(Command *c, GError **error)
{
    GuestClock *clock = c->qtest->vm->clock;
    int64_t next = guest_clock_next_ns(clock);
    uint64_t ns = 0;

    if (c->count > 1) {
        if (!number(c, 1, &ns, error)) {
            return false;
        }
        next = guest_clock_now_ns(clock) + (int64_t)MIN(ns, INT64_MAX / 4);
    }
    if (next >= 0) {
        guest_clock_step_to(clock, next);
    }
    answer_time(c);
    return true;
}

static bool do_clock_set(Command *c, GError **error)
{
    uint64_t ns = 0;

    if (!number(c, 1, &ns, error)) {
        return false;
    }
    guest_clock_step_to(c->qtest->vm->clock, (int64_t)MIN(ns, INT64_MAX / 4));
    answer_time(c);
    return true;
}

/* There is one interrupt controller to intercept, whatever the path says. */
static bool do_intercept(Command *c, GError **error)
{
    (void)error;
    c->qtest->intercepts = true;
    return true;
}

static void interrupt(void *opaque, unsigned line, bool high)
{
    Qtest *qtest = opaque;
    g_autofree char *text = g_strdup_printf("IRQ %s %u\n", high ? "raise" : "lower", line);

    if (qtest->intercepts) {
        send(qtest, text);
    }
}

static bool do_endianness(Command *c, GError **error)
{
    (void)error;
    g_string_assign(c->answer, "OK little\n");
    return true;
}

/* ---- the protocol -------------------------------------------------------------------------- */

typedef struct CommandDesc {
    const char *name;
    unsigned size;
    bool (*run)(Command *c, GError **error);
} CommandDesc;

static const CommandDesc commands[] = {
    {"inb", 1, do_in},
    {"inw", 2, do_in},
    {"inl", 4, do_in},
    {"outb", 1, do_out},
    {"outw", 2, do_out},
    {"outl", 4, do_out},
    {"readb", 1, do_read_value},
    {"readw", 2, do_read_value},
    {"readl", 4, do_read_value},
    {"readq", 8, do_read_value},
    {"writeb", 1, do_write_value},
    {"writew", 2, do_write_value},
    {"writel", 4, do_write_value},
    {"writeq", 8, do_write_value},
    {"read", 0, do_read},
    {"b64read", 0, do_read_base64},
    {"write", 0, do_write},
    {"b64write", 0, do_write_base64},
    {"memset", 0, do_memset},
    {"clock_step", 0, do_clock_step},
    {"clock_set", 0, do_clock_set},
    {"irq_intercept_in", 0, do_intercept},
    {"irq_intercept_out", 0, do_intercept},
    {"endianness", 0, do_endianness},
};

static const CommandDesc *find_command(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

static void run_line(Qtest *qtest, const char *line)
{
    g_auto(GStrv) words = g_strsplit(line, " ", MAX_WORDS);
    g_autoptr(GString) answer = g_string_new("OK\n");
    g_autoptr(GError) error = NULL;
    const CommandDesc *desc = words[0] ? find_command(words[0]) : NULL;
    Command c = {.qtest = qtest, .words = words, .count = g_strv_length(words), .answer = answer};

    if (!desc) {
        g_string_printf(answer, "FAIL Unknown command '%s'\n", words[0] ? words[0] : "");
    } else {
        c.size = desc->size;
        if (!desc->run(&c, &error)) {
            g_string_printf(answer, "FAIL %s\n", error->message);
        }
    }
    send(qtest, answer->str);
}

static size_t can_receive(void *opaque)
{
    (void)opaque;
    return 4096;
}

static void end_line(Qtest *qtest)
{
    if (qtest->overlong) {
        send(qtest, "FAIL the line is too long\n");
    } else {
        if (qtest->line->len > 0 && qtest->line->str[qtest->line->len - 1] == '\r') {
            g_string_truncate(qtest->line, qtest->line->len - 1);
        }
        run_line(qtest, qtest->line->str);
    }
    qtest->overlong = false;
    g_string_truncate(qtest->line, 0);
}

static void receive(void *opaque, const uint8_t *data, size_t len)
{
    Qtest *qtest = opaque;

    for (size_t i = 0; i < len; i++) {
        if (data[i] == '\n') {
            end_line(qtest);
        } else if (qtest->line->len >= MAX_LINE) {
            qtest->overlong = true;
        } else {
            g_string_append_c(qtest->line, (char)data[i]);
        }
    }
}

static void hung_up(void *opaque, ChardevEvent event)
{
    Qtest *qtest = opaque;

    if (event == CHARDEV_CLOSED) {
        qtest->intercepts = false;
        qtest->overlong = false;
        g_string_truncate(qtest->line, 0);
    }
}

static const ChardevFrontend frontend = {
    .can_receive = can_receive,
    .receive = receive,
    .event = hung_up,
};

Qtest *qtest_new(Vm *vm, const char *chardev, GError **error)
{
    g_autoptr(Qtest) qtest = g_new0(Qtest, 1);
    Chardev *chr = backends_find_chardev(vm->backends, chardev, error);

    qtest->vm = vm;
    qtest->line = g_string_new(NULL);
    if (!chr || !chardev_attach(chr, &frontend, qtest, error)) {
        g_prefix_error(error, "-qtest: ");
        return NULL;
    }
    qtest->chardev = chr;
    guest_clock_take_over(vm->clock);
    vm->irq_tap = (IrqTap){.seen = interrupt, .opaque = qtest};
    return g_steal_pointer(&qtest);
}

void qtest_free(Qtest *qtest)
{
    if (!qtest) {
        return;
    }
    if (qtest->chardev) {
        qtest->vm->irq_tap = (IrqTap){0};
        chardev_detach(qtest->chardev);
    }
    g_string_free(qtest->line, TRUE);
    g_free(qtest);
}

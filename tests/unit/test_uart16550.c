/* SPDX-License-Identifier: Apache-2.0 */
/* The UART as a guest sees it, through the ISA wrapper, with a socket pair at the other end. */
#include "devices/serial/uart16550.h"

#include "devices/backend/chardev_kinds.h"
#include "devices/serial/isa_serial.h"
#include "tests/support/device_state.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#define COM1     ISA_SERIAL_COM1_PORT
#define DATA     0
#define IER      1
#define IIR      2
#define LCR      3
#define MCR      4
#define LSR      5
#define MSR      6
#define SCR      7

#define LSR_DATA 0x01
#define LSR_THRE 0x20

static Loop *loop;
static Bus *bus;
static Chardev *chr;
static Device *dev;
static int far_end;
static bool irq_high;
static unsigned irq_rises;

static void set_irq(void *opaque, unsigned pin, bool high)
{
    (void)opaque;
    (void)pin;
    irq_rises += high && !irq_high;
    irq_high = high;
}

static Device *make(Bus *ports, Chardev *chardev)
{
    const IsaSerialConfig config = {
        .ports = ports,
        .port = COM1,
        .irq = {.set = set_irq},
        .chardev = chardev,
        .loop = loop,
    };

    return isa_serial_new("serial0", &config);
}

static void setup(void)
{
    int ends[2];
    g_autoptr(PropBag) bag = NULL;
    g_autofree char *text = NULL;

    signal(SIGPIPE, SIG_IGN);
    loop = loop_new("test");
    bus = bus_new("port");
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    far_end = ends[0];
    fcntl(far_end, F_SETFL, O_NONBLOCK);
    text = g_strdup_printf("socket,fd=%d", ends[1]);
    bag = props_parse(text, "type", NULL);
    chr = chardev_new(bag, "serial0", loop, NULL, NULL);
    close(ends[1]);
    ck_assert_ptr_nonnull(chr);
    dev = make(bus, chr);
    ck_assert(device_realize(dev, NULL));
    irq_high = false;
    irq_rises = 0;
}

static void teardown(void)
{
    device_free(dev);
    chardev_free(chr);
    bus_free(bus);
    loop_free(loop);
    close(far_end);
}

static uint8_t in(unsigned reg)
{
    uint64_t value;

    ck_assert(bus_read(bus, COM1 + reg, 1, &value));
    return (uint8_t)value;
}

static void out(unsigned reg, uint8_t value)
{
    ck_assert(bus_write(bus, COM1 + reg, 1, value));
}

static void quit(void *opaque)
{
    loop_quit(opaque);
}

/* Lets the loop do what is due, and everything that is due within ms from now. */
static void settle(int ms)
{
    LoopTimer *timer = loop_timer_new(loop, quit, loop);

    loop_timer_arm(timer, loop_now_ns() + (int64_t)ms * 1000000);
    loop_run(loop);
    loop_timer_free(timer);
}

/* Runs the loop until the condition holds; the test's time limit is the limit. */
#define WAIT_FOR(condition) \
    while (!(condition)) {  \
        settle(1);          \
    }

static bool far_end_has_data(void)
{
    struct pollfd ask = {.fd = far_end, .events = POLLIN};

    return poll(&ask, 1, 0) == 1;
}

static void check_far_end(const char *expected)
{
    char text[256];
    ssize_t n = read(far_end, text, sizeof(text) - 1);

    ck_assert_int_ge(n, 0);
    text[n] = '\0';
    ck_assert_str_eq(text, expected);
}

START_TEST(a_line_leaves_at_its_newline)
{
    for (const char *p = "hello\r\n"; *p; p++) {
        ck_assert(in(LSR)&LSR_THRE);
        out(DATA, (uint8_t)*p);
    }
    check_far_end("hello\r\n");
}
END_TEST

START_TEST(a_prompt_leaves_soon)
{
    out(DATA, '#');
    WAIT_FOR(far_end_has_data());
    check_far_end("#");
}
END_TEST

START_TEST(last_words_are_sent_when_the_device_goes)
{
    out(DATA, 'x');
    device_free(dev);
    dev = NULL;
    check_far_end("x");
}
END_TEST

START_TEST(last_words_survive_reset_and_drain)
{
    out(DATA, 'a');
    device_reset(dev);
    out(DATA, 'b');
    ck_assert(device_drain(dev, NULL));
    check_far_end("ab");
    out(DATA, '\n');
    settle(5);
    ck_assert_int_eq(read(far_end, &(char){0}, 1), -1);
    device_resume(dev);
    check_far_end("\n");
}
END_TEST

START_TEST(a_full_back_end_stops_the_transmitter_and_loses_nothing)
{
    uint8_t chunk[4096];
    unsigned sent = 0;
    unsigned got = 0;

    out(IIR, 0x01);
    while (in(LSR)&LSR_THRE) {
        for (unsigned i = 0; i < 16; i++) {
            out(DATA, (uint8_t)sent++);
        }
        ck_assert_uint_lt(sent, 8u << 20);
    }
    out(IER, 0x02);
    ck_assert(!irq_high);
    while (got < sent) {
        ssize_t n = read(far_end, chunk, sizeof(chunk));

        for (ssize_t i = 0; i < n; i++) {
            ck_assert_uint_eq(chunk[i], (uint8_t)got++);
        }
        if (n < 0) {
            settle(2);
        }
    }
    ck_assert(irq_high);
    ck_assert_uint_eq(in(IIR), 0xc2);
    ck_assert(in(LSR)&LSR_THRE);
}
END_TEST

START_TEST(input_waits_for_room_in_the_fifo)
{
    char text[41] = "";

    ck_assert_int_eq(write(far_end, "0123456789abcdefghijklmnopqrstuvwxyzABCD", 40), 40);
    out(IIR, 0xc1);
    out(IER, 0x01);
    for (unsigned i = 0; i < 40;) {
        WAIT_FOR(irq_high);
        ck_assert_uint_eq(in(IIR), i == 0 ? 0xc4 : i == 32 ? 0xcc : 0xc4);
        while (in(LSR)&LSR_DATA) {
            text[i++] = (char)in(DATA);
        }
        ck_assert(!irq_high);
    }
    ck_assert_str_eq(text, "0123456789abcdefghijklmnopqrstuvwxyzABCD");
    ck_assert_uint_eq(irq_rises, 3);
}
END_TEST

START_TEST(without_fifo_one_byte_comes_at_a_time)
{
    ck_assert_int_eq(write(far_end, "ab", 2), 2);
    WAIT_FOR(in(LSR)&LSR_DATA);
    ck_assert_uint_eq(in(IIR), 0x01);
    out(IER, 0x01);
    ck_assert_uint_eq(in(IIR), 0x04);
    ck_assert_uint_eq(in(DATA), 'a');
    ck_assert(!(in(LSR)&LSR_DATA));
    WAIT_FOR(in(LSR)&LSR_DATA);
    ck_assert_uint_eq(in(DATA), 'b');
}
END_TEST

START_TEST(transmitter_interrupts_once_per_acknowledge)
{
    out(IIR, 0x01);
    out(IER, 0x02);
    ck_assert_uint_eq(irq_rises, 1);
    ck_assert_uint_eq(in(IIR), 0xc2);
    ck_assert(!irq_high);
    ck_assert_uint_eq(in(IIR), 0xc1);
    for (unsigned i = 0; i < 16; i++) {
        out(DATA, 'x');
    }
    ck_assert_uint_eq(irq_rises, 2);
    ck_assert_uint_eq(in(IIR), 0xc2);
    out(IER, 0x00);
    ck_assert(!irq_high);
}
END_TEST

START_TEST(loop_back_returns_data_and_modem_lines)
{
    out(MCR, 0x10 | 0x0a);
    ck_assert_uint_eq(in(MSR)&0xf0, 0x90);
    out(IIR, 0x01);
    for (unsigned i = 0; i < 17; i++) {
        out(DATA, (uint8_t)i);
    }
    ck_assert_uint_eq(in(LSR)&0x03, 0x03); /* the seventeenth overran */
    for (unsigned i = 0; i < 16; i++) {
        ck_assert_uint_eq(in(DATA), i);
    }
    ck_assert_uint_eq(in(LSR)&0x03, 0);
    out(MCR, 0x00);
    ck_assert_uint_eq(in(MSR)&0xf0, 0xb0);
    ck_assert_uint_eq(in(MSR)&0x0f, 0);
    settle(5);
    ck_assert_int_eq(read(far_end, &(char){0}, 1), -1);
}
END_TEST

START_TEST(scratch_divisor_and_line_control_keep_what_is_written)
{
    out(SCR, 0x5a);
    out(LCR, 0x83);
    out(DATA, 0x34);
    out(IER, 0x12);
    ck_assert_uint_eq(in(DATA), 0x34);
    ck_assert_uint_eq(in(IER), 0x12);
    out(LCR, 0x03);
    ck_assert_uint_eq(in(IER), 0);
    ck_assert_uint_eq(in(SCR), 0x5a);
    out(IER, 0xff);
    ck_assert_uint_eq(in(IER), 0x0f);
}
END_TEST

START_TEST(no_register_value_hurts)
{
    uint64_t value;

    for (unsigned round = 0; round < 4096; round++) {
        unsigned reg = round * 7919 % 8;

        out(reg, (uint8_t)(round * 104729 >> 3));
        (void)in((round >> 3) % 8);
        ck_assert(bus_write(bus, COM1, 8, round * UINT64_C(0x9e3779b97f4a7c15)));
        ck_assert(bus_read(bus, COM1, 8, &value));
    }
}
END_TEST

START_TEST(state_survives_and_damage_does_not)
{
    g_autoptr(Bus) other_bus = bus_new("port");
    g_autoptr(Device) other = make(other_bus, NULL);

    ck_assert(device_realize(other, NULL));
    out(IIR, 0xc1);
    out(IER, 0x05);
    out(MCR, 0x1b);
    out(DATA, 'r');
    out(MCR, 0x0b);
    out(DATA, 't');
    state_check_round_trip(dev, other);
    state_check_damage(dev, other);
}
END_TEST

START_TEST(unsent_output_travels_with_the_state)
{
    g_autoptr(Bus) other_bus = bus_new("port");
    g_autoptr(Device) other = make(other_bus, NULL);
    g_autoptr(GByteArray) wire = NULL;

    ck_assert(device_realize(other, NULL));
    ck_assert(bus_write(other_bus, COM1, 1, 'w'));
    wire = state_save(other);
    state_load(dev, wire);
    device_resume(dev);
    check_far_end("w");
}
END_TEST

START_TEST(a_failed_realize_leaves_something_to_free)
{
    g_autoptr(Device) second = make(bus, chr);
    g_autoptr(GError) error = NULL;
    g_autoptr(Device) third = make(bus, NULL);

    ck_assert(!device_realize(second, &error));
    ck_assert_ptr_nonnull(strstr(error->message, "in use"));
    ck_assert(!device_realize(third, NULL)); /* the ports are taken */
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("uart16550");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, a_line_leaves_at_its_newline);
    tcase_add_test(tc, a_prompt_leaves_soon);
    tcase_add_test(tc, last_words_are_sent_when_the_device_goes);
    tcase_add_test(tc, last_words_survive_reset_and_drain);
    tcase_add_test(tc, a_full_back_end_stops_the_transmitter_and_loses_nothing);
    tcase_add_test(tc, input_waits_for_room_in_the_fifo);
    tcase_add_test(tc, without_fifo_one_byte_comes_at_a_time);
    tcase_add_test(tc, transmitter_interrupts_once_per_acknowledge);
    tcase_add_test(tc, loop_back_returns_data_and_modem_lines);
    tcase_add_test(tc, scratch_divisor_and_line_control_keep_what_is_written);
    tcase_add_test(tc, no_register_value_hurts);
    tcase_add_test(tc, state_survives_and_damage_does_not);
    tcase_add_test(tc, unsent_output_travels_with_the_state);
    tcase_add_test(tc, a_failed_realize_leaves_something_to_free);
    return suite_run("uart16550", tc);
}

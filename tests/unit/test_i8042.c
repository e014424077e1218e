/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/platform/i8042.h"

#include "tests/support/device_state.h"
#include "tests/support/requests.h"

static Bus *bus;
static Device *dev;
static RequestCount reset;
static IrqCount irq;

static Device *make(void)
{
    const I8042Config config = {
        .ports = bus, .irq = irq_counter(&irq), .reset = request_counter(&reset)};

    return i8042_new("i8042", &config);
}

static void setup(void)
{
    bus = bus_new("port");
    dev = make();
    ck_assert(device_realize(dev, NULL));
    reset = (RequestCount){0};
    irq = (IrqCount){0};
}

static void teardown(void)
{
    device_free(dev);
    bus_free(bus);
}

static uint8_t in(uint16_t port)
{
    uint64_t value;

    ck_assert(bus_read(bus, port, 1, &value));
    return (uint8_t)value;
}

static void out(uint16_t port, uint8_t value)
{
    ck_assert(bus_write(bus, port, 1, value));
}

static uint8_t ask(uint8_t command)
{
    out(0x64, command);
    ck_assert_uint_eq(in(0x64) & 1, 1);
    return in(0x60);
}

START_TEST(only_a_pulse_of_the_reset_line_resets)
{
    out(0x64, 0xff);
    out(0x64, 0xfd);
    ck_assert_uint_eq(reset.count, 0);
    out(0x64, 0xfe);
    ck_assert_uint_eq(reset.count, 1);
    out(0x64, 0xf0);
    ck_assert_uint_eq(reset.count, 2);
}
END_TEST

START_TEST(output_port_holds_a20_and_reset)
{
    ck_assert_uint_eq(ask(0xd0), 0x03);
    out(0x64, 0xd1);
    out(0x60, 0xdf);
    ck_assert_uint_eq(reset.count, 0);
    ck_assert_uint_eq(ask(0xd0), 0xdf);
    out(0x64, 0xd1);
    out(0x60, 0xfe);
    ck_assert_uint_eq(reset.count, 1);
}
END_TEST

START_TEST(a_controller_is_there_but_nothing_behind_it)
{
    ck_assert_uint_eq(in(0x64) & 0x03, 0); /* nothing to read, ready to be written */
    ck_assert_uint_eq(ask(0xaa), 0x55);
    ck_assert_uint_eq(ask(0xab), 0x01);
    ck_assert_uint_eq(ask(0xa9), 0x01);
    out(0x64, 0x60);
    out(0x60, 0x65);
    ck_assert_uint_eq(ask(0x20), 0x65);
    ck_assert_uint_eq(in(0x64) & 1, 0);
}
END_TEST

START_TEST(keyboard_commands_are_refused_with_an_interrupt)
{
    out(0x64, 0x60);
    out(0x60, 0x01);
    out(0x60, 0xf2);
    ck_assert(irq.high);
    ck_assert_uint_eq(in(0x60), 0xfe);
    ck_assert(!irq.high);
}
END_TEST

START_TEST(no_register_value_hurts)
{
    for (unsigned command = 0; command < 256; command++) {
        for (unsigned data = 0; data < 256; data++) {
            out(0x64, (uint8_t)command);
            out(0x60, (uint8_t)data);
            (void)in(0x64);
            (void)in(0x60);
        }
    }
}
END_TEST

START_TEST(state_survives_and_damage_does_not)
{
    g_autoptr(Device) other = make();

    out(0x64, 0x7f);
    state_check_round_trip(dev, other);
    state_check_damage(dev, other);
}
END_TEST

START_TEST(a_failed_realize_leaves_something_to_free)
{
    g_autoptr(Bus) half = bus_new("port");
    const BusOps ops = {0};
    const I8042Config config = {.ports = half};
    g_autoptr(Device) second = i8042_new("second", &config);
    uint64_t value;

    ck_assert(bus_map(
        half, &(BusWindow){.base = 0x64, .size = 1, .owner = "else", .ops = &ops, .opaque = NULL},
        NULL));
    ck_assert(!device_realize(second, NULL));
    device_free(g_steal_pointer(&second));
    ck_assert(!bus_read(half, 0x60, 1, &value));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("i8042");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, only_a_pulse_of_the_reset_line_resets);
    tcase_add_test(tc, output_port_holds_a20_and_reset);
    tcase_add_test(tc, a_controller_is_there_but_nothing_behind_it);
    tcase_add_test(tc, keyboard_commands_are_refused_with_an_interrupt);
    tcase_add_test(tc, no_register_value_hurts);
    tcase_add_test(tc, state_survives_and_damage_does_not);
    tcase_add_test(tc, a_failed_realize_leaves_something_to_free);
    return suite_run("i8042", tc);
}

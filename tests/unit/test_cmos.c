/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/platform/cmos.h"

#include "tests/support/device_state.h"
#include "tests/support/requests.h"
#include "util/bytes.h"
#include "util/clock.h"
#include "util/loop.h"

#define NS INT64_C(1000000000)
/* Thursday, 2024-02-29, 13:14:15 UTC */
#define LEAP_DAY INT64_C(1709212455)

static Loop *loop;
static GuestClock *guest_clock;
static Bus *bus;
static Device *dev;
static IrqCount irq;
static int64_t host_ns;

static int64_t fake_now(void *opaque)
{
    (void)opaque;
    return host_ns;
}

static Device *make(int64_t offset_s)
{
    const CmosConfig config = {
        .ports = bus,
        .irq = irq_counter(&irq),
        .clock = guest_clock,
        .ram_below_4g = 3 * GIB,
        .ram_above_4g = 5 * GIB,
        .offset_s = offset_s,
        .now_ns = fake_now,
    };

    return cmos_new("rtc", &config);
}

static void setup(void)
{
    loop = loop_new("test");
    guest_clock = guest_clock_new(loop);
    guest_clock_start(guest_clock);
    bus = bus_new("port");
    host_ns = LEAP_DAY * NS;
    dev = make(0);
    ck_assert(device_realize(dev, NULL));
    irq = (IrqCount){0};
}

static void teardown(void)
{
    device_free(dev);
    bus_free(bus);
    guest_clock_free(guest_clock);
    loop_free(loop);
}

static uint8_t get(uint8_t index)
{
    uint64_t value;

    ck_assert(bus_write(bus, 0x70, 1, index));
    ck_assert(bus_read(bus, 0x71, 1, &value));
    return (uint8_t)value;
}

static void put(uint8_t index, uint8_t value)
{
    ck_assert(bus_write(bus, 0x70, 1, index));
    ck_assert(bus_write(bus, 0x71, 1, value));
}

static void check_time(const uint8_t expected[7])
{
    static const uint8_t registers[] = {0x32, 9, 8, 7, 4, 2, 0};

    for (size_t i = 0; i < G_N_ELEMENTS(registers); i++) {
        ck_assert_msg(get(registers[i]) == expected[i], "register 0x%02x is 0x%02x, not 0x%02x",
                      registers[i], get(registers[i]), expected[i]);
    }
}

static void quit(void *opaque)
{
    loop_quit(opaque);
}

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

START_TEST(shows_the_host_time_in_bcd)
{
    check_time((const uint8_t[]){0x20, 0x24, 0x02, 0x29, 0x13, 0x14, 0x15});
    ck_assert_uint_eq(get(6), 5); /* Thursday */
    ck_assert_uint_eq(get(0x0d), 0x80);
    host_ns += 86400 * NS;
    check_time((const uint8_t[]){0x20, 0x24, 0x03, 0x01, 0x13, 0x14, 0x15});
}
END_TEST

START_TEST(shows_it_in_binary_and_in_twelve_hours)
{
    put(0x0b, 0x04);
    check_time((const uint8_t[]){20, 24, 2, 29, 0x81, 14, 15});
    put(0x0b, 0x00);
    ck_assert_uint_eq(get(4), 0x81);
    host_ns -= 13 * 3600 * NS;
    ck_assert_uint_eq(get(4), 0x12); /* midnight */
    host_ns += 12 * 3600 * NS;
    ck_assert_uint_eq(get(4), 0x92); /* noon */
}
END_TEST

START_TEST(offset_moves_the_clock)
{
    device_free(dev);
    dev = make(-3600);
    ck_assert(device_realize(dev, NULL));
    check_time((const uint8_t[]){0x20, 0x24, 0x02, 0x29, 0x12, 0x14, 0x15});
}
END_TEST

START_TEST(a_set_clock_runs_on_from_there)
{
    host_ns += NS / 3;
    put(0x0b, 0x82);
    put(0x32, 0x19);
    put(0x09, 0x99);
    put(0x08, 0x12);
    put(0x07, 0x31);
    put(0x04, 0x23);
    put(0x02, 0x59);
    put(0x00, 0x58);
    host_ns += 100 * NS;
    ck_assert_uint_eq(get(0), 0x58); /* frozen */
    put(0x0b, 0x02);
    check_time((const uint8_t[]){0x19, 0x99, 0x12, 0x31, 0x23, 0x59, 0x58});
    host_ns += NS - 1;
    ck_assert_uint_eq(get(0), 0x58);
    host_ns += 1;
    ck_assert_uint_eq(get(0), 0x59);
    host_ns += NS;
    check_time((const uint8_t[]){0x20, 0x00, 0x01, 0x01, 0x00, 0x00, 0x00});
}
END_TEST

START_TEST(update_in_progress_warns_before_the_second)
{
    ck_assert_uint_eq(get(0x0a) & 0x80, 0);
    host_ns += NS - 200000;
    ck_assert_uint_eq(get(0x0a) & 0x80, 0x80);
    put(0x0b, 0x82);
    ck_assert_uint_eq(get(0x0a) & 0x80, 0);
}
END_TEST

START_TEST(flags_are_polled_without_interrupts)
{
    (void)get(0x0c);
    host_ns += NS / 2;
    ck_assert_uint_eq(get(0x0c), 0x40);
    host_ns += NS;
    ck_assert_uint_eq(get(0x0c), 0x50);
    ck_assert_uint_eq(get(0x0c), 0);
    ck_assert_uint_eq(irq.rises, 0);
}
END_TEST

START_TEST(update_interrupt_comes_with_the_second)
{
    host_ns += NS - 2000000;
    put(0x0a, 0x20);
    (void)get(0x0c);
    put(0x0b, 0x12);
    ck_assert(!irq.high);
    host_ns += 2000000;
    WAIT_FOR(irq.high);
    ck_assert_uint_eq(get(0x0c), 0x90);
    ck_assert(!irq.high);
}
END_TEST

START_TEST(periodic_interrupt_repeats)
{
    put(0x0b, 0x42);
    for (unsigned i = 1; i <= 3; i++) {
        host_ns += 2000000;
        WAIT_FOR(irq.high);
        ck_assert_uint_eq(irq.rises, i);
        ck_assert_uint_eq(get(0x0c) & 0xc0, 0xc0);
    }
    put(0x0a, 0x20);
    host_ns += 2000000;
    settle(10);
    ck_assert_uint_eq(irq.rises, 3);
}
END_TEST

START_TEST(alarm_rings_at_its_time_and_with_wild_cards)
{
    put(0x05, 0x13);
    put(0x03, 0x14);
    put(0x01, 0x16);
    (void)get(0x0c);
    put(0x0b, 0x22);
    host_ns += NS;
    ck_assert_uint_eq(get(0x0c) & 0x20, 0x20);
    host_ns += NS;
    ck_assert_uint_eq(get(0x0c) & 0x20, 0);
    put(0x05, 0xff);
    put(0x03, 0xc0);
    put(0x01, 0x00);
    host_ns += 42 * NS;
    ck_assert_uint_eq(get(0x0c) & 0x20, 0);
    host_ns += NS;
    ck_assert_uint_eq(get(0x0c) & 0x20, 0x20);
    put(0x01, 0x61); /* never */
    host_ns += 86400 * NS;
    ck_assert_uint_eq(get(0x0c) & 0x20, 0);
}
END_TEST

START_TEST(memory_tells_the_size_of_ram)
{
    ck_assert_uint_eq(get(0x15) | get(0x16) << 8, 640);
    ck_assert_uint_eq(get(0x17) | get(0x18) << 8, 0xffff);
    ck_assert_uint_eq(get(0x30) | get(0x31) << 8, 0xffff);
    ck_assert_uint_eq(get(0x34) | get(0x35) << 8, (3 * GIB - 16 * MIB) >> 16);
    ck_assert_uint_eq(get(0x5b) | get(0x5c) << 8 | get(0x5d) << 16, 5 * GIB >> 16);
    put(0x60, 0xa5);
    ck_assert_uint_eq(get(0x60), 0xa5);
    ck_assert_uint_eq(get(0xe0), 0xa5); /* bit 7 of the index is not part of it */
}
END_TEST

START_TEST(reset_keeps_the_time_and_stops_interrupts)
{
    put(0x0b, 0x12);
    host_ns += NS;
    (void)get(0x00);
    put(0x00, 0x30);
    ck_assert(irq.high);
    device_reset(dev);
    ck_assert(!irq.high);
    ck_assert_uint_eq(get(0x00), 0x30);
    ck_assert_uint_eq(get(0x0b), 0x02);
}
END_TEST

START_TEST(no_register_value_hurts)
{
    for (unsigned value = 0; value < 256; value++) {
        for (unsigned index = 0; index < 128; index++) {
            put((uint8_t)index, (uint8_t)value);
            host_ns += 12345678;
            (void)get((uint8_t)(index * 7));
        }
    }
}
END_TEST

START_TEST(state_survives_and_damage_does_not)
{
    g_autoptr(Device) other = make(77);

    put(0x32, 0x21);
    put(0x0b, 0x22);
    state_check_round_trip(dev, other);
    state_check_damage(dev, other);
}
END_TEST

START_TEST(time_goes_on_while_a_state_is_stored)
{
    g_autoptr(GByteArray) wire = NULL;

    put(0x00, 0x40);
    wire = state_save(dev);
    host_ns += 7 * NS;
    state_load(dev, wire);
    device_resume(dev);
    ck_assert_uint_eq(get(0x00), 0x47);
}
END_TEST

START_TEST(time_that_a_restore_hides_is_not_seen)
{
    const int64_t hidden = 86400 * NS + 3 * NS / 4;
    const DeviceRestore restore = {.hidden_ns = hidden};
    g_autoptr(Device) other = make(0);
    g_autoptr(GByteArray) wire = state_save(dev);

    host_ns += hidden;
    state_load(other, wire);
    ck_assert(device_restored(other, &restore, NULL));
    device_free(dev);
    dev = g_steal_pointer(&other);
    ck_assert(device_realize(dev, NULL));
    device_resume(dev);
    check_time((uint8_t[]){0x20, 0x24, 0x02, 0x29, 0x13, 0x14, 0x15});
    host_ns += NS - 1;
    check_time((uint8_t[]){0x20, 0x24, 0x02, 0x29, 0x13, 0x14, 0x15});
    host_ns += 1;
    check_time((uint8_t[]){0x20, 0x24, 0x02, 0x29, 0x13, 0x14, 0x16});
    ck_assert_uint_eq(get(0x0c) & 0x10, 0x10);
}
END_TEST

START_TEST(a_failed_realize_leaves_something_to_free)
{
    g_autoptr(Device) second = make(0);

    ck_assert(!device_realize(second, NULL));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("cmos");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, shows_the_host_time_in_bcd);
    tcase_add_test(tc, shows_it_in_binary_and_in_twelve_hours);
    tcase_add_test(tc, offset_moves_the_clock);
    tcase_add_test(tc, a_set_clock_runs_on_from_there);
    tcase_add_test(tc, update_in_progress_warns_before_the_second);
    tcase_add_test(tc, flags_are_polled_without_interrupts);
    tcase_add_test(tc, update_interrupt_comes_with_the_second);
    tcase_add_test(tc, periodic_interrupt_repeats);
    tcase_add_test(tc, alarm_rings_at_its_time_and_with_wild_cards);
    tcase_add_test(tc, memory_tells_the_size_of_ram);
    tcase_add_test(tc, reset_keeps_the_time_and_stops_interrupts);
    tcase_add_test(tc, no_register_value_hurts);
    tcase_add_test(tc, state_survives_and_damage_does_not);
    tcase_add_test(tc, time_goes_on_while_a_state_is_stored);
    tcase_add_test(tc, time_that_a_restore_hides_is_not_seen);
    tcase_add_test(tc, a_failed_realize_leaves_something_to_free);
    return suite_run("cmos", tc);
}

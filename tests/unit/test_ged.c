/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/platform/ged.h"

#include "tests/support/device_state.h"
#include "tests/support/requests.h"

#define BASE UINT64_C(0xfea00000)

static Bus *bus;
static Device *dev;
static RequestCount off;
static RequestCount reset;
static IrqCount irq;

static Device *make(void)
{
    const GedConfig config = {
        .mmio = bus,
        .base = BASE,
        .irq = irq_counter(&irq),
        .s5_sleep_type = 5,
        .reset_value = 0x42,
        .power_off = request_counter(&off),
        .reset = request_counter(&reset),
    };

    return ged_new("ged", &config);
}

static void setup(void)
{
    bus = bus_new("mmio");
    dev = make();
    ck_assert(device_realize(dev, NULL));
    off = (RequestCount){0};
    reset = (RequestCount){0};
    irq = (IrqCount){0};
}

static void teardown(void)
{
    device_free(dev);
    bus_free(bus);
}

static uint64_t read_events(void)
{
    uint64_t value;

    ck_assert(bus_read(bus, BASE + GED_EVENT, 4, &value));
    return value;
}

START_TEST(an_event_interrupts_and_is_read_once)
{
    ged_raise(dev, 0);
    ged_raise(dev, 4);
    ck_assert_uint_eq(irq.rises, 2);
    ck_assert(irq.high);
    ck_assert_uint_eq(read_events(), 0x11);
    ck_assert(!irq.high);
    ck_assert_uint_eq(read_events(), 0);
}
END_TEST

START_TEST(only_sleep_five_powers_off)
{
    ck_assert(bus_write(bus, BASE + GED_SLEEP_CONTROL, 1, 5 << 2));
    ck_assert(bus_write(bus, BASE + GED_SLEEP_CONTROL, 1, 3 << 2 | 0x20));
    ck_assert_uint_eq(off.count, 0);
    ck_assert(bus_write(bus, BASE + GED_SLEEP_CONTROL, 1, 5 << 2 | 0x20));
    ck_assert_uint_eq(off.count, 1);
    ck_assert_uint_eq(reset.count, 0);
}
END_TEST

START_TEST(only_the_reset_value_resets)
{
    ck_assert(bus_write(bus, BASE + GED_RESET, 1, 0x41));
    ck_assert_uint_eq(reset.count, 0);
    ck_assert(bus_write(bus, BASE + GED_RESET, 1, 0x42));
    ck_assert_uint_eq(reset.count, 1);
}
END_TEST

START_TEST(no_access_hurts)
{
    for (unsigned offset = 0; offset < GED_MMIO_SIZE; offset++) {
        for (unsigned size = 1; size <= 8; size *= 2) {
            uint64_t value;

            (void)bus_read(bus, BASE + offset, size, &value);
            (void)bus_write(bus, BASE + offset, size, UINT64_MAX);
        }
    }
    ged_raise(dev, 4000);
}
END_TEST

START_TEST(state_survives_and_damage_does_not)
{
    g_autoptr(Device) other = make();

    ged_raise(dev, 7);
    state_check_round_trip(dev, other);
    state_check_damage(dev, other);
    device_reset(dev);
    ck_assert(!irq.high);
    ck_assert_uint_eq(read_events(), 0);
}
END_TEST

START_TEST(an_event_that_nobody_read_interrupts_again_after_a_load)
{
    g_autoptr(GByteArray) wire = NULL;

    ged_raise(dev, 3);
    wire = state_save(dev);
    device_reset(dev);
    device_resume(dev);
    ck_assert(!irq.high);
    state_load(dev, wire);
    device_resume(dev);
    ck_assert_uint_eq(irq.rises, 2);
    ck_assert_uint_eq(read_events(), 1u << 3);
}
END_TEST

START_TEST(a_failed_realize_leaves_something_to_free)
{
    g_autoptr(Device) second = make();

    ck_assert(!device_realize(second, NULL));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("ged");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, an_event_interrupts_and_is_read_once);
    tcase_add_test(tc, only_sleep_five_powers_off);
    tcase_add_test(tc, only_the_reset_value_resets);
    tcase_add_test(tc, no_access_hurts);
    tcase_add_test(tc, state_survives_and_damage_does_not);
    tcase_add_test(tc, an_event_that_nobody_read_interrupts_again_after_a_load);
    tcase_add_test(tc, a_failed_realize_leaves_something_to_free);
    return suite_run("ged", tc);
}

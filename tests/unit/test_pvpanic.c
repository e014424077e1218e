/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/platform/pvpanic.h"

#include "tests/support/device_state.h"
#include "tests/support/requests.h"

static Device *make(Bus *bus, uint8_t events, RequestCount *requests)
{
    const PvpanicConfig config = {
        .ports = bus,
        .port = PVPANIC_PORT,
        .events = events,
        .report = request_counter(requests),
    };

    return pvpanic_new("pvpanic", &config);
}

START_TEST(each_understood_bit_is_reported)
{
    RequestCount requests = {0};
    g_autoptr(Bus) bus = bus_new("port");
    g_autoptr(Device) dev = make(bus, 3, &requests);
    uint64_t value;

    ck_assert(device_realize(dev, NULL));
    ck_assert(bus_read(bus, 0x505, 1, &value));
    ck_assert_uint_eq(value, 3);
    ck_assert(bus_write(bus, 0x505, 1, 1));
    ck_assert_uint_eq(requests.last, PVPANIC_PANICKED);
    ck_assert(bus_write(bus, 0x505, 1, 0xff));
    ck_assert_uint_eq(requests.last, PVPANIC_CRASHLOADED);
    ck_assert_uint_eq(requests.count, 3);
    ck_assert(bus_write(bus, 0x505, 1, 0xfc));
    ck_assert_uint_eq(requests.count, 3);
}
END_TEST

START_TEST(bits_that_are_not_offered_are_ignored)
{
    RequestCount requests = {0};
    g_autoptr(Bus) bus = bus_new("port");
    g_autoptr(Device) dev = make(bus, PVPANIC_CRASHLOADED, &requests);

    ck_assert(device_realize(dev, NULL));
    ck_assert(bus_write(bus, 0x505, 1, 1));
    ck_assert_uint_eq(requests.count, 0);
}
END_TEST

START_TEST(its_state_is_empty_and_loads)
{
    RequestCount requests = {0};
    g_autoptr(Bus) bus = bus_new("port");
    g_autoptr(Device) dev = make(bus, 3, &requests);
    g_autoptr(Device) other = make(bus, 3, &requests);

    state_check_round_trip(dev, other);
    state_check_damage(dev, other);
}
END_TEST

START_TEST(a_failed_realize_leaves_something_to_free)
{
    RequestCount requests = {0};
    g_autoptr(Bus) bus = bus_new("port");
    g_autoptr(Device) first = make(bus, 1, &requests);
    g_autoptr(Device) second = make(bus, 1, &requests);
    g_autoptr(Device) third = make(bus, 4, &requests);

    ck_assert(device_realize(first, NULL));
    ck_assert(!device_realize(second, NULL));
    ck_assert(!device_realize(third, NULL));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("pvpanic");

    tcase_add_test(tc, each_understood_bit_is_reported);
    tcase_add_test(tc, bits_that_are_not_offered_are_ignored);
    tcase_add_test(tc, its_state_is_empty_and_loads);
    tcase_add_test(tc, a_failed_realize_leaves_something_to_free);
    return suite_run("pvpanic", tc);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/platform/debugexit.h"

#include "tests/support/device_state.h"
#include "tests/support/requests.h"

static Device *make(Bus *bus, uint8_t n_ports, RequestCount *requests)
{
    const DebugexitConfig config = {
        .ports = bus,
        .port = DEBUGEXIT_PORT,
        .n_ports = n_ports,
        .exit = request_counter(requests),
    };

    return debugexit_new("debugexit", &config);
}

START_TEST(a_write_ends_the_vm_with_an_odd_status)
{
    RequestCount requests = {0};
    g_autoptr(Bus) bus = bus_new("port");
    g_autoptr(Device) dev = make(bus, 4, &requests);
    uint64_t value;

    ck_assert(device_realize(dev, NULL));
    ck_assert(bus_read(bus, 0xf4, 4, &value));
    ck_assert_uint_eq(value, 0);
    ck_assert(bus_write(bus, 0xf4, 4, 0x10));
    ck_assert_uint_eq(requests.last, 0x21);
    ck_assert(bus_write(bus, 0xf7, 1, 0));
    ck_assert_uint_eq(requests.last, 1);
    ck_assert_uint_eq(requests.count, 2);
    ck_assert(!bus_write(bus, 0xf7, 4, 0));
}
END_TEST

START_TEST(its_state_is_empty_and_loads)
{
    RequestCount requests = {0};
    g_autoptr(Bus) bus = bus_new("port");
    g_autoptr(Device) dev = make(bus, 4, &requests);
    g_autoptr(Device) other = make(bus, 4, &requests);

    state_check_round_trip(dev, other);
    state_check_damage(dev, other);
}
END_TEST

START_TEST(a_failed_realize_leaves_something_to_free)
{
    RequestCount requests = {0};
    g_autoptr(Bus) bus = bus_new("port");
    g_autoptr(Device) first = make(bus, 1, &requests);
    g_autoptr(Device) second = make(bus, 4, &requests);
    g_autoptr(Device) third = make(bus, 3, &requests);
    g_autoptr(GError) error = NULL;

    ck_assert(device_realize(first, NULL));
    ck_assert(!device_realize(second, NULL));
    ck_assert(!device_realize(third, &error));
    ck_assert_str_eq(error->message, "device debugexit: 3 ports, expected 1, 2 or 4");
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("debugexit");

    tcase_add_test(tc, a_write_ends_the_vm_with_an_odd_status);
    tcase_add_test(tc, its_state_is_empty_and_loads);
    tcase_add_test(tc, a_failed_realize_leaves_something_to_free);
    return suite_run("debugexit", tc);
}

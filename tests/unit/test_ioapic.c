/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/platform/ioapic.h"

#include "hypervisor/fake.h"
#include "tests/support/device_state.h"

#define MASKED (1u << 16)
#define LEVEL  (1u << 15)
#define IRR    (1u << 14)

static Hypervisor *hv;
static Device *dev;

static Device *make(unsigned n_pins)
{
    const IoapicConfig config = {.n_pins = n_pins, .apic_id = 3, .hypervisor = hv};

    return ioapic_new("ioapic", &config);
}

static void setup(void)
{
    hv = fake_hypervisor_new();
    dev = make(48);
    ck_assert(device_realize(dev, NULL));
}

static void teardown(void)
{
    device_free(dev);
    hypervisor_free(hv);
}

static void write_reg(Device *d, unsigned reg, uint32_t value)
{
    ioapic_bus_ops.write(d, 0x00, 4, reg);
    ioapic_bus_ops.write(d, 0x10, 4, value);
}

static uint32_t read_reg(unsigned reg)
{
    ioapic_bus_ops.write(dev, 0x00, 4, reg);
    return (uint32_t)ioapic_bus_ops.read(dev, 0x10, 4);
}

static void set_entry(unsigned pin, uint32_t high, uint32_t low)
{
    write_reg(dev, 0x11 + 2 * pin, high);
    write_reg(dev, 0x10 + 2 * pin, low);
}

static void pull(unsigned pin, bool high)
{
    IrqLine line = ioapic_line(dev, pin);

    irq_set(&line, high);
}

START_TEST(registers_tell_version_pins_and_id)
{
    ck_assert_uint_eq(read_reg(1), 47u << 16 | 0x20);
    ck_assert_uint_eq(read_reg(0), 3u << 24);
    write_reg(dev, 0, 0xffffffff);
    ck_assert_uint_eq(read_reg(0), 15u << 24);
    ck_assert_uint_eq(read_reg(0x10), MASKED);
    ck_assert_uint_eq(read_reg(0x10 + 2 * 47), MASKED);
    ck_assert_uint_eq(read_reg(0x10 + 2 * 48), 0xffffffff);
}
END_TEST

START_TEST(realize_refuses_a_wrong_number_of_pins)
{
    static const unsigned wrong[] = {0, 23, 121, 4000};

    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(Device) bad = make(wrong[i]);
        g_autoptr(GError) error = NULL;

        ck_assert(!device_realize(bad, &error));
        ck_assert_ptr_nonnull(strstr(error->message, "expected 24 to 120"));
    }
}
END_TEST

START_TEST(an_edge_is_delivered_once_and_needs_no_route)
{
    set_entry(4, 2u << 24, 0x34);
    pull(4, true);
    pull(4, true);
    ck_assert_uint_eq(fake_num_messages(hv), 1);
    ck_assert_uint_eq(fake_message(hv, 0).address, 0xfee02000);
    ck_assert_uint_eq(fake_message(hv, 0).data, 0x34);
    pull(4, false);
    pull(4, true);
    ck_assert_uint_eq(fake_num_messages(hv), 2);
    ck_assert_uint_eq(fake_route_updates(hv), 0);
}
END_TEST

START_TEST(a_pulse_on_a_masked_pin_is_lost)
{
    set_entry(4, 0, MASKED | 0x34);
    pull(4, true);
    pull(4, false);
    set_entry(4, 0, 0x34);
    ck_assert_uint_eq(fake_num_messages(hv), 0);
}
END_TEST

START_TEST(a_wire_that_stays_high_is_delivered_when_its_pin_is_unmasked)
{
    set_entry(4, 0, MASKED | 0x34);
    pull(4, true);
    set_entry(4, 0, 0x34);
    ck_assert_uint_eq(fake_num_messages(hv), 1);
    set_entry(4, 0, 0x35);
    ck_assert_uint_eq(fake_num_messages(hv), 1);
}
END_TEST

START_TEST(message_carries_mode_logical_and_wide_destination)
{
    /* destination 0x1234: 7:0 in bits 63:56, 14:8 in bits 55:49 */
    set_entry(5, 0x34u << 24 | 0x12u << 17, 1u << 11 | 1u << 8 | 0x51);
    pull(5, true);
    ck_assert_uint_eq(fake_message(hv, 0).address, 0x12ull << 40 | 0xfee34004);
    ck_assert_uint_eq(fake_message(hv, 0).data, 0x151);
}
END_TEST

START_TEST(modes_that_need_a_pic_or_do_not_exist_deliver_nothing)
{
    static const unsigned dead[] = {3, 6, 7};

    for (size_t i = 0; i < G_N_ELEMENTS(dead); i++) {
        set_entry(5, 0, dead[i] << 8 | 0x51);
        pull(5, true);
        pull(5, false);
    }
    ck_assert_uint_eq(fake_num_messages(hv), 0);
}
END_TEST

START_TEST(a_level_is_held_until_its_end_of_interrupt)
{
    set_entry(9, 0, LEVEL | 0x61);
    ck_assert_uint_eq(fake_num_routes(hv), 1);
    ck_assert_uint_eq(fake_route(hv, 0).gsi, 9);
    ck_assert_uint_eq(fake_route(hv, 0).msi.data, 0xc061);
    pull(9, true);
    ck_assert_uint_eq(fake_num_messages(hv), 1);
    ck_assert_uint_eq(read_reg(0x10 + 18), IRR | LEVEL | 0x61);
    ioapic_eoi(dev, 0x60);
    ck_assert_uint_eq(fake_num_messages(hv), 1);
    ioapic_eoi(dev, 0x61);
    ck_assert_uint_eq(fake_num_messages(hv), 2); /* still up: again */
    pull(9, false);
    ioapic_bus_ops.write(dev, 0x40, 4, 0x61);
    ck_assert_uint_eq(fake_num_messages(hv), 2);
    ck_assert_uint_eq(read_reg(0x10 + 18), LEVEL | 0x61);
    ck_assert_uint_eq(fake_route_updates(hv), 1);
}
END_TEST

START_TEST(a_masked_level_waits_for_the_mask_to_go)
{
    set_entry(9, 0, MASKED | LEVEL | 0x61);
    pull(9, true);
    ck_assert_uint_eq(fake_num_messages(hv), 0);
    ck_assert_uint_eq(fake_route_updates(hv), 0);
    set_entry(9, 0, LEVEL | 0x61);
    ck_assert_uint_eq(fake_num_messages(hv), 1);
}
END_TEST

START_TEST(a_level_masked_while_handled_keeps_its_route)
{
    set_entry(9, 0, LEVEL | 0x61);
    pull(9, true);
    set_entry(9, 0, MASKED | LEVEL | 0x61);
    ck_assert_uint_eq(fake_num_routes(hv), 1);
    ioapic_eoi(dev, 0x61);
    set_entry(9, 0, MASKED | LEVEL | 0x61);
    ck_assert_uint_eq(fake_num_routes(hv), 0);
    ck_assert_uint_eq(fake_num_messages(hv), 1);
}
END_TEST

START_TEST(going_to_edge_and_back_ends_a_level)
{
    set_entry(9, 0, LEVEL | 0x61);
    pull(9, true);
    write_reg(dev, 0x10 + 18, MASKED | 0x61);
    write_reg(dev, 0x10 + 18, LEVEL | 0x61);
    ck_assert_uint_eq(fake_num_messages(hv), 2);
}
END_TEST

START_TEST(a_requested_route_follows_the_mask)
{
    ioapic_request_route(dev, 20);
    ioapic_request_route(dev, 4000);
    ck_assert_uint_eq(fake_route_updates(hv), 0);
    set_entry(20, 1u << 24, 0x71);
    ck_assert_uint_eq(fake_num_routes(hv), 1);
    ck_assert_uint_eq(fake_route(hv, 0).msi.address, 0xfee01000);
    ck_assert_uint_eq(fake_route(hv, 0).msi.data, 0x71);
    set_entry(20, 1u << 24, MASKED | 0x71);
    ck_assert_uint_eq(fake_num_routes(hv), 0);
    set_entry(20, 1u << 24, 0x71);
    device_reset(dev);
    ck_assert_uint_eq(fake_num_routes(hv), 0);
}
END_TEST

START_TEST(no_register_value_hurts)
{
    for (unsigned reg = 0; reg < 256; reg++) {
        write_reg(dev, reg, 0xffffffff);
        (void)read_reg(reg);
        write_reg(dev, reg, 0);
    }
    for (uint64_t offset = 0; offset < IOAPIC_MMIO_SIZE; offset += 4) {
        ioapic_bus_ops.write(dev, offset, 8, UINT64_MAX);
        (void)ioapic_bus_ops.read(dev, offset, 8);
    }
    pull(100000, true);
    for (unsigned pin = 0; pin < 48; pin++) {
        pull(pin, true);
    }
    for (unsigned vector = 0; vector < 256; vector++) {
        ioapic_eoi(dev, (uint8_t)vector);
    }
}
END_TEST

static void make_interesting(void)
{
    set_entry(4, 2u << 24, 0x34);
    set_entry(9, 0, LEVEL | 0x61);
    set_entry(10, 0, LEVEL | 0x62);
    pull(9, true);
    pull(47, true);
}

START_TEST(state_survives_and_damage_does_not)
{
    g_autoptr(Device) other = make(48);

    make_interesting();
    state_check_round_trip(dev, other);
    state_check_damage(dev, other);
}
END_TEST

START_TEST(load_refuses_another_number_of_pins)
{
    g_autoptr(Device) other = make(24);
    g_autoptr(GByteArray) wire = state_save(dev);
    g_autoptr(GError) error = NULL;

    ck_assert(!vmstate_load(ioapic_ops.vmstate, other, wire->data, wire->len, &error));
    ck_assert_ptr_nonnull(strstr(error->message, "saved_pins: 48"));
}
END_TEST

START_TEST(resume_after_load_sets_routes_and_delivers_what_waits)
{
    g_autoptr(Hypervisor) second = fake_hypervisor_new();
    const IoapicConfig config = {.n_pins = 48, .hypervisor = second};
    g_autoptr(Device) other = ioapic_new("other", &config);
    g_autoptr(GByteArray) wire = NULL;

    make_interesting();
    wire = state_save(dev);
    state_load(other, wire);

    IrqLine line = ioapic_line(other, 10);

    device_resume(other);
    ck_assert_uint_eq(fake_num_routes(second), 2);
    ck_assert_uint_eq(fake_num_messages(second), 0); /* pin 9 is being handled */
    device_resume(other);
    ck_assert_uint_eq(fake_route_updates(second), 1);
    ioapic_eoi(other, 0x61);
    ck_assert_uint_eq(fake_num_messages(second), 1);
    irq_set(&line, true);
    ck_assert_uint_eq(fake_num_messages(second), 2);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("ioapic");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, registers_tell_version_pins_and_id);
    tcase_add_test(tc, realize_refuses_a_wrong_number_of_pins);
    tcase_add_test(tc, an_edge_is_delivered_once_and_needs_no_route);
    tcase_add_test(tc, a_pulse_on_a_masked_pin_is_lost);
    tcase_add_test(tc, a_wire_that_stays_high_is_delivered_when_its_pin_is_unmasked);
    tcase_add_test(tc, message_carries_mode_logical_and_wide_destination);
    tcase_add_test(tc, modes_that_need_a_pic_or_do_not_exist_deliver_nothing);
    tcase_add_test(tc, a_level_is_held_until_its_end_of_interrupt);
    tcase_add_test(tc, a_masked_level_waits_for_the_mask_to_go);
    tcase_add_test(tc, a_level_masked_while_handled_keeps_its_route);
    tcase_add_test(tc, going_to_edge_and_back_ends_a_level);
    tcase_add_test(tc, a_requested_route_follows_the_mask);
    tcase_add_test(tc, no_register_value_hurts);
    tcase_add_test(tc, state_survives_and_damage_does_not);
    tcase_add_test(tc, load_refuses_another_number_of_pins);
    tcase_add_test(tc, resume_after_load_sets_routes_and_delivers_what_waits);
    return suite_run("ioapic", tc);
}

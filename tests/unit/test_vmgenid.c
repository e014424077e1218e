/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/platform/vmgenid.h"

#include "tests/support/device_state.h"
#include "tests/support/requests.h"
#include "util/bytes.h"
#include "util/text.h"

#include <string.h>

#define ADDRESS UINT64_C(0x8010)

static const uint8_t chosen[VMGENID_BYTES] = {0x32, 0x4e, 0x6e, 0xaf, 0xd1, 0xd1, 0x4b, 0xf6,
                                              0xbf, 0x41, 0xb9, 0xbb, 0x6c, 0x91, 0xfb, 0x87};
static const uint8_t chosen_in_ram[VMGENID_BYTES] = {
    0xaf, 0x6e, 0x4e, 0x32, 0xd1, 0xd1, 0xf6, 0x4b, 0xbf, 0x41, 0xb9, 0xbb, 0x6c, 0x91, 0xfb, 0x87};
static const DeviceRestore cloned = {.cloned = true};
static const DeviceRestore moved = {.cloned = false};

static GuestMemory *mem;
static RequestCount rings;

static void setup(void)
{
    mem = guest_mem_new(NULL);
    ck_assert(guest_mem_add_plain(mem, 64 * KIB, NULL));
    rings = (RequestCount){0};
}

static void teardown(void)
{
    guest_mem_free(mem);
}

static Device *make(const uint8_t *guid)
{
    VmgenidConfig config = {
        .memory = mem,
        .notice = {.address = ADDRESS, .ring = request_counter(&rings)},
        .guid_given = guid != NULL,
    };
    Device *dev;

    if (guid) {
        memcpy(config.guid, guid, sizeof(config.guid));
    }
    dev = vmgenid_new("vmgenid", &config);
    ck_assert(device_realize(dev, NULL));
    return dev;
}

static void read_ram(uint8_t ret_bytes[VMGENID_BYTES])
{
    ck_assert(guest_mem_read(mem, GPA(ADDRESS), ret_bytes, VMGENID_BYTES, NULL));
}

START_TEST(a_boot_puts_the_chosen_id_into_ram_as_microsoft_orders_it)
{
    g_autoptr(Device) dev = make(chosen);
    uint8_t bytes[VMGENID_BYTES];

    read_ram(bytes);
    ck_assert_uint_eq(load_le64(bytes), 0);
    ck_assert(device_boot(dev, NULL));
    read_ram(bytes);
    ck_assert_mem_eq(bytes, chosen_in_ram, sizeof(bytes));
    vmgenid_get(dev, bytes);
    ck_assert_mem_eq(bytes, chosen, sizeof(bytes));
    ck_assert_uint_eq(rings.count, 0);
}
END_TEST

START_TEST(an_id_that_nobody_chose_is_a_random_one)
{
    g_autoptr(Device) one = make(NULL);
    g_autoptr(Device) two = make(NULL);
    uint8_t first[VMGENID_BYTES];
    uint8_t second[VMGENID_BYTES];

    vmgenid_get(one, first);
    vmgenid_get(two, second);
    ck_assert_mem_ne(first, second, sizeof(first));
    ck_assert_uint_eq(first[6] >> 4, 4);
    ck_assert_uint_eq(first[8] >> 6, 2);
}
END_TEST

START_TEST(the_id_stays_through_a_reset_that_clears_ram)
{
    g_autoptr(Device) dev = make(chosen);
    uint8_t bytes[VMGENID_BYTES];

    ck_assert(device_boot(dev, NULL));
    device_reset(dev);
    ck_assert(guest_mem_clear(mem, NULL));
    ck_assert(device_boot(dev, NULL));
    read_ram(bytes);
    ck_assert_mem_eq(bytes, chosen_in_ram, sizeof(bytes));
}
END_TEST

/* From the state of one that booted to one that was made with guid. */
static Device *restore(const uint8_t *guid, const DeviceRestore *how, uint8_t ret_parent[16])
{
    g_autoptr(Device) parent = make(chosen);
    g_autoptr(GByteArray) wire = NULL;
    Device *child = make(guid);

    ck_assert(device_boot(parent, NULL));
    vmgenid_get(parent, ret_parent);
    wire = state_save(parent);
    state_load(child, wire);
    ck_assert(device_restored(child, how, NULL));
    return child;
}

START_TEST(each_clone_has_a_fresh_id_in_ram_and_is_told)
{
    uint8_t parent[VMGENID_BYTES];
    uint8_t first[VMGENID_BYTES];
    uint8_t second[VMGENID_BYTES];
    uint8_t ram[VMGENID_BYTES];
    g_autoptr(Device) one = restore(NULL, &cloned, parent);
    g_autoptr(Device) two = restore(NULL, &cloned, parent);

    ck_assert_uint_eq(rings.count, 2);
    vmgenid_get(one, first);
    vmgenid_get(two, second);
    ck_assert_mem_ne(first, parent, sizeof(first));
    ck_assert_mem_ne(second, parent, sizeof(first));
    ck_assert_mem_ne(first, second, sizeof(first));
    read_ram(ram);
    ck_assert_mem_eq(ram + 8, second + 8, 8);
}
END_TEST

START_TEST(a_vm_that_moved_keeps_its_id)
{
    uint8_t parent[VMGENID_BYTES];
    uint8_t bytes[VMGENID_BYTES];
    g_autoptr(Device) child = restore(NULL, &moved, parent);

    vmgenid_get(child, bytes);
    ck_assert_mem_eq(bytes, parent, sizeof(bytes));
    ck_assert_uint_eq(rings.count, 0);
}
END_TEST

START_TEST(an_id_that_is_chosen_for_a_clone_is_taken_once)
{
    static const uint8_t other[VMGENID_BYTES] = {1, 2, 3};
    uint8_t parent[VMGENID_BYTES];
    uint8_t bytes[VMGENID_BYTES];
    g_autoptr(Device) child = restore(other, &cloned, parent);
    g_autoptr(GByteArray) wire = NULL;

    vmgenid_get(child, bytes);
    ck_assert_mem_eq(bytes, other, sizeof(bytes));

    /* back to its own past */
    wire = state_save(child);
    device_reset(child);
    state_load(child, wire);
    ck_assert(device_restored(child, &cloned, NULL));
    vmgenid_get(child, bytes);
    ck_assert_mem_ne(bytes, other, sizeof(bytes));
}
END_TEST

START_TEST(an_id_that_came_with_the_template_is_no_choice)
{
    uint8_t parent[VMGENID_BYTES];
    uint8_t bytes[VMGENID_BYTES];
    g_autoptr(Device) child = restore(chosen, &cloned, parent);

    vmgenid_get(child, bytes);
    ck_assert_mem_ne(bytes, parent, sizeof(bytes));
}
END_TEST

START_TEST(state_survives_and_damage_does_not)
{
    g_autoptr(Device) dev = make(NULL);
    g_autoptr(Device) other = make(NULL);

    state_check_round_trip(dev, other);
    state_check_damage(dev, other);
}
END_TEST

START_TEST(an_address_that_is_not_ram_is_refused)
{
    g_autoptr(Device) dev = make(NULL);
    g_autoptr(GByteArray) wire = state_save(dev);
    uint8_t *address = memmem(wire->data, wire->len, &(uint64_t){GUINT64_TO_LE(ADDRESS)}, 8);
    const uint64_t bad[] = {64 * KIB, 64 * KIB - 8, ADDRESS + 1, UINT64_MAX - 7};

    ck_assert_ptr_nonnull(address);
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;

        store_le64(address, bad[i]);
        ck_assert(!vmstate_load(dev->ops->vmstate, dev, wire->data, wire->len, &error));
        ck_assert_ptr_nonnull(strstr(error->message, "address: "));
        device_reset(dev);
        ck_assert(device_boot(dev, NULL));
    }
}
END_TEST

START_TEST(a_machine_without_a_place_is_told)
{
    const VmgenidConfig config = {.memory = mem};
    g_autoptr(Device) dev = vmgenid_new("vmgenid", &config);
    g_autoptr(GError) error = NULL;

    ck_assert(!device_realize(dev, &error));
    ck_assert_str_eq(error->message,
                     "device vmgenid: this machine has no place for it: it needs ACPI");
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("vmgenid");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_boot_puts_the_chosen_id_into_ram_as_microsoft_orders_it);
    tcase_add_test(tc, an_id_that_nobody_chose_is_a_random_one);
    tcase_add_test(tc, the_id_stays_through_a_reset_that_clears_ram);
    tcase_add_test(tc, each_clone_has_a_fresh_id_in_ram_and_is_told);
    tcase_add_test(tc, a_vm_that_moved_keeps_its_id);
    tcase_add_test(tc, an_id_that_is_chosen_for_a_clone_is_taken_once);
    tcase_add_test(tc, an_id_that_came_with_the_template_is_no_choice);
    tcase_add_test(tc, state_survives_and_damage_does_not);
    tcase_add_test(tc, an_address_that_is_not_ram_is_refused);
    tcase_add_test(tc, a_machine_without_a_place_is_told);
    return suite_run("vmgenid", tc);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/platform/vmclock.h"

#include "tests/support/device_state.h"
#include "tests/support/requests.h"
#include "util/bytes.h"

#include <string.h>

#define ADDRESS UINT64_C(0x8000)

/* As include/uapi/linux/vmclock-abi.h has them. */
#define SEQ_COUNT  0x0c
#define DISRUPTION 0x10
#define FLAGS      0x18
#define GENERATION 0x68

static const DeviceRestore cloned = {.cloned = true};
static const DeviceRestore moved = {.cloned = false};

static GuestMemory *mem;
static RequestCount rings;
static Device *dev;

static Device *make(void)
{
    const VmclockConfig config = {
        .memory = mem,
        .notice = {.address = ADDRESS, .ring = request_counter(&rings)},
    };

    return vmclock_new("vmclock", &config);
}

static void setup(void)
{
    mem = guest_mem_new(NULL);
    ck_assert(guest_mem_add_plain(mem, 64 * KIB, NULL));
    rings = (RequestCount){0};
    dev = make();
    ck_assert(device_realize(dev, NULL));
}

static void teardown(void)
{
    device_free(dev);
    guest_mem_free(mem);
}

static uint8_t *page(void)
{
    return guest_mem_ptr(mem, GPA(ADDRESS), VMCLOCK_BYTES, GUEST_WRITE, NULL);
}

START_TEST(a_boot_writes_a_page_that_says_what_it_can_do)
{
    static const uint8_t constant[] = {'V', 'C', 'L', 'K', 0, 0x10, 0, 0, 1, 0, 0xff, 0};

    ck_assert(device_boot(dev, NULL));
    ck_assert_mem_eq(page(), constant, sizeof(constant));
    ck_assert_uint_eq(load_le32(page() + SEQ_COUNT) % 2, 0);
    ck_assert_uint_eq(load_le64(page() + FLAGS), 0x300);
    ck_assert_uint_eq(rings.count, 0);
}
END_TEST

START_TEST(a_clone_sees_another_generation_and_a_disruption)
{
    uint32_t seq;

    ck_assert(device_boot(dev, NULL));
    seq = load_le32(page() + SEQ_COUNT);
    ck_assert(device_restored(dev, &cloned, NULL));
    ck_assert_uint_eq(load_le32(page() + SEQ_COUNT), seq + 2);
    ck_assert_uint_eq(load_le64(page() + DISRUPTION), 1);
    ck_assert_uint_eq(load_le64(page() + GENERATION), 1);
    ck_assert_uint_eq(rings.count, 1);
}
END_TEST

START_TEST(a_vm_that_moved_sees_a_disruption_only)
{
    ck_assert(device_boot(dev, NULL));
    ck_assert(device_restored(dev, &moved, NULL));
    ck_assert_uint_eq(load_le64(page() + DISRUPTION), 1);
    ck_assert_uint_eq(load_le64(page() + GENERATION), 0);
    ck_assert_uint_eq(rings.count, 1);
}
END_TEST

START_TEST(counters_go_on_in_a_clone_of_a_clone)
{
    g_autoptr(Device) child = make();
    g_autoptr(GByteArray) wire = NULL;

    ck_assert(device_boot(dev, NULL));
    ck_assert(device_restored(dev, &cloned, NULL));
    wire = state_save(dev);
    state_load(child, wire);
    ck_assert(device_restored(child, &cloned, NULL));
    ck_assert_uint_eq(load_le64(page() + GENERATION), 2);
}
END_TEST

START_TEST(what_the_guest_wrote_there_counts_for_nothing)
{
    ck_assert(device_boot(dev, NULL));
    memset(page(), 0xff, 32);
    ck_assert(device_restored(dev, &cloned, NULL));
    ck_assert_mem_eq(page(), "VCLK", 4);
    ck_assert_uint_eq(load_le32(page() + SEQ_COUNT), 4);
    ck_assert_uint_eq(load_le64(page() + DISRUPTION), 1);
}
END_TEST

START_TEST(counters_stay_through_a_reset_that_clears_ram)
{
    ck_assert(device_boot(dev, NULL));
    ck_assert(device_restored(dev, &cloned, NULL));
    device_reset(dev);
    ck_assert(guest_mem_clear(mem, NULL));
    ck_assert(device_boot(dev, NULL));
    ck_assert_mem_eq(page(), "VCLK", 4);
    ck_assert_uint_eq(load_le64(page() + GENERATION), 1);
}
END_TEST

START_TEST(state_survives_and_damage_does_not)
{
    g_autoptr(Device) other = make();

    ck_assert(device_boot(dev, NULL));
    state_check_round_trip(dev, other);
    state_check_damage(dev, other);
}
END_TEST

START_TEST(an_address_that_is_no_page_of_ram_is_refused)
{
    g_autoptr(GByteArray) wire = state_save(dev);
    uint8_t *address = memmem(wire->data, wire->len, &(uint64_t){GUINT64_TO_LE(ADDRESS)}, 8);
    const uint64_t bad[] = {64 * KIB, ADDRESS + 8, UINT64_MAX - 4095};

    ck_assert_ptr_nonnull(address);
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        store_le64(address, bad[i]);
        ck_assert(!vmstate_load(dev->ops->vmstate, dev, wire->data, wire->len, NULL));
        device_reset(dev);
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("vmclock");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_boot_writes_a_page_that_says_what_it_can_do);
    tcase_add_test(tc, a_clone_sees_another_generation_and_a_disruption);
    tcase_add_test(tc, a_vm_that_moved_sees_a_disruption_only);
    tcase_add_test(tc, counters_go_on_in_a_clone_of_a_clone);
    tcase_add_test(tc, what_the_guest_wrote_there_counts_for_nothing);
    tcase_add_test(tc, counters_stay_through_a_reset_that_clears_ram);
    tcase_add_test(tc, state_survives_and_damage_does_not);
    tcase_add_test(tc, an_address_that_is_no_page_of_ram_is_refused);
    return suite_run("vmclock", tc);
}

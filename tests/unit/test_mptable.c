/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/boot/mptable.h"

#include "tests/unit/suite.h"
#include "util/bytes.h"
#include "util/error.h"

#define ADDRESS 0xf0000
#define PINS    32

enum {
    POINTER_LEN = 16,
    HEADER_LEN = 44,
};

static GByteArray *build(uint32_t n_cpus, GError **error)
{
    g_autofree uint32_t *ids = g_new(uint32_t, n_cpus);
    MpTableConfig config = {
        .address = ADDRESS,
        .apic_ids = ids,
        .n_cpus = n_cpus,
        .lapic_address = 0xfee00000,
        .ioapic_id = 1,
        .ioapic_address = 0xfec00000,
        .ioapic_pins = PINS,
    };

    for (uint32_t i = 0; i < n_cpus; i++) {
        ids[i] = i;
    }
    return mptable_build(&config, error);
}

static unsigned sum(const uint8_t *data, size_t len)
{
    unsigned total = 0;

    for (size_t i = 0; i < len; i++) {
        total += data[i];
    }
    return total & 0xff;
}

START_TEST(pointer_and_table_add_up_to_zero)
{
    g_autoptr(GByteArray) bytes = build(3, NULL);
    const uint8_t *table = bytes->data + POINTER_LEN;

    ck_assert_mem_eq(bytes->data, "_MP_", 4);
    ck_assert_uint_eq(load_le32(bytes->data + 4), ADDRESS + POINTER_LEN);
    ck_assert_uint_eq(bytes->data[8], 1);
    ck_assert_uint_eq(bytes->data[9], 4);
    ck_assert_uint_eq(bytes->data[11], 0);
    ck_assert_uint_eq(sum(bytes->data, POINTER_LEN), 0);
    ck_assert_mem_eq(table, "PCMP", 4);
    ck_assert_uint_eq(load_le16(table + 4), bytes->len - POINTER_LEN);
    ck_assert_uint_eq(sum(table, bytes->len - POINTER_LEN), 0);
    ck_assert_uint_eq(load_le32(table + 36), 0xfee00000);
}
END_TEST

START_TEST(entries_are_counted_and_fill_the_table)
{
    g_autoptr(GByteArray) bytes = build(254, NULL);
    const uint8_t *table = bytes->data + POINTER_LEN;
    size_t offset = POINTER_LEN + HEADER_LEN;
    unsigned seen[5] = {0};
    unsigned total = 0;

    while (offset < bytes->len) {
        uint8_t type = bytes->data[offset];

        ck_assert_uint_lt(type, G_N_ELEMENTS(seen));
        if (type == 0) {
            ck_assert_uint_eq(bytes->data[offset + 1], seen[0]);
            ck_assert_uint_eq(bytes->data[offset + 3], seen[0] == 0 ? 3 : 1);
        }
        seen[type]++;
        total++;
        offset += type == 0 ? 20 : 8;
    }
    ck_assert_uint_eq(offset, bytes->len);
    ck_assert_uint_eq(load_le16(table + 34), total);
    ck_assert_uint_eq(seen[0], 254);
    ck_assert_uint_eq(seen[1], 1);
    ck_assert_uint_eq(seen[2], 1);
    ck_assert_uint_eq(seen[3], PINS);
    ck_assert_uint_eq(seen[4], 2);
}
END_TEST

START_TEST(each_pin_is_the_isa_interrupt_of_its_number)
{
    g_autoptr(GByteArray) bytes = build(1, NULL);
    const uint8_t *irq = bytes->data + POINTER_LEN + HEADER_LEN + 20 + 8 + 8;

    for (uint8_t pin = 0; pin < PINS; pin++, irq += 8) {
        const uint8_t expected[8] = {3, 0, 0x05, 0, 0, pin, 1, pin};

        ck_assert_mem_eq(irq, expected, sizeof(expected));
    }

    static const uint8_t local[] = {4, 3, 0, 0, 0, 0, 0xff, 0, 4, 1, 0, 0, 0, 0, 0xff, 1};

    ck_assert_mem_eq(irq, local, sizeof(local));
}
END_TEST

START_TEST(an_apic_id_that_needs_nine_bits_is_refused)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GByteArray) fits = build(255, &error);

    ck_assert_ptr_nonnull(fits);

    g_autoptr(GByteArray) bytes = build(256, &error);

    ck_assert_ptr_null(bytes);
    ck_assert_int_eq(error->code, VMM_ERROR_CONFIG);
    ck_assert_str_eq(error->message, "MP table: vCPU 255 has APIC id 255, expected at most 254");
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("mptable");

    tcase_add_test(tc, pointer_and_table_add_up_to_zero);
    tcase_add_test(tc, entries_are_counted_and_fill_the_table);
    tcase_add_test(tc, each_pin_is_the_isa_interrupt_of_its_number);
    tcase_add_test(tc, an_apic_id_that_needs_nine_bits_is_refused);
    return suite_run("mptable", tc);
}

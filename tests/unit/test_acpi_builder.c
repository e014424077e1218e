/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/acpi/builder.h"

#include "tests/unit/suite.h"
#include "util/bytes.h"

#include <string.h>

#define BASE UINT64_C(0x200000000)

static unsigned sum(const uint8_t *data, size_t len)
{
    unsigned total = 0;

    for (size_t i = 0; i < len; i++) {
        total += data[i];
    }
    return total & 0xff;
}

static GByteArray *body_of(const char *text)
{
    return g_byte_array_append(g_byte_array_new(), (const guint8 *)text, (guint)strlen(text));
}

START_TEST(checksum_makes_bytes_add_up_to_zero)
{
    uint8_t data[] = {0xff, 0x80, 0x07, 0};

    data[3] = acpi_checksum(data, sizeof(data));
    ck_assert_uint_eq(sum(data, sizeof(data)), 0);
    ck_assert_uint_eq(acpi_checksum(data, sizeof(data)), 0);
}
END_TEST

START_TEST(pointers_lead_from_the_root_to_every_listed_table)
{
    g_autoptr(AcpiBuilder) builder = acpi_builder_new(BASE);
    g_autoptr(GByteArray) hidden = body_of("hidden");
    g_autoptr(GByteArray) shown = body_of("shown to the guest");
    uint64_t first = acpi_builder_add(builder, "AAAA", 2, hidden, /* listed= */ false);
    uint64_t second = acpi_builder_add(builder, "BBBB", 3, shown, /* listed= */ true);
    g_autoptr(GByteArray) set = acpi_builder_finish(builder);
    const uint8_t *rsdp = set->data;
    uint64_t xsdt = load_le64(rsdp + 24);

    ck_assert_mem_eq(rsdp, "RSD PTR ", 8);
    ck_assert_uint_eq(rsdp[15], 2);
    ck_assert_uint_eq(sum(rsdp, 20), 0);
    ck_assert_uint_eq(sum(rsdp, 36), 0);
    ck_assert_mem_eq(set->data + (xsdt - BASE), "XSDT", 4);
    ck_assert_uint_eq(load_le32(set->data + (xsdt - BASE) + 4), 36 + 8);
    ck_assert_uint_eq(load_le64(set->data + (xsdt - BASE) + 36), second);
    ck_assert_mem_eq(set->data + (first - BASE), "AAAA", 4);
    ck_assert_mem_eq(set->data + (second - BASE), "BBBB", 4);
    ck_assert_mem_eq(set->data + (second - BASE) + 36, "shown to the guest", 18);
}
END_TEST

START_TEST(tables_are_aligned_and_add_up_to_zero)
{
    g_autoptr(AcpiBuilder) builder = acpi_builder_new(BASE);

    for (unsigned i = 0; i < 70; i++) {
        g_autofree char *text = g_strnfill(i, 'x');
        g_autoptr(GByteArray) body = body_of(text);

        ck_assert_uint_eq(acpi_builder_add(builder, "TEST", 1, body, /* listed= */ true) % 64, 0);
    }

    g_autoptr(GByteArray) set = acpi_builder_finish(builder);
    uint64_t offset = 64;

    for (unsigned i = 0; i < 70; i++) {
        const uint8_t *table = set->data + offset;

        ck_assert_mem_eq(table, "TEST", 4);
        ck_assert_uint_eq(load_le32(table + 4), 36 + i);
        ck_assert_uint_eq(sum(table, 36 + i), 0);
        offset = align_up(offset + 36 + i, 64);
    }
}
END_TEST

START_TEST(unfinished_builder_is_freed)
{
    acpi_builder_free(acpi_builder_new(BASE));
    acpi_builder_free(NULL);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("acpi_builder");

    tcase_add_test(tc, checksum_makes_bytes_add_up_to_zero);
    tcase_add_test(tc, pointers_lead_from_the_root_to_every_listed_table);
    tcase_add_test(tc, tables_are_aligned_and_add_up_to_zero);
    tcase_add_test(tc, unfinished_builder_is_freed);
    return suite_run("acpi_builder", tc);
}

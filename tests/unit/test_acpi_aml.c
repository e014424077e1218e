/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/acpi/aml.h"

#include "tests/unit/suite.h"

/* The bytes are worked out by hand from ACPI 6.3, chapter 20.2 and section 6.4. */
#define ASSERT_BYTES(aml, ...)                                   \
    do {                                                         \
        static const uint8_t expected[] = {__VA_ARGS__};         \
        g_autoptr(GByteArray) got = aml_finish(aml);             \
                                                                 \
        ck_assert_uint_eq(got->len, sizeof(expected));           \
        ck_assert_mem_eq(got->data, expected, sizeof(expected)); \
    } while (0)

START_TEST(integers_take_the_least_room)
{
    g_autoptr(Aml) aml = aml_new();

    aml_int(aml, 0);
    aml_int(aml, 1);
    aml_int(aml, 0xff);
    aml_int(aml, 0x100);
    aml_int(aml, 0x10000);
    aml_int(aml, UINT64_C(0x100000000));
    ASSERT_BYTES(aml, 0x00, 0x01, 0x0a, 0xff, 0x0b, 0x00, 0x01, 0x0c, 0x00, 0x00, 0x01, 0x00, 0x0e,
                 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00);
}
END_TEST

START_TEST(paths_are_padded_and_prefixed_by_their_segment_count)
{
    g_autoptr(Aml) aml = aml_new();

    aml_path(aml, "\\");
    aml_path(aml, "GED");
    aml_path(aml, "\\_SB.PWRB");
    aml_path(aml, "A.B.C");
    ASSERT_BYTES(aml, '\\', 0, 'G', 'E', 'D', '_', '\\', 0x2e, '_', 'S', 'B', '_', 'P', 'W', 'R',
                 'B', 0x2f, 3, 'A', '_', '_', '_', 'B', '_', '_', '_', 'C', '_', '_', '_');
}
END_TEST

START_TEST(eisa_ids_are_compressed)
{
    g_autoptr(Aml) aml = aml_new();

    aml_name(aml, "_HID");
    aml_eisaid(aml, "PNP0501");
    ASSERT_BYTES(aml, 0x08, '_', 'H', 'I', 'D', 0x0c, 0x41, 0xd0, 0x05, 0x01);
}
END_TEST

START_TEST(nested_bodies_carry_their_lengths)
{
    g_autoptr(Aml) aml = aml_new();

    aml_scope(aml, "\\_SB");
    aml_device(aml, "DEV");
    aml_name(aml, "_UID");
    aml_string(aml, "x");
    aml_end(aml);
    aml_end(aml);
    ASSERT_BYTES(aml, 0x10, 21, '\\', '_', 'S', 'B', '_', 0x5b, 0x82, 13, 'D', 'E', 'V', '_', 0x08,
                 '_', 'U', 'I', 'D', 0x0d, 'x', 0);
}
END_TEST

START_TEST(methods_test_store_notify_and_return)
{
    g_autoptr(Aml) aml = aml_new();

    aml_method(aml, "_EVT", 1, /* serialized= */ true);
    aml_operator(aml, AML_STORE);
    aml_path(aml, "ESEL");
    aml_local(aml, 0);
    aml_if(aml);
    aml_operator(aml, AML_AND);
    aml_local(aml, 0);
    aml_int(aml, 2);
    aml_nowhere(aml);
    aml_operator(aml, AML_NOTIFY);
    aml_path(aml, "PWRB");
    aml_int(aml, 0x80);
    aml_end(aml);
    aml_else(aml);
    aml_operator(aml, AML_RETURN);
    aml_int(aml, 0);
    aml_end(aml);
    aml_end(aml);
    ASSERT_BYTES(aml, 0x14, 30, '_', 'E', 'V', 'T', 0x09, 0x70, 'E', 'S', 'E', 'L', 0x60, 0xa0, 13,
                 0x7b, 0x60, 0x0a, 0x02, 0x00, 0x86, 'P', 'W', 'R', 'B', 0x0a, 0x80, 0xa1, 3, 0xa4,
                 0x00);
}
END_TEST

START_TEST(packages_regions_and_fields)
{
    g_autoptr(Aml) aml = aml_new();

    aml_package(aml, 2);
    aml_int(aml, 5);
    aml_int(aml, 0);
    aml_end(aml);
    aml_region(aml, "EREG", /* space= */ 0, 0xfea00000, 4);
    aml_field32(aml, "EREG", "ESEL");
    ASSERT_BYTES(aml, 0x12, 5, 2, 0x0a, 5, 0x00, 0x5b, 0x80, 'E', 'R', 'E', 'G', 0x00, 0x0c, 0x00,
                 0x00, 0xa0, 0xfe, 0x0a, 4, 0x5b, 0x81, 11, 'E', 'R', 'E', 'G', 0x43, 'E', 'S', 'E',
                 'L', 32);
}
END_TEST

START_TEST(resource_templates_know_their_size)
{
    g_autoptr(Aml) aml = aml_new();

    aml_resources(aml);
    aml_res_memory32(aml, 0xf0100000, 0x200, /* writable= */ true);
    aml_res_interrupt(aml, 5, AML_EDGE);
    aml_res_interrupt(aml, 6, AML_LEVEL);
    aml_end(aml);
    ASSERT_BYTES(aml, 0x11, 35, 0x0a, 32, 0x86, 9, 0, 1, 0x00, 0x00, 0x10, 0xf0, 0x00, 0x02, 0, 0,
                 0x89, 6, 0, 0x03, 1, 5, 0, 0, 0, 0x89, 6, 0, 0x01, 1, 6, 0, 0, 0, 0x79, 0);
}
END_TEST

START_TEST(ports_isa_interrupts_and_windows)
{
    g_autoptr(Aml) aml = aml_new();

    aml_res_io(aml, 0x3f8, 8);
    aml_res_isa_irq(aml, 4);
    aml_res_memory64_window(aml, UINT64_C(0x8000000000), UINT64_C(0x1000000000),
                            /* cacheable= */ true);
    ASSERT_BYTES(aml, 0x47, 1, 0xf8, 0x03, 0xf8, 0x03, 1, 8, 0x22, 0x10, 0x00, 0x8a, 43, 0, 0, 0x0c,
                 0x03, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff,
                 0x8f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0);
}
END_TEST

/* Bodies need 1, 2, 3 and 4 bytes of length up to 0x3f, 0xfff, 0xfffff and beyond, all counted. */
START_TEST(lengths_grow_with_the_body)
{
    static const struct {
        guint text; /* length of the string; path, prefix and NUL add four bytes to it */
        guint length_bytes;
    } cases[] = {{0x3f - 5, 1},  {0x3f - 4, 2},    {0xfff - 6, 2},
                 {0xfff - 5, 3}, {0xfffff - 7, 3}, {0xfffff - 6, 4}};

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(Aml) aml = aml_new();
        g_autofree char *text = g_strnfill(cases[i].text, 'x');

        aml_scope(aml, "\\");
        aml_string(aml, text);
        aml_end(aml);

        g_autoptr(GByteArray) got = aml_finish(aml);
        const uint8_t *p = got->data + 1;
        guint follow = p[0] >> 6;
        guint length = follow == 0 ? p[0] : p[0] & 0xf;

        for (guint k = 0; k < follow; k++) {
            length |= (guint)p[1 + k] << (4 + 8 * k);
        }
        ck_assert_uint_eq(follow + 1, cases[i].length_bytes);
        ck_assert_uint_eq(length, got->len - 1);
        ck_assert_uint_eq(p[cases[i].length_bytes], '\\');
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("acpi_aml");

    tcase_add_test(tc, integers_take_the_least_room);
    tcase_add_test(tc, paths_are_padded_and_prefixed_by_their_segment_count);
    tcase_add_test(tc, eisa_ids_are_compressed);
    tcase_add_test(tc, nested_bodies_carry_their_lengths);
    tcase_add_test(tc, methods_test_store_notify_and_return);
    tcase_add_test(tc, packages_regions_and_fields);
    tcase_add_test(tc, resource_templates_know_their_size);
    tcase_add_test(tc, ports_isa_interrupts_and_windows);
    tcase_add_test(tc, lengths_grow_with_the_body);
    return suite_run("acpi_aml", tc);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "util/crc32c.h"

#include "tests/unit/suite.h"

#include <glib.h>

START_TEST(known_sums_come_out)
{
    static const uint8_t zeroes[32];
    uint8_t ones[32];
    uint8_t rising[32];

    for (unsigned i = 0; i < sizeof(ones); i++) {
        ones[i] = 0xff;
        rising[i] = (uint8_t)i;
    }
    ck_assert_uint_eq(crc32c(0, "", 0), 0);
    ck_assert_uint_eq(crc32c(0, "123456789", 9), 0xe3069283);
    ck_assert_uint_eq(crc32c(0, zeroes, sizeof(zeroes)), 0x8a9136aa);
    ck_assert_uint_eq(crc32c(0, ones, sizeof(ones)), 0x62a8ab43);
    ck_assert_uint_eq(crc32c(0, rising, sizeof(rising)), 0x46dd794e);
    ck_assert_uint_eq(crc32c_by_table(0, rising, sizeof(rising)), 0x46dd794e);
}
END_TEST

START_TEST(the_instruction_agrees_with_the_table_at_every_length_and_start)
{
    g_autofree uint8_t *data = g_malloc(20000);
    uint32_t x = 1;

    for (size_t i = 0; i < 20000; i++) {
        x = x * 1664525u + 1013904223u;
        data[i] = (uint8_t)(x >> 24);
    }
    for (size_t len = 0; len < 18000; len += len < 64 || (len > 4070 && len < 4100) ? 1 : 123) {
        const uint8_t *start = data + len % 9;

        ck_assert_uint_eq(crc32c(x, start, len), crc32c_by_table(x, start, len));
    }
}
END_TEST

START_TEST(a_sum_goes_on_where_it_stopped)
{
    g_autofree uint8_t *data = g_malloc0(10000);

    data[5000] = 1;
    for (size_t cut = 0; cut <= 10000; cut += 617) {
        ck_assert_uint_eq(crc32c(crc32c(0, data, cut), data + cut, 10000 - cut),
                          crc32c(0, data, 10000));
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("crc32c");

    tcase_add_test(tc, known_sums_come_out);
    tcase_add_test(tc, the_instruction_agrees_with_the_table_at_every_length_and_start);
    tcase_add_test(tc, a_sum_goes_on_where_it_stopped);
    return suite_run("crc32c", tc);
}

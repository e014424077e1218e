/* SPDX-License-Identifier: Apache-2.0 */
#include "util/text.h"

#include "tests/unit/suite.h"

#include <string.h>

#define KIB UINT64_C(1024)
#define MIB (KIB * KIB)
#define GIB (MIB * KIB)

START_TEST(numbers_are_read_strictly)
{
    static const struct {
        const char *text;
        bool good;
        uint64_t value;
    } cases[] = {
        {"0", true, 0},
        {"007", true, 7},
        {"18446744073709551615", true, UINT64_MAX},
        {"0x10", true, 16},
        {"0XfFFFffffFFFFffff", true, UINT64_MAX},
        {"", false, 0},
        {" 1", false, 0},
        {"1 ", false, 0},
        {"-1", false, 0},
        {"+1", false, 0},
        {"0x", false, 0},
        {"1k", false, 0},
        {"ff", false, 0},
        {"18446744073709551616", false, 0},
        {"0x10000000000000000", false, 0},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        uint64_t value = 42;

        ck_assert_msg(text_parse_uint(cases[i].text, &value) == cases[i].good, "'%s'",
                      cases[i].text);
        ck_assert_uint_eq(value, cases[i].good ? cases[i].value : 42);
    }
}
END_TEST

START_TEST(sizes_take_suffixes_fractions_and_a_unit)
{
    static const struct {
        const char *text;
        uint64_t unit;
        bool good;
        uint64_t bytes;
    } cases[] = {
        {"256", MIB, true, 256 * MIB},
        {"256", 1, true, 256},
        {"256M", 1, true, 256 * MIB},
        {"4g", MIB, true, 4 * GIB},
        {"1.5G", MIB, true, GIB + GIB / 2},
        {"0.5", MIB, true, MIB / 2},
        {"0.001953125k", 1, true, 2},
        {"2T", 1, true, 2048 * GIB},
        {"3P", 1, true, 3 * MIB * GIB},
        {"15E", 1, true, 15 * GIB * GIB},
        {"100b", MIB, true, 100},
        {"0x100", MIB, true, 256 * MIB},
        {"16E", 1, false, 0},
        {"18446744073709551615", MIB, false, 0},
        {"18446744073709551615.9b", 1, true, UINT64_MAX},
        {"1.25E", 1, true, 5 * (GIB * GIB / 4)},
        {"", 1, false, 0},
        {"M", 1, false, 0},
        {".5G", 1, false, 0},
        {"1.G", 1, false, 0},
        {"1MB", 1, false, 0},
        {"1x", 1, false, 0},
        {"-1M", 1, false, 0},
        {"1 M", 1, false, 0},
        {"0x10M", 1, false, 0},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        uint64_t bytes = 42;

        ck_assert_msg(text_parse_size(cases[i].text, cases[i].unit, &bytes) == cases[i].good,
                      "'%s'", cases[i].text);
        ck_assert_msg(bytes == (cases[i].good ? cases[i].bytes : 42), "'%s' is %ju", cases[i].text,
                      (uintmax_t)bytes);
    }
}
END_TEST

START_TEST(a_written_size_reads_back_as_itself)
{
    static const uint64_t sizes[] = {0,         1,       1000,       1024,      1536,
                                     256 * MIB, 3 * GIB, 2048 * GIB, GIB * GIB, UINT64_MAX};

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autofree char *text = text_format_size(sizes[i]);
        uint64_t bytes = 0;

        ck_assert(text_parse_size(text, 1, &bytes));
        ck_assert_uint_eq(bytes, sizes[i]);
    }

    g_autofree char *short_form = text_format_size(256 * MIB);

    ck_assert_str_eq(short_form, "256M");
}
END_TEST

START_TEST(truth_has_four_spellings)
{
    bool value = false;

    ck_assert(text_parse_bool("yes", &value) && value);
    ck_assert(text_parse_bool("false", &value) && !value);
    ck_assert(text_parse_bool("on", &value) && value);
    ck_assert(text_parse_bool("n", &value) && !value);
    ck_assert(!text_parse_bool("ON", &value));
    ck_assert(!text_parse_bool("1", &value));
    ck_assert(!text_parse_bool("", &value));
}
END_TEST

START_TEST(sets_take_ranges_and_read_back)
{
    uint64_t bits[4] = {0};
    g_autofree char *text = NULL;

    ck_assert(text_parse_set("0-3:7:62-65:255", 256, bits));
    ck_assert_uint_eq(bits[0], 0xc00000000000008f);
    ck_assert_uint_eq(bits[1], 3);
    ck_assert_uint_eq(bits[3], UINT64_C(1) << 63);
    text = text_format_set(bits, 256);
    ck_assert_str_eq(text, "0-3:7:62-65:255");
    ck_assert(!text_parse_set("256", 256, bits));
    ck_assert(!text_parse_set("0-256", 256, bits));
    ck_assert(!text_parse_set("3-1", 256, bits));
    ck_assert(!text_parse_set("1-", 256, bits));
    ck_assert(!text_parse_set("1:", 256, bits));
    ck_assert(!text_parse_set("", 256, bits));
    ck_assert(!text_parse_set("1,2", 256, bits));
}
END_TEST

START_TEST(mac_addresses_are_six_pairs)
{
    static const uint8_t expected[6] = {0x52, 0x54, 0x00, 0xab, 0xCD, 0x56};
    uint8_t mac[6] = {0};

    ck_assert(text_parse_mac("52:54:00:ab:CD:56", mac));
    ck_assert_mem_eq(mac, expected, 6);
    memset(mac, 0, 6);
    ck_assert(text_parse_mac("52-54-00-ab-CD-56", mac));
    ck_assert_mem_eq(mac, expected, 6);
    ck_assert(!text_parse_mac("52:54:00:ab:cd", mac));
    ck_assert(!text_parse_mac("52:54:00:ab:cd-56", mac));
    ck_assert(!text_parse_mac("52:54:00:ab:cd:5g", mac));
    ck_assert(!text_parse_mac("52:54:00:ab:cd:567", mac));
    ck_assert(!text_parse_mac("", mac));
}
END_TEST

START_TEST(a_uuid_reads_and_writes_the_same)
{
    const char *text = "71cd2bc3-9f5c-4a25-b6a6-0123456789ab";
    uint8_t uuid[16];
    char back[TEXT_UUID_SIZE];

    ck_assert(text_parse_uuid(text, uuid));
    ck_assert_uint_eq(uuid[0], 0x71);
    ck_assert_uint_eq(uuid[15], 0xab);
    text_format_uuid(uuid, back);
    ck_assert_str_eq(back, text);
    ck_assert(!text_parse_uuid("71cd2bc39f5c4a25b6a60123456789ab", uuid));
    ck_assert(!text_parse_uuid("71cd2bc3-9f5c-4a25-b6a6-0123456789a", uuid));
    ck_assert(!text_parse_uuid("71cd2bc3-9f5c-4a25-b6a6-0123456789abc", uuid));
    ck_assert(!text_parse_uuid("71cd2bc3-9f5c-4a25-b6a6-0123456789xy", uuid));
    ck_assert(!text_parse_uuid("", uuid));
}
END_TEST

START_TEST(an_id_begins_with_a_letter)
{
    char many[300];

    ck_assert(text_is_id("a"));
    ck_assert(text_is_id("libvirt-1.storage_x"));
    ck_assert(!text_is_id(""));
    ck_assert(!text_is_id("1a"));
    ck_assert(!text_is_id("a b"));
    ck_assert(!text_is_id("a/b"));
    memset(many, 'a', sizeof(many));
    many[255] = '\0';
    ck_assert(text_is_id(many));
    many[255] = 'a';
    many[256] = '\0';
    ck_assert(!text_is_id(many));
}
END_TEST

START_TEST(fields_end_at_a_comma_that_is_not_doubled)
{
    const char *cursor = "a=1,b=x,,y,,,c,";
    static const char *const expected[] = {"a=1", "b=x,y,", "c"};

    for (size_t i = 0; i < G_N_ELEMENTS(expected); i++) {
        g_autofree char *field = text_next_field(&cursor);

        ck_assert_str_eq(field, expected[i]);
    }
    ck_assert_ptr_null(text_next_field(&cursor));
    cursor = ",,";

    g_autofree char *comma = text_next_field(&cursor);

    ck_assert_str_eq(comma, ",");
    ck_assert_ptr_null(text_next_field(&cursor));
}
END_TEST

static const char *nearest_of(const char *word)
{
    static const char *const known[] = {"drive", "num-queues", "queue-size", "serial", "id"};
    TextNearest nearest = TEXT_NEAREST(word);

    for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
        text_nearest_offer(&nearest, known[i]);
    }
    text_nearest_offer(&nearest, NULL);
    return nearest.best;
}

START_TEST(the_nearest_word_is_near)
{
    ck_assert_str_eq(nearest_of("drvie"), "drive");
    ck_assert_str_eq(nearest_of("drives"), "drive");
    ck_assert_str_eq(nearest_of("numqueues"), "num-queues");
    ck_assert_str_eq(nearest_of("queue_size"), "queue-size");
    ck_assert_str_eq(nearest_of("queue"), "queue-size");
    ck_assert_str_eq(nearest_of("SERIAL"), "serial");
    ck_assert_ptr_null(nearest_of("bootindex"));
    ck_assert_ptr_null(nearest_of(""));
    ck_assert_ptr_null(nearest_of("a-word-that-is-much-longer-than-any-option-anybody-would-have"));
}
END_TEST

START_TEST(the_hint_ends_a_message)
{
    TextNearest nearest = TEXT_NEAREST("drvie");
    g_autofree char *none = text_nearest_hint(&nearest);

    ck_assert_str_eq(none, "");
    text_nearest_offer(&nearest, "drive");

    g_autofree char *hint = text_nearest_hint(&nearest);

    ck_assert_str_eq(hint, "; did you mean 'drive'?");
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("text");

    tcase_add_test(tc, numbers_are_read_strictly);
    tcase_add_test(tc, sizes_take_suffixes_fractions_and_a_unit);
    tcase_add_test(tc, a_written_size_reads_back_as_itself);
    tcase_add_test(tc, truth_has_four_spellings);
    tcase_add_test(tc, sets_take_ranges_and_read_back);
    tcase_add_test(tc, mac_addresses_are_six_pairs);
    tcase_add_test(tc, a_uuid_reads_and_writes_the_same);
    tcase_add_test(tc, an_id_begins_with_a_letter);
    tcase_add_test(tc, fields_end_at_a_comma_that_is_not_doubled);
    tcase_add_test(tc, the_nearest_word_is_near);
    tcase_add_test(tc, the_hint_ends_a_message);
    return suite_run("text", tc);
}

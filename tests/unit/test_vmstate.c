/* SPDX-License-Identifier: Apache-2.0 */
#include "migration/vmstate.h"

#include "tests/unit/suite.h"
#include "util/bytes.h"
#include "util/error.h"

#include <json-c/json.h>
#include <string.h>

typedef struct Ring {
    uint16_t last_avail;
    uint64_t address;
} Ring;

typedef struct Chip {
    uint8_t index;
    uint16_t divisor;
    uint32_t control;
    uint64_t clock;
    uint8_t enabled;
    uint8_t ram[4];
    uint16_t small[2];
    uint32_t medium[2];
    uint64_t large[1];
    Ring head;
    Ring queue[2];
    Ring *more;
    uint32_t num_more;
    uint8_t *fifo;
    uint32_t fifo_len;
    uint32_t *words;
    uint32_t num_words;
    Ring *spare;
    uint32_t num_spare;
    uint8_t late;      /* since version 2 */
    uint32_t extra;    /* in a subsection */
    unsigned saves;    /* not state: counts pre_save */
    uint32_t restored; /* not state: version that post_load saw */
} Chip;

static bool ring_post_load(void *dev, uint32_t version, GError **error)
{
    const Ring *ring = dev;

    (void)version;
    if (ring->last_avail > 256) {
        return fail(error, VMM_ERROR_WIRE, "last_avail: %u exceeds queue size 256",
                    ring->last_avail);
    }
    return true;
}

static const VmStateField ring_fields[] = {
    VMSTATE_FIELD_U16(Ring, last_avail, 1),
    VMSTATE_FIELD_U64(Ring, address, 1),
};

static const VmStateDesc ring_vmstate = {
    .name = "ring",
    .version = 1,
    .min_version = 1,
    .fields = ring_fields,
    .num_fields = G_N_ELEMENTS(ring_fields),
    .post_load = ring_post_load,
};

static bool chip_extra_needed(const void *dev)
{
    return ((const Chip *)dev)->extra != 0;
}

static const VmStateField chip_extra_fields[] = {
    VMSTATE_FIELD_U32(Chip, extra, 1),
};

static const VmStateDesc chip_extra_vmstate = {
    .name = "extra",
    .version = 1,
    .min_version = 1,
    .fields = chip_extra_fields,
    .num_fields = G_N_ELEMENTS(chip_extra_fields),
    .needed = chip_extra_needed,
};

static const VmStateDesc *const chip_subsections[] = {&chip_extra_vmstate};

static bool chip_pre_save(void *dev, GError **error)
{
    Chip *chip = dev;

    (void)error;
    chip->saves++;
    return true;
}

static bool chip_post_load(void *dev, uint32_t version, GError **error)
{
    Chip *chip = dev;

    (void)error;
    chip->restored = version;
    return true;
}

static const VmStateField chip_fields[] = {
    VMSTATE_FIELD_U8(Chip, index, 1),
    VMSTATE_FIELD_U16(Chip, divisor, 1),
    VMSTATE_FIELD_U32(Chip, control, 1),
    VMSTATE_FIELD_U64(Chip, clock, 1),
    VMSTATE_FIELD_BOOL(Chip, enabled, 1),
    VMSTATE_FIELD_BYTES(Chip, ram, 1),
    VMSTATE_FIELD_U16_ARRAY(Chip, small, 1),
    VMSTATE_FIELD_U32_ARRAY(Chip, medium, 1),
    VMSTATE_FIELD_U64_ARRAY(Chip, large, 1),
    VMSTATE_FIELD_STRUCT(Chip, head, Ring, &ring_vmstate, 1),
    VMSTATE_FIELD_STRUCT_ARRAY(Chip, queue, Ring, &ring_vmstate, 1),
    VMSTATE_FIELD_STRUCTS_BEHIND(Chip, more, num_more, 8, Ring, &ring_vmstate, 1),
    VMSTATE_FIELD_BUFFER(Chip, fifo, fifo_len, 16, 1),
    VMSTATE_FIELD_U32_BUFFER(Chip, words, num_words, 4, 1),
    VMSTATE_FIELD_STRUCT_BUFFER(Chip, spare, num_spare, 3, Ring, &ring_vmstate, 1),
    VMSTATE_FIELD_U8(Chip, late, 2),
};

static const VmStateDesc chip_vmstate = {
    .name = "chip",
    .version = 2,
    .min_version = 1,
    .fields = chip_fields,
    .num_fields = G_N_ELEMENTS(chip_fields),
    .subsections = chip_subsections,
    .num_subsections = G_N_ELEMENTS(chip_subsections),
    .pre_save = chip_pre_save,
    .post_load = chip_post_load,
};

static Chip *chip_new(void)
{
    Chip *chip = g_new0(Chip, 1);

    chip->more = g_new0(Ring, 2);
    chip->num_more = 2;
    return chip;
}

static void chip_free(Chip *chip)
{
    g_free(chip->more);
    g_free(chip->fifo);
    g_free(chip->words);
    g_free(chip->spare);
    g_free(chip);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Chip, chip_free)

static Chip *chip_example(void)
{
    Chip *chip = chip_new();

    chip->index = 0x11;
    chip->divisor = 0x2233;
    chip->control = 0x44556677;
    chip->clock = UINT64_C(0x8899aabbccddeeff);
    chip->enabled = 1;
    memcpy(chip->ram, "RAM!", 4);
    chip->small[1] = 0xabcd;
    chip->medium[0] = 7;
    chip->large[0] = UINT64_MAX;
    chip->head.last_avail = 5;
    chip->queue[1] = (Ring){.last_avail = 200, .address = 0x1000};
    chip->more[0].address = 0x2000;
    chip->fifo = g_memdup2("xyz", 3);
    chip->fifo_len = 3;
    chip->words = g_new0(uint32_t, 2);
    chip->num_words = 2;
    chip->words[1] = 9;
    chip->spare = g_new0(Ring, 1);
    chip->num_spare = 1;
    chip->spare[0].last_avail = 77;
    chip->late = 3;
    chip->extra = 0xe;
    return chip;
}

static GByteArray *saved(const VmStateDesc *desc, void *dev)
{
    GByteArray *out = g_byte_array_new();
    g_autoptr(GError) error = NULL;

    ck_assert(vmstate_save(desc, dev, out, &error));
    return out;
}

static void check_load_fails(const GByteArray *bytes, const char *message)
{
    g_autoptr(Chip) chip = chip_new();
    g_autoptr(GError) error = NULL;

    ck_assert(!vmstate_load(&chip_vmstate, chip, bytes->data, bytes->len, &error));
    ck_assert_str_eq(error->message, message);
    ck_assert_int_eq(error->code, VMM_ERROR_WIRE);
}

START_TEST(the_wire_form_is_what_it_always_was)
{
    static const uint8_t golden[] = {
        1, 0,  0,   0,                                                  /* version */
        2, 10, 'l', 'a', 's',  't',  '_',  'a',  'v',  'a',  'i',  'l', /* u16 */
        2, 0,  0,   0,   0x34, 0x00,                                    /* */
        4, 7,  'a', 'd', 'd',  'r',  'e',  's',  's',                   /* u64 */
        8, 0,  0,   0,   0xef, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0x01,
    };
    Ring ring = {.last_avail = 0x34, .address = UINT64_C(0x0123456789abcdef)};
    g_autoptr(GByteArray) out = saved(&ring_vmstate, &ring);

    ck_assert_uint_eq(out->len, sizeof(golden));
    ck_assert_mem_eq(out->data, golden, sizeof(golden));
}
END_TEST

START_TEST(everything_comes_back)
{
    g_autoptr(Chip) from = chip_example();
    g_autoptr(Chip) to = chip_new();
    g_autoptr(GByteArray) out = saved(&chip_vmstate, from);
    g_autoptr(GError) error = NULL;

    ck_assert_uint_eq(from->saves, 1);
    ck_assert(vmstate_load(&chip_vmstate, to, out->data, out->len, &error));
    ck_assert_uint_eq(to->restored, 2);
    ck_assert_uint_eq(to->index, 0x11);
    ck_assert_uint_eq(to->divisor, 0x2233);
    ck_assert_uint_eq(to->control, 0x44556677);
    ck_assert(to->clock == UINT64_C(0x8899aabbccddeeff));
    ck_assert_uint_eq(to->enabled, 1);
    ck_assert_mem_eq(to->ram, "RAM!", 4);
    ck_assert_uint_eq(to->small[1], 0xabcd);
    ck_assert_uint_eq(to->medium[0], 7);
    ck_assert(to->large[0] == UINT64_MAX);
    ck_assert_uint_eq(to->head.last_avail, 5);
    ck_assert_uint_eq(to->queue[1].last_avail, 200);
    ck_assert_uint_eq(to->more[0].address, 0x2000);
    ck_assert_uint_eq(to->fifo_len, 3);
    ck_assert_mem_eq(to->fifo, "xyz", 3);
    ck_assert_uint_eq(to->num_words, 2);
    ck_assert_uint_eq(to->words[1], 9);
    ck_assert_uint_eq(to->num_spare, 1);
    ck_assert_uint_eq(to->spare[0].last_avail, 77);
    ck_assert_uint_eq(to->late, 3);
    ck_assert_uint_eq(to->extra, 0xe);

    g_autoptr(GByteArray) again = saved(&chip_vmstate, to);

    ck_assert_uint_eq(again->len, out->len);
    ck_assert_mem_eq(again->data, out->data, out->len);
}
END_TEST

START_TEST(an_empty_buffer_replaces_a_full_one)
{
    g_autoptr(Chip) from = chip_new();
    g_autoptr(Chip) to = chip_example();
    g_autoptr(GByteArray) out = saved(&chip_vmstate, from);
    g_autoptr(GError) error = NULL;

    ck_assert(vmstate_load(&chip_vmstate, to, out->data, out->len, &error));
    ck_assert_uint_eq(to->fifo_len, 0);
    ck_assert_ptr_null(to->fifo);
    ck_assert_uint_eq(to->num_spare, 0);
}
END_TEST

START_TEST(a_subsection_is_saved_only_when_needed)
{
    g_autoptr(Chip) chip = chip_example();
    g_autoptr(GByteArray) with = saved(&chip_vmstate, chip);

    chip->extra = 0;

    g_autoptr(GByteArray) without = saved(&chip_vmstate, chip);

    ck_assert_uint_lt(without->len, with->len);

    g_autoptr(Chip) to = chip_new();
    g_autoptr(GError) error = NULL;

    ck_assert(vmstate_load(&chip_vmstate, to, without->data, without->len, &error));
    ck_assert_uint_eq(to->extra, 0);
}
END_TEST

START_TEST(every_truncation_is_refused)
{
    g_autoptr(Chip) from = chip_example();
    g_autoptr(GByteArray) out = saved(&chip_vmstate, from);
    guint whole = out->len;

    from->extra = 0;

    g_autoptr(GByteArray) without = saved(&chip_vmstate, from);

    for (guint len = 0; len < whole; len++) {
        g_autoptr(Chip) to = chip_new();
        g_autoptr(GError) error = NULL;
        /* An exact copy, so that a read past the end is one past an allocation. */
        g_autofree uint8_t *copy = g_memdup2(out->data, len);
        bool ok = vmstate_load(&chip_vmstate, to, copy, len, &error);

        /* Cut off right before the optional subsection is a whole stream. */
        ck_assert(ok == (len == without->len));
        ck_assert(ok == (error == NULL));
    }
}
END_TEST

START_TEST(a_flipped_byte_is_refused_or_harmless)
{
    g_autoptr(Chip) from = chip_example();
    g_autoptr(GByteArray) out = saved(&chip_vmstate, from);

    for (guint at = 0; at < out->len; at++) {
        for (unsigned flip = 1; flip < 256; flip += flip) {
            g_autoptr(Chip) to = chip_new();
            g_autoptr(GError) error = NULL;

            out->data[at] ^= (uint8_t)flip;

            bool ok = vmstate_load(&chip_vmstate, to, out->data, out->len, &error);

            out->data[at] ^= (uint8_t)flip;
            ck_assert(ok == (error == NULL));
            if (ok) {
                g_autoptr(GByteArray) again = saved(&chip_vmstate, to);

                ck_assert_uint_gt(again->len, 0);
            }
        }
    }
}
END_TEST

START_TEST(the_message_says_where_the_fault_is)
{
    g_autoptr(Chip) from = chip_example();

    from->queue[1].last_avail = 300;

    g_autoptr(GByteArray) in_queue = saved(&chip_vmstate, from);

    check_load_fails(in_queue, "queue[1].last_avail: 300 exceeds queue size 256");
    from->queue[1].last_avail = 0;
    from->head.last_avail = 301;

    g_autoptr(GByteArray) in_head = saved(&chip_vmstate, from);

    check_load_fails(in_head, "head.last_avail: 301 exceeds queue size 256");
}
END_TEST

/* A stream of the chip's that is whole but for one thing. */
static GByteArray *ring_stream(void)
{
    Ring ring = {.last_avail = 1, .address = 2};

    return saved(&ring_vmstate, &ring);
}

static void check_ring_fails(const GByteArray *bytes, const char *message)
{
    Ring ring = {0};
    g_autoptr(GError) error = NULL;

    ck_assert(!vmstate_load(&ring_vmstate, &ring, bytes->data, bytes->len, &error));
    ck_assert_str_eq(error->message, message);
}

START_TEST(an_unknown_field_is_named)
{
    g_autoptr(GByteArray) out = ring_stream();

    out->data[6] = 'L';
    check_ring_fails(out, "Last_avail: unknown field");
    out->data[6] = '\n';
    check_ring_fails(out, "\\nast_avail: unknown field");
}
END_TEST

START_TEST(a_field_sent_twice_is_refused)
{
    g_autoptr(GByteArray) out = ring_stream();
    g_autofree uint8_t *copy = g_memdup2(out->data + 4, 18);

    g_byte_array_append(out, copy, 18);
    check_ring_fails(out, "last_avail: sent twice");
}
END_TEST

START_TEST(a_missing_field_is_named)
{
    g_autoptr(GByteArray) out = ring_stream();

    g_byte_array_remove_range(out, 4, 18);
    check_ring_fails(out, "last_avail: missing");
}
END_TEST

START_TEST(a_wrong_kind_or_size_is_refused)
{
    g_autoptr(GByteArray) out = ring_stream();

    out->data[4] = VMSTATE_KIND_U32;
    check_ring_fails(out, "last_avail: kind 0x3, expected 0x2");
    out->data[4] = VMSTATE_KIND_U16;
    out->data[16] = 1;
    g_byte_array_remove_index(out, 21);
    check_ring_fails(out, "last_avail: 1 bytes are not a whole number of 2-byte values");
    out->data[16] = 0;
    g_byte_array_remove_index(out, 20);
    check_ring_fails(out, "last_avail: 0 elements, expected 1");
}
END_TEST

START_TEST(a_version_from_the_future_is_refused_with_both_numbers)
{
    g_autoptr(GByteArray) out = ring_stream();

    out->data[0] = 9;
    check_ring_fails(out, "version: 9, expected 1..1");
}
END_TEST

START_TEST(an_older_version_lacks_the_newer_field)
{
    VmStateDesc old = chip_vmstate;
    g_autoptr(Chip) from = chip_example();
    g_autoptr(Chip) to = chip_new();
    g_autoptr(GError) error = NULL;

    old.version = 1;
    old.num_fields--; /* late is the last */

    g_autoptr(GByteArray) out = saved(&old, from);

    to->late = 42;
    ck_assert(vmstate_load(&chip_vmstate, to, out->data, out->len, &error));
    ck_assert_uint_eq(to->restored, 1);
    ck_assert_uint_eq(to->late, 42);

    g_autoptr(GByteArray) fresh = saved(&chip_vmstate, from);

    fresh->data[0] = 1;
    check_load_fails(fresh, "late: does not belong to version 1");
}
END_TEST

START_TEST(a_boolean_is_zero_or_one)
{
    g_autoptr(Chip) from = chip_example();
    g_autoptr(GByteArray) out = g_byte_array_new();
    g_autoptr(GError) error = NULL;

    from->enabled = 2;
    ck_assert(!vmstate_save(&chip_vmstate, from, out, &error));
    ck_assert_str_eq(error->message, "enabled: 2 is not a boolean");
}
END_TEST

START_TEST(counts_beyond_the_maximum_are_refused_both_ways)
{
    g_autoptr(Chip) from = chip_example();
    g_autoptr(GByteArray) out = g_byte_array_new();
    g_autoptr(GError) error = NULL;

    g_free(from->fifo);
    from->fifo = g_malloc0(17);
    from->fifo_len = 17;
    ck_assert(!vmstate_save(&chip_vmstate, from, out, &error));
    ck_assert_str_eq(error->message, "fifo: 17 elements exceed the maximum of 16");

    VmStateField wide_fields[G_N_ELEMENTS(chip_fields)];
    VmStateDesc wide = chip_vmstate;

    memcpy(wide_fields, chip_fields, sizeof(wide_fields));
    for (size_t i = 0; i < G_N_ELEMENTS(wide_fields); i++) {
        wide_fields[i].max_count *= 2;
    }
    wide.fields = wide_fields;

    g_autoptr(GByteArray) big = saved(&wide, from);

    check_load_fails(big, "fifo: 17 elements exceed the maximum of 16");
}
END_TEST

START_TEST(elements_made_by_the_constructor_must_match)
{
    g_autoptr(Chip) from = chip_example();

    from->num_more = 1;

    g_autoptr(GByteArray) out = saved(&chip_vmstate, from);

    check_load_fails(out, "more: 1 elements, expected 2");
}
END_TEST

START_TEST(a_failed_load_leaves_pointers_that_can_be_freed)
{
    g_autoptr(Chip) from = chip_example();
    g_autoptr(Chip) to = chip_example();
    g_autoptr(GError) error = NULL;

    from->spare[0].last_avail = 999;

    g_autoptr(GByteArray) out = saved(&chip_vmstate, from);

    ck_assert(!vmstate_load(&chip_vmstate, to, out->data, out->len, &error));
    ck_assert_str_eq(error->message, "spare[0].last_avail: 999 exceeds queue size 256");
    ck_assert_uint_eq(to->num_spare, 1);
}
END_TEST

START_TEST(tables_are_checked)
{
    g_autoptr(GError) error = NULL;
    VmStateField fields[] = {
        VMSTATE_FIELD_U16(Ring, last_avail, 1),
        VMSTATE_FIELD_U64(Ring, address, 1),
    };
    VmStateDesc desc = ring_vmstate;

    ck_assert(vmstate_check(&chip_vmstate, &error));
    desc.fields = fields;
    fields[1].since = 2;
    ck_assert(!vmstate_check(&desc, &error));
    ck_assert_str_eq(error->message, "address: since 2 is not in 1..1");
    g_clear_error(&error);
    fields[1] = fields[0];
    ck_assert(!vmstate_check(&desc, &error));
    ck_assert_str_eq(error->message, "last_avail: listed twice");
    g_clear_error(&error);
    desc.min_version = 2;
    ck_assert(!vmstate_check(&desc, &error));
    ck_assert_str_eq(error->message, "version: min_version 2 is not in 1..1");
}
END_TEST

START_TEST(the_schema_lists_every_field)
{
    json_object *schema = vmstate_schema(&ring_vmstate);

    ck_assert_str_eq(json_object_to_json_string_ext(schema, JSON_C_TO_STRING_PLAIN),
                     "{\"name\":\"ring\",\"version\":1,\"min-version\":1,\"fields\":["
                     "{\"name\":\"last_avail\",\"kind\":\"u16\",\"form\":\"one\",\"since\":1},"
                     "{\"name\":\"address\",\"kind\":\"u64\",\"form\":\"one\",\"since\":1}]}");
    json_object_put(schema);
}
END_TEST

START_TEST(a_saved_object_prints_without_its_table)
{
    g_autoptr(Chip) from = chip_example();
    g_autoptr(GByteArray) out = saved(&chip_vmstate, from);
    g_autoptr(GError) error = NULL;
    json_object *dump = vmstate_dump(out->data, out->len, &error);

    ck_assert_ptr_nonnull(dump);
    ck_assert_str_eq(
        json_object_to_json_string_ext(dump, JSON_C_TO_STRING_PLAIN),
        "{\"version\":2,\"index\":17,\"divisor\":8755,\"control\":1146447479,"
        "\"clock\":9843086184167632639,\"enabled\":true,\"ram\":\"52414d21\",\"small\":[0,43981],"
        "\"medium\":[7,0],\"large\":[18446744073709551615],"
        "\"head\":{\"version\":1,\"last_avail\":5,\"address\":0},"
        "\"queue\":[{\"version\":1,\"last_avail\":0,\"address\":0},"
        "{\"version\":1,\"last_avail\":200,\"address\":4096}],"
        "\"more\":[{\"version\":1,\"last_avail\":0,\"address\":8192},"
        "{\"version\":1,\"last_avail\":0,\"address\":0}],\"fifo\":\"78797a\",\"words\":[0,9],"
        "\"spare\":[{\"version\":1,\"last_avail\":77,\"address\":0}],\"late\":3,"
        "\"extra\":{\"version\":1,\"extra\":14}}");
    json_object_put(dump);
    for (guint len = 0; len < out->len; len++) {
        g_autoptr(GError) cut = NULL;

        json_object_put(vmstate_dump(out->data, len, &cut));
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("vmstate");

    tcase_add_test(tc, the_wire_form_is_what_it_always_was);
    tcase_add_test(tc, everything_comes_back);
    tcase_add_test(tc, an_empty_buffer_replaces_a_full_one);
    tcase_add_test(tc, a_subsection_is_saved_only_when_needed);
    tcase_add_test(tc, every_truncation_is_refused);
    tcase_add_test(tc, a_flipped_byte_is_refused_or_harmless);
    tcase_add_test(tc, the_message_says_where_the_fault_is);
    tcase_add_test(tc, an_unknown_field_is_named);
    tcase_add_test(tc, a_field_sent_twice_is_refused);
    tcase_add_test(tc, a_missing_field_is_named);
    tcase_add_test(tc, a_wrong_kind_or_size_is_refused);
    tcase_add_test(tc, a_version_from_the_future_is_refused_with_both_numbers);
    tcase_add_test(tc, an_older_version_lacks_the_newer_field);
    tcase_add_test(tc, a_boolean_is_zero_or_one);
    tcase_add_test(tc, counts_beyond_the_maximum_are_refused_both_ways);
    tcase_add_test(tc, elements_made_by_the_constructor_must_match);
    tcase_add_test(tc, a_failed_load_leaves_pointers_that_can_be_freed);
    tcase_add_test(tc, tables_are_checked);
    tcase_add_test(tc, the_schema_lists_every_field);
    tcase_add_test(tc, a_saved_object_prints_without_its_table);
    return suite_run("vmstate", tc);
}

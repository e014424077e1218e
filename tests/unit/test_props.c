/* SPDX-License-Identifier: Apache-2.0 */
#include "util/props.h"

#include "tests/unit/suite.h"
#include "util/error.h"

#include <json-c/json.h>
#include <string.h>

typedef struct Disk {
    int untouched;
    char *drive;
    char *serial;
    bool readonly;
    bool readonly_given;
    OnOffAuto event_idx;
    uint64_t queues;
    uint64_t queue_size;
    uint64_t memory;
    unsigned cache;
    uint8_t mac[6];
    uint64_t nodes[2];
} Disk;

static const char *const cache_names[] = {"writeback", "none", "unsafe", NULL};

static const PropDesc disk_props[] = {
    {.name = "drive",
     .type = PROP_STRING,
     .offset = offsetof(Disk, drive),
     .required = true,
     .help = "the drive behind it"},
    {.name = "serial", .type = PROP_STRING, .offset = offsetof(Disk, serial), .max = 20},
    {.name = "readonly",
     .alias = "read-only",
     .type = PROP_BOOL,
     .offset = offsetof(Disk, readonly),
     .given_offset = offsetof(Disk, readonly_given)},
    {.name = "event_idx",
     .type = PROP_ON_OFF_AUTO,
     .offset = offsetof(Disk, event_idx),
     .default_text = "on"},
    {.name = "num-queues",
     .type = PROP_UINT,
     .offset = offsetof(Disk, queues),
     .min = 1,
     .max = 32,
     .default_text = "1",
     .help = "request queues"},
    {.name = "queue-size",
     .type = PROP_UINT,
     .offset = offsetof(Disk, queue_size),
     .min = 2,
     .max = 1024,
     .power_of_two = true,
     .default_text = "256"},
    {.name = "memory", .type = PROP_SIZE, .offset = offsetof(Disk, memory), .unit_mib = true},
    {.name = "cache", .type = PROP_ENUM, .offset = offsetof(Disk, cache), .names = cache_names},
    {.name = "mac", .type = PROP_MAC, .offset = offsetof(Disk, mac)},
    {.name = "nodes",
     .type = PROP_SET,
     .offset = offsetof(Disk, nodes),
     .max = 127,
     .default_text = "5"},
    {.name = "bootindex", .type = PROP_UINT, .ignored = true, .help = "there is no firmware"},
    {.name = "romfile", .type = PROP_STRING, .ignored = true, .help = "there is no firmware"},
};

static const PropTable disk_table = PROP_TABLE("device disk", disk_props, Disk);

static bool apply(const char *text, Disk *disk, GError **error)
{
    g_autoptr(PropBag) bag = props_parse(text, "driver", error);

    return bag && props_apply(&disk_table, bag, disk, error);
}

static void assert_refused(const char *text, const char *message)
{
    g_autoptr(GError) error = NULL;
    Disk disk;

    ck_assert_msg(!apply(text, &disk, &error), "%s", text);
    ck_assert_int_eq(error->code, VMM_ERROR_CONFIG);
    ck_assert_str_eq(error->message, message);
}

START_TEST(every_type_lands_in_its_member)
{
    g_autoptr(GError) error = NULL;
    Disk disk = {.untouched = 42};
    static const uint8_t mac[6] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};

    ck_assert(apply("disk,id=d0,drive=a,,b,serial=s,readonly,event_idx=auto,num-queues=0x4,"
                    "queue-size=128,memory=1.5G,cache=unsafe,mac=52:54:00:12:34:56,"
                    "nodes=0-1,nodes=64,bootindex=1,romfile=",
                    &disk, &error));
    ck_assert_int_eq(disk.untouched, 42);
    ck_assert_str_eq(disk.drive, "a,b");
    ck_assert_str_eq(disk.serial, "s");
    ck_assert(disk.readonly);
    ck_assert(disk.readonly_given);
    ck_assert_int_eq(disk.event_idx, ON_OFF_AUTO_AUTO);
    ck_assert_uint_eq(disk.queues, 4);
    ck_assert_uint_eq(disk.queue_size, 128);
    ck_assert_uint_eq(disk.memory, UINT64_C(1536) << 20);
    ck_assert_uint_eq(disk.cache, 2);
    ck_assert_mem_eq(disk.mac, mac, 6);
    ck_assert_uint_eq(disk.nodes[0], 3);
    ck_assert_uint_eq(disk.nodes[1], 1);
    props_clear(&disk_table, &disk);
    ck_assert_ptr_null(disk.drive);
    ck_assert_ptr_null(disk.serial);
}
END_TEST

START_TEST(what_is_not_given_has_its_default)
{
    g_autoptr(GError) error = NULL;
    Disk disk;

    memset(&disk, 0xa5, sizeof(disk));
    ck_assert(apply("disk,drive=a", &disk, &error));
    ck_assert_ptr_null(disk.serial);
    ck_assert(!disk.readonly);
    ck_assert(!disk.readonly_given);
    ck_assert_int_eq(disk.event_idx, ON_OFF_AUTO_ON);
    ck_assert_uint_eq(disk.queues, 1);
    ck_assert_uint_eq(disk.memory, 0);
    ck_assert_uint_eq(disk.cache, 0);
    ck_assert_uint_eq(disk.nodes[0], 1 << 5);
    props_clear(&disk_table, &disk);
}
END_TEST

START_TEST(a_word_alone_is_on_and_with_no_before_it_off)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(PropBag) bag = props_parse("unix:/s,server,nowait", "path", &error);

    ck_assert_str_eq(prop_bag_type(bag), "unix:/s");
    ck_assert_str_eq(prop_bag_get(bag, "server"), "on");
    ck_assert_str_eq(prop_bag_get(bag, "wait"), "off");
    ck_assert_uint_eq(prop_bag_count(bag), 3);
    ck_assert_ptr_null(prop_bag_get(bag, "nowait"));
}
END_TEST

START_TEST(an_alias_is_the_same_property)
{
    g_autoptr(GError) error = NULL;
    Disk disk;

    ck_assert(apply("disk,drive=a,read-only=on", &disk, &error));
    ck_assert(disk.readonly);
    props_clear(&disk_table, &disk);
    assert_refused("disk,drive=a,read-only=on,readonly=on",
                   "device disk: property 'readonly' is given twice");
}
END_TEST

START_TEST(mistakes_are_named_with_what_was_expected)
{
    assert_refused("disk,drvie=a", "device disk: unknown property 'drvie'; did you mean 'drive'?");
    assert_refused("disk,drive=a,zzz=1", "device disk: unknown property 'zzz'");
    assert_refused("disk", "device disk: property 'drive' is missing");
    assert_refused("disk,drive=a,drive=b", "device disk: property 'drive' is given twice");
    assert_refused("disk,drive=a,id=x,id=y", "device disk: property 'id' is given twice");
    assert_refused("disk,drive=a,num-queues=33",
                   "device disk: property 'num-queues' is '33': expected a number from 1 to 32");
    assert_refused("disk,drive=a,num-queues=2x",
                   "device disk: property 'num-queues' is '2x': expected a number from 1 to 32");
    assert_refused(
        "disk,drive=a,queue-size=100",
        "device disk: property 'queue-size' is '100': expected a power of two from 2 to 1024");
    assert_refused("disk,drive=a,readonly=maybe",
                   "device disk: property 'readonly' is 'maybe': expected on or off");
    assert_refused("disk,drive=a,event_idx=1",
                   "device disk: property 'event_idx' is '1': expected on, off or auto");
    assert_refused("disk,drive=a,memory=99999999999T",
                   "device disk: property 'memory' is '99999999999T': expected a size such as "
                   "512M or 2G");
    assert_refused("disk,drive=a,cache=no",
                   "device disk: property 'cache' is 'no': expected writeback, none or unsafe");
    assert_refused("disk,drive=a,mac=1", "device disk: property 'mac' is '1': expected six bytes "
                                         "such as 52:54:00:12:34:56");
    assert_refused("disk,drive=a,nodes=128", "device disk: property 'nodes' is '128': expected "
                                             "numbers up to 127 such as 0-3 or 1:4");
    assert_refused("disk,drive=a,serial=123456789012345678901",
                   "device disk: property 'serial' is '123456789012345678901': expected at most "
                   "20 characters");
    assert_refused("disk,drive=a,bootindex=first",
                   "device disk: property 'bootindex' is 'first': expected a number");
    assert_refused("disk,drive=a,=x", "'=x' has no property name: expected name=value");
    assert_refused("disk,,drive=a", "device disk: unknown property 'disk,drive'");
}
END_TEST

START_TEST(json_says_the_same_as_text)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(PropBag) bag =
        props_parse("{\"driver\": \"disk\", \"id\": \"d0\", \"drive\": \"a,b\","
                    " \"num-queues\": 4, \"readonly\": true, \"nodes\": [1, 3],"
                    " \"memory\": 8 } ",
                    "driver", &error);
    Disk disk;

    ck_assert_msg(bag != NULL, "%s", error ? error->message : "");
    ck_assert_str_eq(prop_bag_type(bag), "disk");
    ck_assert_str_eq(prop_bag_id(bag), "d0");
    ck_assert(props_apply(&disk_table, bag, &disk, &error));
    ck_assert_str_eq(disk.drive, "a,b");
    ck_assert_uint_eq(disk.queues, 4);
    ck_assert(disk.readonly);
    ck_assert_uint_eq(disk.nodes[0], 10);
    ck_assert_uint_eq(disk.memory, 8 << 20);
    props_clear(&disk_table, &disk);
}
END_TEST

START_TEST(nested_json_becomes_dotted_keys)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(PropBag) bag =
        props_parse("{\"node-name\":\"n\",\"file\":{\"driver\":\"file\",\"locking\":false},"
                    "\"list\":[{\"str\":\"x\"},{\"str\":\"y\"}]}",
                    "driver", &error);

    ck_assert_str_eq(prop_bag_get(bag, "file.driver"), "file");
    ck_assert_str_eq(prop_bag_get(bag, "file.locking"), "off");
    ck_assert_str_eq(prop_bag_get(bag, "list.0.str"), "x");
    ck_assert_str_eq(prop_bag_get(bag, "list.1.str"), "y");
    ck_assert_ptr_null(prop_bag_type(bag));
}
END_TEST

START_TEST(broken_json_is_refused_where_it_breaks)
{
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {
        {"{\"a\":", "not valid JSON at character 6: it ends too early"},
        {"{\"a\":1} x", "not valid JSON at character 9: text after the object"},
        {"{\"a\":null}", "property 'a' is null: expected a value"},
        {"{\"\":1}", "a property without a name in '{}'"},
        {"{\"a\":\"x\\u0000y\"}", "property 'a' contains a NUL character"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;

        ck_assert_ptr_null(props_parse(cases[i].text, "driver", &error));
        ck_assert_str_eq(error->message, cases[i].message);
    }

    /* deeper than any property is nested */
    g_autoptr(GString) deep = g_string_new(NULL);
    g_autoptr(GError) error = NULL;

    for (unsigned i = 0; i < 10000; i++) {
        g_string_append(deep, "{\"a\":");
    }
    ck_assert_ptr_null(props_parse(deep->str, NULL, &error));
    ck_assert_int_eq(error->code, VMM_ERROR_CONFIG);
}
END_TEST

static void assert_round_trip(const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(PropBag) bag = props_parse(text, "driver", &error);
    g_autoptr(PropBag) copy = prop_bag_copy(bag);
    json_object *json = prop_bag_to_json(copy);
    g_autoptr(PropBag) back = prop_bag_from_json(json, "driver", &error);
    g_autofree char *written = prop_bag_to_text(back);

    ck_assert_str_eq(written, text);
    json_object_put(json);
}

START_TEST(a_bag_survives_json_and_text)
{
    assert_round_trip("disk,drive=a,,b,num-queues=4,nodes=1,nodes=2,nodes=3,x=");
    assert_round_trip("driver=a=b,k=v");
    assert_round_trip("id=x,driver=disk");
    assert_round_trip("");
}
END_TEST

START_TEST(a_bag_can_be_changed)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(PropBag) bag = props_parse("user,fwd=a,fwd=b,id=n", "type", &error);
    g_autofree char *first = prop_bag_take(bag, "fwd");
    g_autofree char *second = prop_bag_take(bag, "fwd");

    ck_assert_str_eq(first, "a");
    ck_assert_str_eq(second, "b");
    ck_assert_ptr_null(prop_bag_take(bag, "fwd"));
    prop_bag_add(bag, "id", "m");
    prop_bag_set(bag, "id", "o");
    ck_assert_uint_eq(prop_bag_count(bag), 2);
    ck_assert_str_eq(prop_bag_id(bag), "o");
}
END_TEST

START_TEST(a_struct_becomes_the_bag_that_makes_it)
{
    static const char *const lines[] = {
        ("drive=a,,b,serial=s,readonly=on,event_idx=off,num-queues=4,queue-size=128,"
         "memory=1536M,cache=unsafe,mac=52:54:00:12:34:56,nodes=0-1:64"),
        "drive=a",
        "drive=,memory=1001b",
        "drive=a,event_idx=auto,memory=2G",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(PropBag) bag = props_parse(lines[i], /* implied_key= */ NULL, &error);
        Disk disk;

        ck_assert(props_apply(&disk_table, bag, &disk, &error));

        g_autoptr(PropBag) back = props_to_bag(&disk_table, &disk);
        g_autofree char *text = prop_bag_to_text(back);

        ck_assert_str_eq(text, lines[i]);
        props_clear(&disk_table, &disk);
    }
}
END_TEST

typedef struct Small {
    uint32_t before;
    uint32_t number;
    uint32_t after;
} Small;

START_TEST(a_number_of_32_bits_stays_in_its_member)
{
    static const PropDesc small_props[] = {
        {.name = "number", .type = PROP_UINT32, .offset = offsetof(Small, number)},
    };
    static const PropTable small_table = PROP_TABLE("small", small_props, Small);
    g_autoptr(GError) error = NULL;
    g_autoptr(PropBag) most = props_parse("number=0xffffffff", NULL, &error);
    g_autoptr(PropBag) more = props_parse("number=0x100000000", NULL, &error);
    Small small = {1, 2, 3};

    ck_assert(props_apply(&small_table, most, &small, &error));
    ck_assert_uint_eq(small.number, UINT32_MAX);
    ck_assert_uint_eq(small.before, 1);
    ck_assert_uint_eq(small.after, 3);
    ck_assert(!props_apply(&small_table, more, &small, &error));
    ck_assert_uint_eq(small.after, 3);
}
END_TEST

START_TEST(help_is_asked_for_in_three_ways)
{
    static const char *const yes[] = {"help", "?", "disk,help", "disk,id=a,?"};
    g_autoptr(GError) error = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(yes); i++) {
        g_autoptr(PropBag) bag = props_parse(yes[i], "driver", &error);

        ck_assert(prop_bag_wants_help(bag));
    }

    g_autoptr(PropBag) no = props_parse("disk,serial=help", "driver", &error);

    ck_assert(!prop_bag_wants_help(no));
}
END_TEST

START_TEST(help_has_a_line_for_every_property)
{
    g_autofree char *help = props_help(&disk_table);
    json_object *json = props_json(&disk_table);
    const char *text = json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN);

    ck_assert_ptr_nonnull(
        strstr(help, "  drive=<str>                  the drive behind it (required)\n"));
    ck_assert_ptr_nonnull(
        strstr(help, "  num-queues=<number>          request queues (default: 1)\n"));
    ck_assert_ptr_nonnull(strstr(help, "  cache=<writeback|none|unsafe>"));
    ck_assert_ptr_nonnull(strstr(help, "there is no firmware (ignored)\n"));
    ck_assert_uint_eq(json_object_array_length(json), G_N_ELEMENTS(disk_props));
    ck_assert_ptr_nonnull(strstr(text,
                                 "{\"name\":\"num-queues\",\"type\":\"uint64\","
                                 "\"description\":\"request queues\",\"default-value\":\"1\"}"));
    json_object_put(json);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("props");

    tcase_add_test(tc, every_type_lands_in_its_member);
    tcase_add_test(tc, what_is_not_given_has_its_default);
    tcase_add_test(tc, a_word_alone_is_on_and_with_no_before_it_off);
    tcase_add_test(tc, an_alias_is_the_same_property);
    tcase_add_test(tc, mistakes_are_named_with_what_was_expected);
    tcase_add_test(tc, json_says_the_same_as_text);
    tcase_add_test(tc, nested_json_becomes_dotted_keys);
    tcase_add_test(tc, broken_json_is_refused_where_it_breaks);
    tcase_add_test(tc, a_bag_survives_json_and_text);
    tcase_add_test(tc, a_bag_can_be_changed);
    tcase_add_test(tc, a_struct_becomes_the_bag_that_makes_it);
    tcase_add_test(tc, a_number_of_32_bits_stays_in_its_member);
    tcase_add_test(tc, help_is_asked_for_in_three_ways);
    tcase_add_test(tc, help_has_a_line_for_every_property);
    return suite_run("props", tc);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Reading arguments by tables: one of every kind of type, and what is said about mistakes. */
#include "qmp/arguments.h"

#include "tests/unit/suite.h"

#include <json-c/json.h>

typedef enum Colour {
    COLOUR_RED,
    COLOUR_BLUE,
} Colour;

typedef struct Blue {
    int64_t depth;
} Blue;

typedef struct Item {
    const char *name;
    Colour colour;
    union {
        Blue blue;
    } u;
} Item;

typedef struct Args {
    bool has_small;
    uint64_t small;
    bool has_whole;
    int64_t whole;
    bool has_number;
    double number;
    bool has_flag;
    bool flag;
    json_object *any;
    bool has_items;
    struct {
        size_t count;
        Item *items;
    } items;
} Args;

static const char *const colour_names[] = {"red", "blue", NULL};
static const QmpType colour_type = {
    .kind = QMP_KIND_ENUM, .name = "string", .size = sizeof(Colour), .names = colour_names};
static const QmpType string_type = {.kind = QMP_KIND_STR, .name = "string", .size = sizeof(char *)};
static const QmpType small_type = {
    .kind = QMP_KIND_UINT, .name = "uint8_t", .size = sizeof(uint64_t), .umax = UINT8_MAX};
static const QmpType whole_type = {.kind = QMP_KIND_INT,
                                   .name = "integer",
                                   .size = sizeof(int64_t),
                                   .min = INT64_MIN,
                                   .max = INT64_MAX};
static const QmpType number_type = {
    .kind = QMP_KIND_NUMBER, .name = "number", .size = sizeof(double)};
static const QmpType flag_type = {.kind = QMP_KIND_BOOL, .name = "boolean", .size = sizeof(bool)};
static const QmpType any_type = {
    .kind = QMP_KIND_ANY, .name = "value", .size = sizeof(json_object *)};
static const QmpMember blue_members[] = {
    {.name = "depth", .type = &whole_type, .offset = offsetof(Blue, depth)},
};
static const QmpType blue_type = {.kind = QMP_KIND_OBJECT,
                                  .name = "object",
                                  .size = sizeof(Blue),
                                  .members = blue_members,
                                  .num_members = 1};
static const QmpMember item_members[] = {
    {.name = "name", .type = &string_type, .offset = offsetof(Item, name)},
    {.name = "colour", .type = &colour_type, .offset = offsetof(Item, colour)},
};
static const QmpType *const item_variants[] = {[COLOUR_BLUE] = &blue_type};
static const QmpType item_type = {.kind = QMP_KIND_OBJECT,
                                  .name = "object",
                                  .size = sizeof(Item),
                                  .members = item_members,
                                  .num_members = 2,
                                  .tag = &item_members[1],
                                  .variants = item_variants,
                                  .variants_offset = offsetof(Item, u)};
static const QmpType items_type = {
    .kind = QMP_KIND_LIST, .name = "array", .size = sizeof(QmpList), .element = &item_type};

#define OPTIONAL(member, member_type)                                                             \
    {                                                                                             \
        .name = #member, .type = &(member_type), .optional = true,                                \
        .offset = offsetof(Args, member), .has = true, .has_offset = offsetof(Args, has_##member) \
    }

static const QmpMember args_members[] = {
    OPTIONAL(small, small_type),
    OPTIONAL(whole, whole_type),
    OPTIONAL(number, number_type),
    OPTIONAL(flag, flag_type),
    {.name = "any", .type = &any_type, .offset = offsetof(Args, any)},
    OPTIONAL(items, items_type),
};
static const QmpType args_type = {.kind = QMP_KIND_OBJECT,
                                  .name = "object",
                                  .size = sizeof(Args),
                                  .members = args_members,
                                  .num_members = G_N_ELEMENTS(args_members)};

static void expect_error(const char *text, const char *message)
{
    json_object *object = json_tokener_parse(text);
    g_auto(QmpArguments) arguments = {0};
    g_autoptr(GError) error = NULL;

    ck_assert_msg(!qmp_arguments_read(&arguments, &args_type, object, &error), "%s", text);
    ck_assert_str_eq(error->message, message);
    json_object_put(object);
}

START_TEST(every_kind_of_value_is_read)
{
    json_object *object = json_tokener_parse(
        "{\"small\":255,\"whole\":-9223372036854775808,\"number\":3,\"flag\":true,\"any\":null,"
        "\"items\":[{\"name\":\"a\",\"colour\":\"red\"},"
        "{\"name\":\"b\",\"colour\":\"blue\",\"depth\":7}]}");
    g_auto(QmpArguments) arguments = {0};
    g_autoptr(GError) error = NULL;
    const Args *args;

    ck_assert(qmp_arguments_read(&arguments, &args_type, object, &error));
    args = arguments.value;
    ck_assert(args->has_small);
    ck_assert_uint_eq(args->small, 255);
    ck_assert(args->has_whole && args->whole == INT64_MIN);
    ck_assert(args->number == 3.0);
    ck_assert(args->flag);
    ck_assert_uint_eq(args->items.count, 2);
    ck_assert_str_eq(args->items.items[1].name, "b");
    ck_assert_int_eq(args->items.items[1].colour, COLOUR_BLUE);
    ck_assert_int_eq(args->items.items[1].u.blue.depth, 7);
    json_object_put(object);
}
END_TEST

START_TEST(what_is_absent_says_so)
{
    json_object *object = json_tokener_parse("{\"any\":1}");
    g_auto(QmpArguments) arguments = {0};
    const Args *args;

    ck_assert(qmp_arguments_read(&arguments, &args_type, object, NULL));
    args = arguments.value;
    ck_assert(!args->has_whole && !args->has_number && !args->has_flag && !args->has_items);
    ck_assert_uint_eq(args->items.count, 0);
    json_object_put(object);
}
END_TEST

START_TEST(mistakes_name_the_parameter_the_type_and_what_came)
{
    expect_error("{}", "Parameter 'any' is missing");
    expect_error("{\"any\":1,\"x\":1}", "Parameter 'x' is unexpected");
    expect_error("{\"any\":1,\"small\":256}", "Parameter 'small' expects uint8_t (got: 256)");
    expect_error("{\"any\":1,\"small\":-1}", "Parameter 'small' expects uint8_t (got: -1)");
    expect_error("{\"any\":1,\"small\":\"1\"}",
                 "Invalid parameter type for 'small', expected: integer (got: string)");
    expect_error("{\"any\":1,\"whole\":1.5}",
                 "Invalid parameter type for 'whole', expected: integer (got: number)");
    expect_error("{\"any\":1,\"flag\":null}",
                 "Invalid parameter type for 'flag', expected: boolean (got: null)");
    expect_error("{\"any\":1,\"items\":{}}",
                 "Invalid parameter type for 'items', expected: array (got: object)");
    expect_error("{\"any\":1,\"items\":[{\"name\":\"a\",\"colour\":\"red\"},3]}",
                 "Invalid parameter type for 'items[1]', expected: object (got: integer)");
    expect_error("{\"any\":1,\"items\":[{\"name\":\"a\",\"colour\":\"green\"}]}",
                 "Parameter 'colour' does not accept value 'green'");
    expect_error("{\"any\":1,\"items\":[{\"name\":\"a\",\"colour\":\"blue\"}]}",
                 "Parameter 'items[0].depth' is missing");
    expect_error("{\"any\":1,\"items\":[{\"name\":\"a\",\"colour\":\"red\",\"depth\":1}]}",
                 "Parameter 'items[0].depth' is unexpected");
}
END_TEST

START_TEST(a_command_without_arguments_takes_an_empty_object_only)
{
    json_object *empty = json_object_new_object();
    g_auto(QmpArguments) none = {0};
    g_auto(QmpArguments) given = {0};

    ck_assert(qmp_arguments_read(&none, NULL, NULL, NULL));
    ck_assert(qmp_arguments_read(&given, NULL, empty, NULL));
    json_object_put(empty);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("qmp_arguments");

    tcase_add_test(tc, every_kind_of_value_is_read);
    tcase_add_test(tc, what_is_absent_says_so);
    tcase_add_test(tc, mistakes_name_the_parameter_the_type_and_what_came);
    tcase_add_test(tc, a_command_without_arguments_takes_an_empty_object_only);
    return suite_run("qmp_arguments", tc);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The description of this architecture's registers, as gdb reads it. */
#include "machine/gdb/private.h"
#include "tests/unit/suite.h"

#include <string.h>

/* What a reader of the description finds. */
typedef struct Found {
    size_t registers; /* in the order of the table */
    bool pc_is_code;
    GHashTable *types; /* defined so far */
    GHashTable *features;
} Found;

/* gdb knows these by itself. */
static const char *const own_types[] = {
    "int",    "int8",    "int16",    "int32",       "int64",       "uint8",    "uint16",  "uint32",
    "uint64", "uint128", "i387_ext", "ieee_single", "ieee_double", "code_ptr", "data_ptr"};

static void check_type(const Found *found, const char *type)
{
    for (size_t i = 0; i < G_N_ELEMENTS(own_types); i++) {
        if (strcmp(type, own_types[i]) == 0) {
            return;
        }
    }
    ck_assert_msg(g_hash_table_contains(found->types, type), "type %s", type);
}

static const char *attribute(const char **names, const char **values, const char *name)
{
    for (; *names; names++, values++) {
        if (strcmp(*names, name) == 0) {
            return *values;
        }
    }
    return NULL;
}

static void check_register(Found *found, const char **names, const char **values)
{
    const DebugRegister *reg = &debug_target.registers[found->registers];
    const char *type = attribute(names, values, "type");

    ck_assert_uint_lt(found->registers, debug_target.num_registers);
    ck_assert_str_eq(attribute(names, values, "name"), reg->name);
    ck_assert_int_eq(atoi(attribute(names, values, "bitsize")), reg->bits);
    if (type) {
        check_type(found, type);
    }
    if (found->registers == debug_target.pc) {
        found->pc_is_code = g_strcmp0(type, "code_ptr") == 0;
    }
    found->registers++;
}

static void element(GMarkupParseContext *context, const gchar *name, const gchar **names,
                    const gchar **values, gpointer opaque, GError **error)
{
    Found *found = opaque;

    (void)context;
    (void)error;
    if (strcmp(name, "reg") == 0) {
        check_register(found, names, values);
    } else if (strcmp(name, "feature") == 0) {
        ck_assert(g_hash_table_add(found->features, g_strdup(attribute(names, values, "name"))));
        g_hash_table_remove_all(found->types);
    } else if (attribute(names, values, "id")) {
        g_hash_table_add(found->types, g_strdup(attribute(names, values, "id")));
    } else if (strcmp(name, "field") == 0 && attribute(names, values, "type")) {
        check_type(found, attribute(names, values, "type"));
    }
}

static void read_description(Found *ret_found)
{
    static const GMarkupParser parser = {.start_element = element};
    GString *xml = gdb_describe_target(&debug_target);
    GMarkupParseContext *context = g_markup_parse_context_new(&parser, 0, ret_found, NULL);
    g_autoptr(GError) error = NULL;

    *ret_found = (Found){0};
    ret_found->types = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    ret_found->features = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    ck_assert_msg(g_markup_parse_context_parse(context, xml->str, (gssize)xml->len, &error) &&
                      g_markup_parse_context_end_parse(context, &error),
                  "%s", error ? error->message : "");
    g_markup_parse_context_free(context);
    g_string_free(xml, TRUE);
}

START_TEST(the_description_is_whole_and_tells_every_register_once)
{
    Found found;

    read_description(&found);
    ck_assert_uint_eq(found.registers, debug_target.num_registers);
    ck_assert(found.pc_is_code);
    g_hash_table_unref(found.types);
    g_hash_table_unref(found.features);
}
END_TEST

START_TEST(gdb_finds_the_features_that_it_needs)
{
    static const char *const x86[] = {"org.gnu.gdb.i386.core", "org.gnu.gdb.i386.sse",
                                      "org.gnu.gdb.i386.segments"};
    static const char *const arm64[] = {"org.gnu.gdb.aarch64.core", "org.gnu.gdb.aarch64.fpu"};
    bool is_arm = strcmp(debug_target.architecture, "aarch64") == 0;
    Found found;

    read_description(&found);
    for (size_t i = 0; i < (is_arm ? G_N_ELEMENTS(arm64) : G_N_ELEMENTS(x86)); i++) {
        const char *feature = is_arm ? arm64[i] : x86[i];

        ck_assert_msg(g_hash_table_contains(found.features, feature), "%s", feature);
    }
    g_hash_table_unref(found.types);
    g_hash_table_unref(found.features);
}
END_TEST

START_TEST(the_block_has_a_place_for_each_register_and_fits_a_packet)
{
    size_t end = debug_register_offset(&debug_target, debug_target.num_registers);

    for (size_t i = 0; i < debug_target.num_registers; i++) {
        ck_assert_uint_eq(debug_register_offset(&debug_target, i) +
                              debug_register_bytes(&debug_target.registers[i]),
                          debug_register_offset(&debug_target, i + 1));
    }
    ck_assert_uint_le(2 * end + 1, GDB_PACKET_BYTES);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("gdb_target");

    tcase_add_test(tc, the_description_is_whole_and_tells_every_register_once);
    tcase_add_test(tc, gdb_finds_the_features_that_it_needs);
    tcase_add_test(tc, the_block_has_a_place_for_each_register_and_fits_a_packet);
    return suite_run("gdb_target", tc);
}

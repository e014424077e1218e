/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables of properties.  Everything that differs between types stands in prop_types[]: how a type
 * is called, how a value is read, and the words for what would have been right.
 */
#include "util/props.h"

#include "util/bytes.h"
#include "util/error.h"
#include "util/text.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <string.h>

typedef struct PropTypeOps {
    const char *name; /* in help */
    const char *json; /* as device-list-properties spells it */

    /* False if text is not what the property takes; member is then unchanged. */
    bool (*parse)(const PropDesc *desc, const char *text, void *member);

    /* Appends what the property takes, for "expected ..." */
    void (*expect)(const PropDesc *desc, GString *message);

    /* The text that parses to member; NULL for no string. */
    char *(*format)(const PropDesc *desc, const void *member);
} PropTypeOps;

static bool parse_string(const PropDesc *desc, const char *text, void *member)
{
    if (desc->max != 0 && strlen(text) > desc->max) {
        return false;
    }
    g_free(*(char **)member);
    *(char **)member = g_strdup(text);
    return true;
}

static void expect_string(const PropDesc *desc, GString *message)
{
    g_string_append_printf(message, "at most %" PRIu64 " characters", desc->max);
}

static char *format_string(const PropDesc *desc, const void *member)
{
    (void)desc;
    return g_strdup(*(char *const *)member);
}

static bool parse_bool(const PropDesc *desc, const char *text, void *member)
{
    (void)desc;
    return text_parse_bool(text, member);
}

static void expect_bool(const PropDesc *desc, GString *message)
{
    (void)desc;
    g_string_append(message, "on or off");
}

static char *format_bool(const PropDesc *desc, const void *member)
{
    (void)desc;
    return g_strdup(*(const bool *)member ? "on" : "off");
}

static bool parse_on_off_auto(const PropDesc *desc, const char *text, void *member)
{
    OnOffAuto *setting = member;
    bool on;

    (void)desc;
    if (strcmp(text, "auto") == 0) {
        *setting = ON_OFF_AUTO_AUTO;
        return true;
    }
    if (!text_parse_bool(text, &on)) {
        return false;
    }
    *setting = on ? ON_OFF_AUTO_ON : ON_OFF_AUTO_OFF;
    return true;
}

static void expect_on_off_auto(const PropDesc *desc, GString *message)
{
    (void)desc;
    g_string_append(message, "on, off or auto");
}

static char *format_on_off_auto(const PropDesc *desc, const void *member)
{
    static const char *const words[] = {
        [ON_OFF_AUTO_AUTO] = "auto", [ON_OFF_AUTO_ON] = "on", [ON_OFF_AUTO_OFF] = "off"};

    (void)desc;
    return g_strdup(words[*(const OnOffAuto *)member]);
}

static bool number_fits(const PropDesc *desc, uint64_t value)
{
    return value >= desc->min && (desc->max == 0 || value <= desc->max) &&
           (!desc->power_of_two || is_power_of_two(value));
}

static bool parse_uint(const PropDesc *desc, const char *text, void *member)
{
    uint64_t value;

    if (!text_parse_uint(text, &value) || !number_fits(desc, value)) {
        return false;
    }
    *(uint64_t *)member = value;
    return true;
}

static void expect_uint(const PropDesc *desc, GString *message)
{
    g_string_append(message, desc->power_of_two ? "a power of two" : "a number");
    if (desc->max != 0) {
        g_string_append_printf(message, " from %" PRIu64 " to %" PRIu64, desc->min, desc->max);
    } else if (desc->min != 0) {
        g_string_append_printf(message, " of at least %" PRIu64, desc->min);
    }
}

static char *format_uint(const PropDesc *desc, const void *member)
{
    (void)desc;
    return g_strdup_printf("%" PRIu64, *(const uint64_t *)member);
}

static bool parse_uint32(const PropDesc *desc, const char *text, void *member)
{
    uint64_t value;

    if (!parse_uint(desc, text, &value) || value > UINT32_MAX) {
        return false;
    }
    *(uint32_t *)member = (uint32_t)value;
    return true;
}

static char *format_uint32(const PropDesc *desc, const void *member)
{
    (void)desc;
    return g_strdup_printf("%" PRIu32, *(const uint32_t *)member);
}

static bool parse_size(const PropDesc *desc, const char *text, void *member)
{
    uint64_t bytes;

    if (!text_parse_size(text, desc->unit_mib ? 1024 * 1024 : 1, &bytes) ||
        !number_fits(desc, bytes)) {
        return false;
    }
    *(uint64_t *)member = bytes;
    return true;
}

static void expect_size(const PropDesc *desc, GString *message)
{
    g_autofree char *min = text_format_size(desc->min);
    g_autofree char *max = text_format_size(desc->max);

    g_string_append(message, desc->power_of_two ? "a power of two" : "a size");
    if (desc->max != 0) {
        g_string_append_printf(message, " from %s to %s", min, max);
    } else if (desc->min != 0) {
        g_string_append_printf(message, " of at least %s", min);
    } else {
        g_string_append(message, " such as 512M or 2G");
    }
}

static char *format_size(const PropDesc *desc, const void *member)
{
    char *text = text_format_size(*(const uint64_t *)member);

    if (desc->unit_mib && g_ascii_isdigit(text[strlen(text) - 1])) {
        char *bytes = g_strconcat(text, "b", NULL);

        g_free(text);
        return bytes;
    }
    return text;
}

static bool parse_enum(const PropDesc *desc, const char *text, void *member)
{
    for (unsigned i = 0; desc->names[i]; i++) {
        if (strcmp(text, desc->names[i]) == 0) {
            *(unsigned *)member = i;
            return true;
        }
    }
    return false;
}

static void expect_enum(const PropDesc *desc, GString *message)
{
    for (unsigned i = 0; desc->names[i]; i++) {
        const char *between = i == 0 ? "" : desc->names[i + 1] ? ", " : " or ";

        g_string_append_printf(message, "%s%s", between, desc->names[i]);
    }
}

static char *format_enum(const PropDesc *desc, const void *member)
{
    return g_strdup(desc->names[*(const unsigned *)member]);
}

static bool parse_mac(const PropDesc *desc, const char *text, void *member)
{
    (void)desc;
    return text_parse_mac(text, member);
}

static void expect_mac(const PropDesc *desc, GString *message)
{
    (void)desc;
    g_string_append(message, "six bytes such as 52:54:00:12:34:56");
}

static char *format_mac(const PropDesc *desc, const void *member)
{
    const uint8_t *mac = member;

    (void)desc;
    return g_strdup_printf("%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
                           mac[5]);
}

static bool parse_set(const PropDesc *desc, const char *text, void *member)
{
    return text_parse_set(text, (unsigned)desc->max + 1, member);
}

static void expect_set(const PropDesc *desc, GString *message)
{
    g_string_append_printf(message, "numbers up to %" PRIu64 " such as 0-3 or 1:4", desc->max);
}

static char *format_set(const PropDesc *desc, const void *member)
{
    return text_format_set(member, (unsigned)desc->max + 1);
}

static const PropTypeOps prop_types[] = {
    [PROP_STRING] = {"str", "str", parse_string, expect_string, format_string},
    [PROP_BOOL] = {"on|off", "bool", parse_bool, expect_bool, format_bool},
    [PROP_ON_OFF_AUTO] = {"on|off|auto", "OnOffAuto", parse_on_off_auto, expect_on_off_auto,
                          format_on_off_auto},
    [PROP_UINT] = {"number", "uint64", parse_uint, expect_uint, format_uint},
    [PROP_UINT32] = {"number", "uint32", parse_uint32, expect_uint, format_uint32},
    [PROP_SIZE] = {"size", "size", parse_size, expect_size, format_size},
    [PROP_ENUM] = {"word", "str", parse_enum, expect_enum, format_enum},
    [PROP_MAC] = {"mac", "str", parse_mac, expect_mac, format_mac},
    [PROP_SET] = {"numbers", "str", parse_set, expect_set, format_set},
};

static void *desc_member(const PropDesc *desc, void *config)
{
    return (uint8_t *)config + desc->offset;
}

static size_t desc_size(const PropDesc *desc)
{
    static const size_t sizes[] = {
        [PROP_STRING] = sizeof(char *),         [PROP_BOOL] = sizeof(bool),
        [PROP_ON_OFF_AUTO] = sizeof(OnOffAuto), [PROP_UINT] = sizeof(uint64_t),
        [PROP_UINT32] = sizeof(uint32_t),       [PROP_SIZE] = sizeof(uint64_t),
        [PROP_ENUM] = sizeof(unsigned),         [PROP_MAC] = 6,
        [PROP_SET] = sizeof(uint64_t),
    };

    return sizes[desc->type] * (desc->type == PROP_SET ? desc->max / 64 + 1 : 1);
}

/* The first letter decides nearly always, and this runs often on the way of every restore. */
static bool is_named(const char *candidate, const char *name)
{
    return candidate && candidate[0] == name[0] && strcmp(candidate, name) == 0;
}

static bool desc_is_named(const PropDesc *desc, const char *name)
{
    return is_named(desc->name, name) || is_named(desc->alias, name);
}

const PropDesc *props_find(const PropTable *table, const char *name)
{
    for (size_t i = 0; i < table->count; i++) {
        if (desc_is_named(&table->props[i], name)) {
            return &table->props[i];
        }
    }
    return NULL;
}

static bool fail_twice(const PropTable *table, const char *name, GError **error)
{
    return fail(error, VMM_ERROR_CONFIG, "%s: property '%s' is given twice", table->subject, name);
}

static bool fail_unknown(const PropTable *table, const char *name, GError **error)
{
    TextNearest nearest = TEXT_NEAREST(name);

    for (size_t i = 0; i < table->count; i++) {
        text_nearest_offer(&nearest, table->props[i].name);
        text_nearest_offer(&nearest, table->props[i].alias);
    }

    g_autofree char *hint = text_nearest_hint(&nearest);

    return fail(error, VMM_ERROR_CONFIG, "%s: unknown property '%s'%s", table->subject, name, hint);
}

static void apply_default(const PropTable *table, const PropDesc *desc, void *config)
{
    bool parsed = true;

    if (desc->ignored) {
        return;
    }

    void *member = desc_member(desc, config);

    g_assert(desc->offset + desc_size(desc) <= table->struct_size);
    memset(member, 0, desc_size(desc));
    if (desc->given_offset != 0) {
        *(bool *)((uint8_t *)config + desc->given_offset) = false;
    }
    if (desc->default_text) {
        parsed = prop_types[desc->type].parse(desc, desc->default_text, member);
    }
    g_assert(parsed);
}

static bool apply_value(const PropTable *table, const PropDesc *desc, const char *text,
                        void *config, GError **error)
{
    const PropTypeOps *ops = &prop_types[desc->type];
    uint64_t scratch = 0;

    if (desc->ignored && (desc->type == PROP_STRING || desc->type == PROP_SET)) {
        return true;
    }
    if (!ops->parse(desc, text, desc->ignored ? &scratch : desc_member(desc, config))) {
        g_autoptr(GString) expected = g_string_new(NULL);

        ops->expect(desc, expected);
        return fail(error, VMM_ERROR_CONFIG, "%s: property '%s' is '%s': expected %s",
                    table->subject, desc->name, text, expected->str);
    }
    if (desc->given_offset != 0) {
        *(bool *)((uint8_t *)config + desc->given_offset) = true;
    }
    return true;
}

/* The values that the bag has for desc; a set is the union of them, all else has one at most. */
static bool apply_desc(const PropTable *table, const PropDesc *desc, const PropBag *bag,
                       void *config, GError **error)
{
    unsigned times = 0;

    for (size_t i = 0; i < prop_bag_count(bag); i++) {
        if (!desc_is_named(desc, prop_bag_key(bag, i))) {
            continue;
        }
        if (times++ > 0 && desc->type != PROP_SET) {
            return fail_twice(table, desc->name, error);
        }
        if (times == 1 && desc->type == PROP_SET && !desc->ignored) {
            memset(desc_member(desc, config), 0, desc_size(desc));
        }
        if (!apply_value(table, desc, prop_bag_value(bag, i), config, error)) {
            return false;
        }
    }
    if (times == 0 && desc->required) {
        return fail(error, VMM_ERROR_CONFIG, "%s: property '%s' is missing", table->subject,
                    desc->name);
    }
    return true;
}

/* A bag may say its type and its id without the table knowing them. */
static bool check_name(const PropTable *table, const PropBag *bag, size_t index, GError **error)
{
    const char *name = prop_bag_key(bag, index);
    const char *value = prop_bag_value(bag, index);

    if (props_find(table, name)) {
        return true;
    }
    if (strcmp(name, "id") == 0 || g_strcmp0(name, prop_bag_implied_key(bag)) == 0) {
        return value == prop_bag_get(bag, name) || fail_twice(table, name, error);
    }
    return fail_unknown(table, name, error);
}

static bool apply_bag(const PropTable *table, const PropBag *bag, void *config, GError **error)
{
    for (size_t i = 0; i < prop_bag_count(bag); i++) {
        if (!check_name(table, bag, i, error)) {
            return false;
        }
    }
    for (size_t i = 0; i < table->count; i++) {
        if (!apply_desc(table, &table->props[i], bag, config, error)) {
            return false;
        }
    }
    return true;
}

bool props_apply(const PropTable *table, const PropBag *bag, void *config, GError **error)
{
    /* all of them first, so that a failure leaves nothing wild behind */
    for (size_t i = 0; i < table->count; i++) {
        apply_default(table, &table->props[i], config);
    }
    if (!apply_bag(table, bag, config, error)) {
        props_clear(table, config);
        return false;
    }
    return true;
}

static bool member_is_zero(const PropDesc *desc, const uint8_t *member)
{
    for (size_t i = 0; i < desc_size(desc); i++) {
        if (member[i] != 0) {
            return false;
        }
    }
    return true;
}

PropBag *props_to_bag(const PropTable *table, const void *config)
{
    PropBag *bag = prop_bag_new(/* implied_key= */ NULL);

    for (size_t i = 0; i < table->count; i++) {
        const PropDesc *desc = &table->props[i];

        if (desc->ignored) {
            continue;
        }

        const uint8_t *member = (const uint8_t *)config + desc->offset;
        bool zero = member_is_zero(desc, member);
        g_autofree char *text = prop_types[desc->type].format(desc, member);
        bool plain = desc->default_text ? g_strcmp0(text, desc->default_text) == 0 : zero;

        /* An empty set has no text; it is what an absent one is. */
        if (text && (!plain || desc->required) && !(desc->type == PROP_SET && zero)) {
            prop_bag_add(bag, desc->name, text);
        }
    }
    return bag;
}

void props_clear(const PropTable *table, void *config)
{
    for (size_t i = 0; i < table->count; i++) {
        const PropDesc *desc = &table->props[i];

        if (desc->type == PROP_STRING && !desc->ignored) {
            g_clear_pointer((char **)desc_member(desc, config), g_free);
        }
    }
}

char *props_help(const PropTable *table)
{
    GString *text = g_string_new(NULL);

    for (size_t i = 0; i < table->count; i++) {
        const PropDesc *desc = &table->props[i];
        g_autoptr(GString) left = g_string_new(NULL);

        g_string_append_printf(left, "%s=<", desc->name);
        if (desc->type != PROP_ENUM) {
            g_string_append(left, prop_types[desc->type].name);
        }
        for (unsigned n = 0; desc->type == PROP_ENUM && desc->names[n]; n++) {
            g_string_append_printf(left, "%s%s", n > 0 ? "|" : "", desc->names[n]);
        }
        g_string_append_c(left, '>');
        g_string_append_printf(text, "  %-28s %s", left->str, desc->help ? desc->help : "");
        if (desc->ignored) {
            g_string_append(text, " (ignored)");
        } else if (desc->required) {
            g_string_append(text, " (required)");
        } else if (desc->default_text) {
            g_string_append_printf(text, " (default: %s)", desc->default_text);
        }
        g_string_append_c(text, '\n');
    }
    return g_string_free(text, /* free_segment= */ FALSE);
}

json_object *props_json(const PropTable *table)
{
    json_object *list = json_object_new_array();

    for (size_t i = 0; i < table->count; i++) {
        const PropDesc *desc = &table->props[i];
        json_object *item = json_object_new_object();

        json_object_object_add(item, "name", json_object_new_string(desc->name));
        json_object_object_add(item, "type", json_object_new_string(prop_types[desc->type].json));
        if (desc->help) {
            json_object_object_add(item, "description", json_object_new_string(desc->help));
        }
        if (desc->default_text) {
            json_object_object_add(item, "default-value",
                                   json_object_new_string(desc->default_text));
        }
        json_object_array_add(list, item);
    }
    return list;
}

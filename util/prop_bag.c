/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bags of properties: reading them from option text and from JSON, and writing them back.
 */
#include "util/props.h"

#include "util/error.h"
#include "util/text.h"

#include <json-c/json.h>
#include <string.h>

#define JSON_MAX_DEPTH 16

typedef struct Prop {
    char *key;
    char *value;
} Prop;

struct PropBag {
    char *implied_key; /* NULL if none */
    GArray *props;     /* of Prop */
};

static void prop_fini(void *opaque)
{
    Prop *prop = opaque;

    g_free(prop->key);
    g_free(prop->value);
}

PropBag *prop_bag_new(const char *implied_key)
{
    PropBag *bag = g_new0(PropBag, 1);

    bag->implied_key = g_strdup(implied_key);
    bag->props = g_array_new(/* zero_terminated= */ FALSE, /* clear_= */ FALSE, sizeof(Prop));
    g_array_set_clear_func(bag->props, prop_fini);
    return bag;
}

PropBag *prop_bag_copy(const PropBag *bag)
{
    PropBag *copy = prop_bag_new(bag->implied_key);

    for (size_t i = 0; i < prop_bag_count(bag); i++) {
        prop_bag_add(copy, prop_bag_key(bag, i), prop_bag_value(bag, i));
    }
    return copy;
}

void prop_bag_free(PropBag *bag)
{
    if (!bag) {
        return;
    }
    g_array_unref(bag->props);
    g_free(bag->implied_key);
    g_free(bag);
}

static const Prop *prop_at(const PropBag *bag, size_t index)
{
    return &g_array_index(bag->props, Prop, index);
}

void prop_bag_add(PropBag *bag, const char *key, const char *value)
{
    Prop prop = {.key = g_strdup(key), .value = g_strdup(value)};

    g_array_append_val(bag->props, prop);
}

void prop_bag_set(PropBag *bag, const char *key, const char *value)
{
    for (size_t i = bag->props->len; i-- > 0;) {
        if (strcmp(prop_bag_key(bag, i), key) == 0) {
            g_array_remove_index(bag->props, (unsigned)i);
        }
    }
    prop_bag_add(bag, key, value);
}

size_t prop_bag_count(const PropBag *bag)
{
    return bag->props->len;
}

const char *prop_bag_key(const PropBag *bag, size_t index)
{
    return prop_at(bag, index)->key;
}

const char *prop_bag_value(const PropBag *bag, size_t index)
{
    return prop_at(bag, index)->value;
}

const char *prop_bag_get(const PropBag *bag, const char *key)
{
    for (size_t i = 0; i < prop_bag_count(bag); i++) {
        if (strcmp(prop_bag_key(bag, i), key) == 0) {
            return prop_bag_value(bag, i);
        }
    }
    return NULL;
}

const char *prop_bag_implied_key(const PropBag *bag)
{
    return bag->implied_key;
}

const char *prop_bag_type(const PropBag *bag)
{
    return bag->implied_key ? prop_bag_get(bag, bag->implied_key) : NULL;
}

const char *prop_bag_id(const PropBag *bag)
{
    return prop_bag_get(bag, "id");
}

char *prop_bag_take(PropBag *bag, const char *key)
{
    for (unsigned i = 0; i < bag->props->len; i++) {
        Prop *prop = &g_array_index(bag->props, Prop, i);

        if (strcmp(prop->key, key) == 0) {
            char *value = g_steal_pointer(&prop->value);

            g_array_remove_index(bag->props, i);
            return value;
        }
    }
    return NULL;
}

static bool is_help(const char *word)
{
    return strcmp(word, "help") == 0 || strcmp(word, "?") == 0;
}

bool prop_bag_wants_help(const PropBag *bag)
{
    const char *type = prop_bag_type(bag);

    if (type && is_help(type)) {
        return true;
    }
    for (size_t i = 0; i < prop_bag_count(bag); i++) {
        if (is_help(prop_bag_key(bag, i))) {
            return true;
        }
    }
    return false;
}

static bool bag_add_json(PropBag *bag, const char *key, json_object *value, GError **error);

/* A list of words is one key several times; a list of anything else has numbered keys. */
static bool bag_add_json_list(PropBag *bag, const char *key, json_object *list, GError **error)
{
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        json_object *item = json_object_array_get_idx(list, i);
        bool nested = json_object_is_type(item, json_type_object) ||
                      json_object_is_type(item, json_type_array);
        g_autofree char *numbered = nested ? g_strdup_printf("%s.%zu", key, i) : NULL;

        if (!bag_add_json(bag, nested ? numbered : key, item, error)) {
            return false;
        }
    }
    return true;
}

/* prefix is NULL at the top. */
static bool bag_add_json_object(PropBag *bag, const char *prefix, json_object *object,
                                GError **error)
{
    struct json_object_iterator at = json_object_iter_begin(object);
    struct json_object_iterator end = json_object_iter_end(object);

    for (; !json_object_iter_equal(&at, &end); json_object_iter_next(&at)) {
        const char *name = json_object_iter_peek_name(&at);
        g_autofree char *key = prefix ? g_strdup_printf("%s.%s", prefix, name) : g_strdup(name);

        if (name[0] == '\0') {
            return fail(error, VMM_ERROR_CONFIG, "a property without a name in '%s'",
                        prefix ? prefix : "{}");
        }
        if (!bag_add_json(bag, key, json_object_iter_peek_value(&at), error)) {
            return false;
        }
    }
    return true;
}

/* json-c's tokener bounds the depth of what gets here. */
static bool bag_add_json(PropBag *bag, const char *key, json_object *value, GError **error)
{
    if (json_object_is_type(value, json_type_object)) {
        return bag_add_json_object(bag, key, value, error);
    }
    if (json_object_is_type(value, json_type_array)) {
        return bag_add_json_list(bag, key, value, error);
    }
    if (json_object_is_type(value, json_type_null)) {
        return fail(error, VMM_ERROR_CONFIG, "property '%s' is null: expected a value", key);
    }
    if (json_object_is_type(value, json_type_boolean)) {
        prop_bag_add(bag, key, json_object_get_boolean(value) ? "on" : "off");
        return true;
    }

    const char *text = json_object_get_string(value);

    if (json_object_is_type(value, json_type_string) &&
        (size_t)json_object_get_string_len(value) != strlen(text)) {
        return fail(error, VMM_ERROR_CONFIG, "property '%s' contains a NUL character", key);
    }
    prop_bag_add(bag, key, text);
    return true;
}

PropBag *prop_bag_from_json(json_object *json, const char *implied_key, GError **error)
{
    g_autoptr(PropBag) bag = prop_bag_new(implied_key);

    if (!json_object_is_type(json, json_type_object)) {
        return fail_null(error, VMM_ERROR_CONFIG, "expected a JSON object of properties, found %s",
                         json_type_to_name(json_object_get_type(json)));
    }
    if (!bag_add_json_object(bag, /* prefix= */ NULL, json, error)) {
        return NULL;
    }
    return g_steal_pointer(&bag);
}

json_object *prop_bag_to_json(const PropBag *bag)
{
    json_object *json = json_object_new_object();

    for (size_t i = 0; i < prop_bag_count(bag); i++) {
        const char *key = prop_bag_key(bag, i);
        json_object *value = json_object_new_string(prop_bag_value(bag, i));
        json_object *before = NULL;

        if (!json_object_object_get_ex(json, key, &before)) {
            json_object_object_add(json, key, value);
        } else if (json_object_is_type(before, json_type_array)) {
            json_object_array_add(before, value);
        } else {
            json_object *list = json_object_new_array();

            json_object_array_add(list, json_object_get(before));
            json_object_array_add(list, value);
            json_object_object_add(json, key, list);
        }
    }
    return json;
}

static PropBag *parse_json_text(const char *text, const char *implied_key, GError **error)
{
    json_tokener *tokener = json_tokener_new_ex(JSON_MAX_DEPTH);
    size_t len = strlen(text);
    json_object *json = json_tokener_parse_ex(tokener, text, (int)MIN(len, G_MAXINT));
    enum json_tokener_error outcome = json_tokener_get_error(tokener);
    size_t end = json_tokener_get_parse_end(tokener);
    PropBag *bag = NULL;

    end += strspn(text + end, " \t\r\n");
    if (outcome == json_tokener_success && text[end] == '\0') {
        bag = prop_bag_from_json(json, implied_key, error);
    } else {
        fail(error, VMM_ERROR_CONFIG, "not valid JSON at character %zu: %s", end + 1,
             outcome == json_tokener_success    ? "text after the object"
             : outcome == json_tokener_continue ? "it ends too early"
                                                : json_tokener_error_desc(outcome));
    }
    json_object_put(json);
    json_tokener_free(tokener);
    return bag;
}

/* One field of option text; word_allowed: a first word may stand for the implied key. */
static bool bag_add_field(PropBag *bag, const char *field, bool word_allowed, GError **error)
{
    const char *equals = strchr(field, '=');

    if (equals == field || field[0] == '\0') {
        return fail(error, VMM_ERROR_CONFIG, "'%s' has no property name: expected name=value",
                    field);
    }
    if (equals) {
        g_autofree char *key = g_strndup(field, (size_t)(equals - field));

        prop_bag_add(bag, key, equals + 1);
    } else if (word_allowed && bag->implied_key) {
        prop_bag_add(bag, bag->implied_key, field);
    } else if (g_str_has_prefix(field, "no") && field[2] != '\0') {
        prop_bag_add(bag, field + 2, "off");
    } else {
        prop_bag_add(bag, field, "on");
    }
    return true;
}

PropBag *props_parse(const char *text, const char *implied_key, GError **error)
{
    if (text[0] == '{') {
        return parse_json_text(text, implied_key, error);
    }

    g_autoptr(PropBag) bag = prop_bag_new(implied_key);
    const char *cursor = text;

    for (bool first = true;; first = false) {
        g_autofree char *field = text_next_field(&cursor);

        if (!field) {
            break;
        }
        if (!bag_add_field(bag, field, first, error)) {
            return NULL;
        }
    }
    return g_steal_pointer(&bag);
}

/* Doubles the commas, which is how a value keeps them. */
static void append_escaped(GString *text, const char *value)
{
    for (; *value != '\0'; value++) {
        g_string_append_c(text, *value);
        if (*value == ',') {
            g_string_append_c(text, ',');
        }
    }
}

char *prop_bag_to_text(const PropBag *bag)
{
    GString *text = g_string_new(NULL);

    for (size_t i = 0; i < prop_bag_count(bag); i++) {
        const char *key = prop_bag_key(bag, i);
        const char *value = prop_bag_value(bag, i);
        bool alone = i == 0 && g_strcmp0(key, bag->implied_key) == 0 && value[0] != '\0' &&
                     value[0] != '{' && !strchr(value, '=');

        if (i > 0) {
            g_string_append_c(text, ',');
        }
        if (!alone) {
            append_escaped(text, key);
            g_string_append_c(text, '=');
        }
        append_escaped(text, value);
    }
    return g_string_free(text, /* free_segment= */ FALSE);
}

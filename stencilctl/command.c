/* SPDX-License-Identifier: Apache-2.0 */
#include "stencilctl/command.h"

#include "util/error.h"

#include <string.h>

/* NULL if all of text is not one JSON value; *ret_null tells "null" from that. */
static json_object *parse_json(const char *text, bool *ret_null)
{
    enum json_tokener_error problem;
    json_object *value = json_tokener_parse_verbose(text, &problem);

    *ret_null = problem == json_tokener_success && !value;
    return value;
}

static json_object *parse_value(const Schema *schema, const char *type, const char *text)
{
    bool is_null = false;
    json_object *value = schema_is_text(schema, type) ? NULL : parse_json(text, &is_null);

    return value || is_null ? value : json_object_new_string(text);
}

/* Puts value, which it takes, at "a.b" in object, making the objects in between. */
static bool put_at(json_object *object, const char *path, json_object *value_take, GError **error)
{
    g_autoptr(json_object) value = value_take;
    g_auto(GStrv) keys = g_strsplit(path, ".", /* max_tokens= */ 0);

    for (size_t i = 0; keys[i]; i++) {
        json_object *inner = json_at(object, keys[i]);

        if (keys[i][0] == '\0') {
            return fail(error, VMM_ERROR_CONFIG, "argument '%s': a name is empty", path);
        }
        if (!keys[i + 1]) {
            if (json_object_object_get_ex(object, keys[i], NULL)) {
                return fail(error, VMM_ERROR_CONFIG, "argument '%s' is given twice", path);
            }
            json_object_object_add(object, keys[i], g_steal_pointer(&value));
            break;
        }
        if (!inner) {
            inner = json_object_new_object();
            json_object_object_add(object, keys[i], inner);
        }
        if (!json_object_is_type(inner, json_type_object)) {
            return fail(error, VMM_ERROR_CONFIG, "argument '%s': '%s' is no object", path, keys[i]);
        }
        object = inner;
    }
    return true;
}

static json_object *parse_arguments(const Schema *schema, const char *command, char **words,
                                    GError **error)
{
    g_autoptr(json_object) arguments = json_object_new_object();
    const char *type = schema_arguments(schema, command);

    for (size_t i = 0; words[i]; i++) {
        const char *equals = strchr(words[i], '=');
        g_autofree char *key = equals ? g_strndup(words[i], (size_t)(equals - words[i])) : NULL;

        if (!key) {
            return fail_null(error, VMM_ERROR_CONFIG, "'%s': expected argument=value", words[i]);
        }
        if (!put_at(arguments, key,
                    parse_value(schema, schema_member(schema, type, key), equals + 1), error)) {
            return NULL;
        }
    }
    return g_steal_pointer(&arguments);
}

static json_object *parse_whole(const char *text, GError **error)
{
    bool is_null;
    g_autoptr(json_object) command = parse_json(text, &is_null);

    if (!json_at(command, "execute") && !json_at(command, "exec-oob")) {
        return fail_null(error, VMM_ERROR_CONFIG,
                         "expected an object like {\"execute\":\"query-status\"}");
    }
    return g_steal_pointer(&command);
}

json_object *command_parse(const Schema *schema, char **words, GError **error)
{
    g_autoptr(json_object) command = NULL;
    json_object *arguments;

    if (words[0][0] == '{' && !words[1]) {
        return parse_whole(words[0], error);
    }
    arguments = parse_arguments(schema, words[0], words + 1, error);
    if (!arguments) {
        return NULL;
    }
    command = json_object_new_object();
    json_object_object_add(command, "execute", json_object_new_string(words[0]));
    json_object_object_add(command, "arguments", arguments);
    return g_steal_pointer(&command);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "stencilctl/schema.h"

#include <string.h>

struct Schema {
    json_object *entities; /* as the VM sent them */
    GHashTable *by_name;   /* name: entity, which is one of entities */
};

void schema_free(Schema *schema)
{
    if (schema) {
        g_hash_table_unref(schema->by_name);
        json_object_put(schema->entities);
        g_free(schema);
    }
}

static Schema *schema_new(json_object *entities_take)
{
    Schema *schema = g_new0(Schema, 1);

    schema->entities = entities_take;
    schema->by_name = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (size_t i = 0; i < json_count(entities_take); i++) {
        json_object *entity = json_item(entities_take, i);
        const char *name = json_text_at(entity, "name");

        if (name) {
            g_hash_table_insert(schema->by_name, g_strdup(name), entity);
        }
    }
    return schema;
}

Status schema_load(const Call *call, Schema **ret_schema)
{
    json_object *entities = NULL;
    Status status = call_ask(call, "query-qmp-schema", /* arguments= */ NULL, &entities);

    if (status == STATUS_OK) {
        *ret_schema = schema_new(entities);
    }
    return status;
}

/* NULL if there is none of that name and kind. */
static json_object *find(const Schema *schema, const char *name, const char *meta)
{
    json_object *entity = name ? g_hash_table_lookup(schema->by_name, name) : NULL;

    return g_strcmp0(json_text_at(entity, "meta-type"), meta) == 0 ? entity : NULL;
}

void schema_each_command(const Schema *schema, SchemaNameFn visit, void *opaque)
{
    for (size_t i = 0; i < json_count(schema->entities); i++) {
        json_object *entity = json_item(schema->entities, i);
        const char *name = json_text_at(entity, "name");

        if (name && find(schema, name, "command")) {
            visit(opaque, name);
        }
    }
}

bool schema_has_command(const Schema *schema, const char *name)
{
    return find(schema, name, "command") != NULL;
}

const char *schema_arguments(const Schema *schema, const char *command)
{
    return json_text_at(find(schema, command, "command"), "arg-type");
}

const char *schema_result(const Schema *schema, const char *command)
{
    return json_text_at(find(schema, command, "command"), "ret-type");
}

void schema_each_member(const Schema *schema, const char *type, SchemaNameFn visit, void *opaque)
{
    json_object *members = json_at(find(schema, type, "object"), "members");

    for (size_t i = 0; i < json_count(members); i++) {
        const char *name = json_text_at(json_item(members, i), "name");

        if (name) {
            visit(opaque, name);
        }
    }
}

static json_object *find_member(const Schema *schema, const char *type, const char *name)
{
    json_object *members = json_at(find(schema, type, "object"), "members");

    for (size_t i = 0; i < json_count(members); i++) {
        json_object *member = json_item(members, i);

        if (g_strcmp0(json_text_at(member, "name"), name) == 0) {
            return member;
        }
    }
    return NULL;
}

const char *schema_member(const Schema *schema, const char *type, const char *path)
{
    g_auto(GStrv) keys = g_strsplit(path, ".", /* max_tokens= */ 0);

    for (size_t i = 0; type && keys[i]; i++) {
        type = json_text_at(find_member(schema, type, keys[i]), "type");
    }
    return type;
}

/* The schema marks an optional member by giving it a default, which is always null. */
bool schema_is_optional(const Schema *schema, const char *type, const char *member)
{
    json_object *found = find_member(schema, type, member);

    return json_object_is_type(found, json_type_object) &&
           json_object_object_get_ex(found, "default", NULL);
}

static bool is_builtin(const Schema *schema, const char *type, const char *json_type)
{
    return g_strcmp0(json_text_at(find(schema, type, "builtin"), "json-type"), json_type) == 0;
}

void schema_each_word(const Schema *schema, const char *type, SchemaNameFn visit, void *opaque)
{
    json_object *values = json_at(find(schema, type, "enum"), "values");

    for (size_t i = 0; i < json_count(values); i++) {
        json_object *value = json_item(values, i);

        if (json_object_is_type(value, json_type_string)) {
            visit(opaque, json_object_get_string(value));
        }
    }
    if (is_builtin(schema, type, "boolean")) {
        visit(opaque, "true");
        visit(opaque, "false");
    }
}

bool schema_is_text(const Schema *schema, const char *type)
{
    return find(schema, type, "enum") || is_builtin(schema, type, "string");
}

static void append_word(void *opaque, const char *word)
{
    GString *out = opaque;

    g_string_append_printf(out, "%s%s", out->len > 0 ? "|" : "", word);
}

char *schema_describe(const Schema *schema, const char *type)
{
    json_object *list = find(schema, type, "array");
    const char *builtin = json_text_at(find(schema, type, "builtin"), "json-type");

    if (list) {
        g_autofree char *element = schema_describe(schema, json_text_at(list, "element-type"));

        return g_strdup_printf("list of %s", element);
    }
    if (find(schema, type, "enum")) {
        GString *words = g_string_new(NULL);

        schema_each_word(schema, type, append_word, words);
        return g_string_free(words, /* free_segment= */ FALSE);
    }
    return g_strdup(builtin ? builtin : "object");
}

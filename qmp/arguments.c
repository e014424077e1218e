/* SPDX-License-Identifier: Apache-2.0 */
#include "qmp/arguments.h"

#include "util/error.h"

#include <json-c/json.h>
#include <string.h>

/* Where in the arguments we are: a chain on the stack, written out only for an error. */
typedef struct Path {
    const struct Path *up;
    const char *name; /* NULL: element of a list */
    size_t index;
} Path;

typedef struct Reader {
    GPtrArray *owned;
    GError **error;
} Reader;

static void append_path(GString *out, const Path *path)
{
    if (!path) {
        return;
    }
    append_path(out, path->up);
    if (!path->name) {
        g_string_append_printf(out, "[%zu]", path->index);
        return;
    }
    g_string_append(out, out->len > 0 ? "." : "");
    g_string_append(out, path->name);
}

static char *path_text(const Path *path)
{
    GString *out = g_string_new(NULL);

    append_path(out, path);
    return g_string_free(out, /* free_segment= */ FALSE);
}

static const char *kind_of(json_object *value)
{
    switch (json_object_get_type(value)) {
    case json_type_boolean:
        return "boolean";
    case json_type_double:
        return "number";
    case json_type_int:
        return "integer";
    case json_type_string:
        return "string";
    case json_type_array:
        return "array";
    case json_type_object:
        return "object";
    case json_type_null:
    default:
        return "null";
    }
}

static bool wrong_type(const Reader *r, const Path *path, const QmpType *type, json_object *value)
{
    bool integer = type->kind == QMP_KIND_INT || type->kind == QMP_KIND_UINT;
    g_autofree char *name = path_text(path);

    return fail(r->error, VMM_ERROR_CONFIG,
                "Invalid parameter type for '%s', expected: %s (got: %s)", name,
                integer ? "integer" : type->name, kind_of(value));
}

static bool out_of_range(const Reader *r, const Path *path, const QmpType *type, json_object *value)
{
    g_autofree char *name = path_text(path);

    return fail(r->error, VMM_ERROR_CONFIG, "Parameter '%s' expects %s (got: %s)", name, type->name,
                json_object_get_string(value));
}

static bool read_value(const Reader *r, const QmpType *type, json_object *value, const Path *path,
                       void *target);

static bool read_string(const Reader *r, const QmpType *type, json_object *value, const Path *path,
                        const char **target)
{
    if (!json_object_is_type(value, json_type_string)) {
        return wrong_type(r, path, type, value);
    }
    *target = json_object_get_string(value);
    return true;
}

static bool read_int(const Reader *r, const QmpType *type, json_object *value, const Path *path,
                     int64_t *target)
{
    int64_t number = json_object_get_int64(value);

    if (!json_object_is_type(value, json_type_int)) {
        return wrong_type(r, path, type, value);
    }
    /* Where json-c had to round to the nearest int64_t the two readings differ. */
    if ((number == INT64_MAX && json_object_get_uint64(value) != INT64_MAX) || number < type->min ||
        number > type->max) {
        return out_of_range(r, path, type, value);
    }
    *target = number;
    return true;
}

static bool read_uint(const Reader *r, const QmpType *type, json_object *value, const Path *path,
                      uint64_t *target)
{
    uint64_t number = json_object_get_uint64(value);

    if (!json_object_is_type(value, json_type_int)) {
        return wrong_type(r, path, type, value);
    }
    if (json_object_get_int64(value) < 0 || number > type->umax) {
        return out_of_range(r, path, type, value);
    }
    *target = number;
    return true;
}

static bool read_enum(const Reader *r, const QmpType *type, json_object *value, const Path *path,
                      int *target)
{
    const char *word = json_object_get_string(value);

    if (!json_object_is_type(value, json_type_string)) {
        return wrong_type(r, path, type, value);
    }
    for (int i = 0; type->names[i]; i++) {
        if (strcmp(word, type->names[i]) == 0) {
            *target = i;
            return true;
        }
    }

    g_autofree char *name = path->name ? g_strdup(path->name) : path_text(path);

    return fail(r->error, VMM_ERROR_CONFIG, "Parameter '%s' does not accept value '%s'", name,
                word);
}

static bool read_list(const Reader *r, const QmpType *type, json_object *value, const Path *path,
                      QmpList *target)
{
    const QmpType *element = type->element;
    uint8_t *items;
    size_t count;

    if (!json_object_is_type(value, json_type_array)) {
        return wrong_type(r, path, type, value);
    }
    count = json_object_array_length(value);
    items = g_malloc0_n(count, element->size);
    g_ptr_array_add(r->owned, items);
    *target = (QmpList){.count = count, .items = items};
    for (size_t i = 0; i < count; i++) {
        const Path here = {.up = path, .index = i};

        if (!read_value(r, element, json_object_array_get_idx(value, i), &here,
                        items + i * element->size)) {
            return false;
        }
    }
    return true;
}

/* ---- objects ---- */

static bool has_member(const QmpType *type, const char *name)
{
    for (size_t i = 0; i < type->num_members; i++) {
        if (strcmp(type->members[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static bool read_members(const Reader *r, const QmpType *type, json_object *object,
                         const Path *path, uint8_t *target)
{
    for (size_t i = 0; i < type->num_members; i++) {
        const QmpMember *member = &type->members[i];
        const Path here = {.up = path, .name = member->name};
        json_object *value = NULL;

        if (!object || !json_object_object_get_ex(object, member->name, &value)) {
            if (!member->optional) {
                g_autofree char *name = path_text(&here);

                return fail(r->error, VMM_ERROR_CONFIG, "Parameter '%s' is missing", name);
            }
            continue;
        }
        if (member->has) {
            *(bool *)(target + member->has_offset) = true;
        }
        if (!read_value(r, member->type, value, &here, target + member->offset)) {
            return false;
        }
    }
    return true;
}

/* The variant that the tag chose, or NULL. */
static const QmpType *variant_of(const QmpType *type, const uint8_t *target)
{
    return type->tag ? type->variants[*(const int *)(target + type->tag->offset)] : NULL;
}

static bool read_object(const Reader *r, const QmpType *type, json_object *object, const Path *path,
                        uint8_t *target)
{
    const QmpType *variant;

    if (object && !json_object_is_type(object, json_type_object)) {
        return wrong_type(r, path, type, object);
    }
    if (!read_members(r, type, object, path, target)) {
        return false;
    }
    variant = variant_of(type, target);
    if (variant && !read_members(r, variant, object, path, target + type->variants_offset)) {
        return false;
    }
    if (!object) {
        return true;
    }
    for (struct json_object_iterator i = json_object_iter_begin(object),
                                     end = json_object_iter_end(object);
         !json_object_iter_equal(&i, &end); json_object_iter_next(&i)) {
        const char *key = json_object_iter_peek_name(&i);
        const Path here = {.up = path, .name = key};

        if (!has_member(type, key) && !(variant && has_member(variant, key))) {
            g_autofree char *name = path_text(&here);

            return fail(r->error, VMM_ERROR_CONFIG, "Parameter '%s' is unexpected", name);
        }
    }
    return true;
}

static bool read_value(const Reader *r, const QmpType *type, json_object *value, const Path *path,
                       void *target)
{
    switch (type->kind) {
    case QMP_KIND_STR:
        return read_string(r, type, value, path, target);
    case QMP_KIND_BOOL:
        *(bool *)target = json_object_get_boolean(value);
        return json_object_is_type(value, json_type_boolean) || wrong_type(r, path, type, value);
    case QMP_KIND_INT:
        return read_int(r, type, value, path, target);
    case QMP_KIND_UINT:
        return read_uint(r, type, value, path, target);
    case QMP_KIND_NUMBER:
        *(double *)target = json_object_get_double(value);
        return json_object_is_type(value, json_type_int) ||
               json_object_is_type(value, json_type_double) || wrong_type(r, path, type, value);
    case QMP_KIND_ANY:
        *(json_object **)target = value;
        return true;
    case QMP_KIND_ENUM:
        return read_enum(r, type, value, path, target);
    case QMP_KIND_OBJECT:
        return value ? read_object(r, type, value, path, target) : wrong_type(r, path, type, value);
    case QMP_KIND_LIST:
    default:
        return read_list(r, type, value, path, target);
    }
}

bool qmp_arguments_read(QmpArguments *arguments, const QmpType *type, json_object *object,
                        GError **error)
{
    static const QmpType none = {.kind = QMP_KIND_OBJECT, .name = "object"};
    Reader reader = {.error = error};

    type = type ? type : &none;
    arguments->owned = g_ptr_array_new_with_free_func(g_free);
    arguments->value = g_malloc0(MAX(type->size, 1));
    g_ptr_array_add(arguments->owned, arguments->value);
    reader.owned = arguments->owned;
    return read_object(&reader, type, object, NULL, arguments->value);
}

void qmp_arguments_clear(QmpArguments *arguments)
{
    g_clear_pointer(&arguments->owned, g_ptr_array_unref);
    arguments->value = NULL;
}

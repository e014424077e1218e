/* SPDX-License-Identifier: Apache-2.0 */
#include "stencilctl/json.h"

json_object *json_at(json_object *value, const char *path)
{
    g_auto(GStrv) keys = g_strsplit(path, ".", /* max_tokens= */ 0);

    for (size_t i = 0; keys[i]; i++) {
        if (!json_object_is_type(value, json_type_object) ||
            !json_object_object_get_ex(value, keys[i], &value)) {
            return NULL;
        }
    }
    return value;
}

const char *json_text_at(json_object *value, const char *path)
{
    json_object *found = json_at(value, path);

    return json_object_is_type(found, json_type_string) ? json_object_get_string(found) : NULL;
}

uint64_t json_uint_at(json_object *value, const char *path)
{
    json_object *found = json_at(value, path);

    return json_object_is_type(found, json_type_int) ? json_object_get_uint64(found) : 0;
}

size_t json_count(json_object *array)
{
    return json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
}

json_object *json_item(json_object *array, size_t index)
{
    return index < json_count(array) ? json_object_array_get_idx(array, index) : NULL;
}

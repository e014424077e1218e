/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The input is a template's config section.  What is accepted must write to JSON that is accepted
 * again and writes the same, and validation must end whatever it said.
 */
#include "machine/config.h"

#include <json-c/json.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_round_trip(const VmConfig *config)
{
    json_object *json = vm_config_to_json(config);
    const char *text = json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN);
    g_autoptr(GError) error = NULL;
    g_autoptr(VmConfig) copy = vm_config_from_json(json, &error);

    g_assert_no_error(error);

    json_object *again = vm_config_to_json(copy);
    const char *second = json_object_to_json_string_ext(again, JSON_C_TO_STRING_PLAIN);
    bool same = strcmp(text, second) == 0;

    g_assert(same);
    json_object_put(again);
    json_object_put(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_tokener *tokener = json_tokener_new();
    json_object *json = json_tokener_parse_ex(tokener, (const char *)data, (int)size);
    g_autoptr(GError) error = NULL;
    g_autoptr(VmConfig) config = vm_config_from_json(json, &error);

    g_assert((config != NULL) == (error == NULL));
    if (config) {
        check_round_trip(config);

        bool valid = vm_config_validate(config, &error);

        g_assert(valid == (error == NULL));
    }
    json_object_put(json);
    json_tokener_free(tokener);
    return 0;
}

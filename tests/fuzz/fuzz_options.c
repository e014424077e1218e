/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The input is a command line, one word a line.  What is accepted must survive a trip through
 * JSON, and validation must end whatever the words were.
 */
#include "machine/options.h"

#include <json-c/json.h>
#include <string.h>

#define MAX_WORDS 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_round_trip(const VmConfig *config)
{
    json_object *json = vm_config_to_json(config);
    const char *text = json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN);
    g_autoptr(VmConfig) copy = vm_config_from_json(json, /* error= */ NULL);

    g_assert(copy != NULL);

    json_object *again = vm_config_to_json(copy);
    const char *second = json_object_to_json_string_ext(again, JSON_C_TO_STRING_PLAIN);
    bool same = strcmp(text, second) == 0;

    g_assert(same);
    json_object_put(again);
    json_object_put(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    g_auto(GStrv) words = g_strsplit(text, "\n", MAX_WORDS);
    g_autofree char **argv = g_new0(char *, MAX_WORDS + 2);
    static char program[] = "stencil";
    g_autoptr(VmConfig) config = vm_config_new();
    g_autoptr(GError) error = NULL;
    OptionsOutcome outcome = {0};
    int argc = 1;

    argv[0] = program;
    for (size_t i = 0; words[i]; i++) {
        argv[argc++] = words[i];
    }

    bool parsed = options_parse(argc, argv, config, &outcome, &error);

    g_assert(parsed == (error == NULL));
    if (parsed && !outcome.text) {
        bool valid = vm_config_validate(config, &error);

        g_assert(valid == (error == NULL));
        if (valid) {
            check_round_trip(config);
        }
    }
    g_free(outcome.text);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/help.h"

#include "devices/registry.h"
#include "hypervisor/cpu_model.h"

char *help_devices(const char *type)
{
    const DeviceType *found = type ? device_type_find(type) : NULL;
    GString *text;

    if (type) {
        return found ? props_help(found->props) : NULL;
    }
    text = g_string_new("Devices (-device TYPE,help lists the properties):\n");
    for (size_t i = 0; i < device_num_types; i++) {
        g_string_append_printf(text, "  %-22s %s\n", device_types[i].name,
                               device_types[i].description);
    }
    return g_string_free(text, /* free_segment= */ FALSE);
}

char *help_cpus(void)
{
    const char *const *names = cpu_model_names();
    const char *const *features = cpu_model_feature_names();
    GString *text = g_string_new("CPU models:\n");

    for (size_t i = 0; names[i]; i++) {
        g_string_append_printf(text, "  %s\n", names[i]);
    }
    g_string_append(text, "\nFeatures (-cpu MODEL,+FEATURE,-FEATURE):\n");
    for (size_t i = 0; features[i]; i++) {
        g_string_append_printf(text, "%s%s", i % 8 == 0 ? "\n  " : " ", features[i]);
    }
    g_string_append_c(text, '\n');
    return g_string_free(text, /* free_segment= */ FALSE);
}

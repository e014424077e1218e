/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/dump.h"

#include "devices/state_tables.h"
#include "hypervisor/vcpu_arch.h"
#include "hypervisor/vm_state.h"
#include "machine/vm_record.h"
#include "migration/template_dump.h"
#include "migration/template_map.h"
#include "migration/vmstate.h"

#include <json-c/json.h>

static char *to_text(json_object *json)
{
    const char *text = json_object_to_json_string_ext(json, JSON_C_TO_STRING_PRETTY |
                                                                JSON_C_TO_STRING_NOSLASHESCAPE);

    return g_strconcat(text, "\n", NULL);
}

char *dump_state(const char *path, GError **error)
{
    json_object *json = template_dump(path, error);
    char *text = json ? to_text(json) : NULL;

    json_object_put(json);
    return text;
}

static void add_table(json_object *tables, const VmStateDesc *desc)
{
    json_object_object_add(tables, desc->name, vmstate_schema(desc));
}

char *dump_vmstate(void)
{
    json_object *tables = json_object_new_object();
    char *text;

    add_table(tables, &template_map_vmstate);
    add_table(tables, &vm_record_vmstate);
    add_table(tables, &vm_state_vmstate);
    add_table(tables, &vcpu_state_vmstate);
    for (size_t i = 0; i < device_num_state_tables; i++) {
        add_table(tables, device_state_tables[i]);
    }
    text = to_text(tables);
    json_object_put(tables);
    return text;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables and saved objects as JSON: the first for the checker that refuses an incompatible edit,
 * the second for people who look into a template.  Also the self-test of a table.
 */
#include "migration/vmstate_wire.h"
#include "util/bytes.h"
#include "util/error.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <string.h>

/* More would not fit the lengths on the wire with room to spare. */
#define MAX_ARRAY_BYTES GIB

typedef struct KindInfo {
    const char *name;
    size_t size;
} KindInfo;

static const KindInfo kinds[] = {
    [VMSTATE_KIND_U8] = {"u8", 1},         [VMSTATE_KIND_U16] = {"u16", 2},
    [VMSTATE_KIND_U32] = {"u32", 4},       [VMSTATE_KIND_U64] = {"u64", 8},
    [VMSTATE_KIND_BOOL] = {"bool", 1},     [VMSTATE_KIND_BYTES] = {"bytes", 1},
    [VMSTATE_KIND_STRUCT] = {"struct", 0}, [VMSTATE_KIND_SUBSECTION] = {"subsection", 0},
};

static const char *const form_names[] = {
    [VMSTATE_FORM_ONE] = "one",
    [VMSTATE_FORM_FIXED] = "fixed",
    [VMSTATE_FORM_BEHIND] = "behind",
    [VMSTATE_FORM_RESIZED] = "resized",
};

/* --- self-test --- */

static bool is_counted(const VmStateField *f)
{
    return f->form == VMSTATE_FORM_BEHIND || f->form == VMSTATE_FORM_RESIZED;
}

static bool has_pointers(const VmStateDesc *desc)
{
    for (size_t i = 0; i < desc->num_fields; i++) {
        const VmStateField *f = &desc->fields[i];

        if (is_counted(f) || (f->desc && has_pointers(f->desc))) {
            return true;
        }
    }
    for (size_t i = 0; i < desc->num_subsections; i++) {
        if (has_pointers(desc->subsections[i])) {
            return true;
        }
    }
    return false;
}

static bool check_field(const VmStateDesc *desc, const VmStateField *f, GError **error)
{
    size_t len = strlen(f->name);

    if (len == 0 || len > UINT8_MAX) {
        return fail(error, VMM_ERROR_STATE, "%s: a name has 1..255 bytes", f->name);
    }
    if (f->since == 0 || f->since > desc->version) {
        return fail(error, VMM_ERROR_STATE, "%s: since %" PRIu32 " is not in 1..%" PRIu32, f->name,
                    f->since, desc->version);
    }
    if ((f->kind == VMSTATE_KIND_STRUCT) != (f->desc != NULL)) {
        return fail(error, VMM_ERROR_STATE, "%s: a struct, and only that, has a table", f->name);
    }
    if (is_counted(f) && (f->max_count == 0 || f->max_count > MAX_ARRAY_BYTES / f->size)) {
        return fail(error, VMM_ERROR_STATE, "%s: maximum count %" PRIu32 " is out of range",
                    f->name, f->max_count);
    }
    if (f->form == VMSTATE_FORM_RESIZED && f->desc && has_pointers(f->desc)) {
        return fail(error, VMM_ERROR_STATE, "%s: elements of a resized array hold pointers",
                    f->name);
    }
    for (const VmStateField *other = desc->fields; other < f; other++) {
        if (strcmp(other->name, f->name) == 0) {
            return fail(error, VMM_ERROR_STATE, "%s: listed twice", f->name);
        }
    }
    if (f->desc && !vmstate_check(f->desc, error)) {
        g_prefix_error(error, "%s.", f->name);
        return false;
    }
    return true;
}

static bool check_subsection(const VmStateDesc *desc, size_t index, GError **error)
{
    const VmStateDesc *sub = desc->subsections[index];

    for (size_t i = 0; i < index; i++) {
        if (strcmp(desc->subsections[i]->name, sub->name) == 0) {
            return fail(error, VMM_ERROR_STATE, "%s: listed twice", sub->name);
        }
    }
    if (!vmstate_check(sub, error)) {
        g_prefix_error(error, "%s/", sub->name);
        return false;
    }
    return true;
}

bool vmstate_check(const VmStateDesc *desc, GError **error)
{
    if (desc->min_version == 0 || desc->min_version > desc->version) {
        return fail(error, VMM_ERROR_STATE,
                    "version: min_version %" PRIu32 " is not in 1..%" PRIu32, desc->min_version,
                    desc->version);
    }
    if (desc->num_fields + desc->num_subsections > VMSTATE_MAX_FIELDS) {
        return fail(error, VMM_ERROR_STATE, "%s: more than %d fields", desc->name,
                    VMSTATE_MAX_FIELDS);
    }
    for (size_t i = 0; i < desc->num_fields; i++) {
        if (!check_field(desc, &desc->fields[i], error)) {
            return false;
        }
    }
    for (size_t i = 0; i < desc->num_subsections; i++) {
        if (!check_subsection(desc, i, error)) {
            return false;
        }
    }
    return true;
}

/* --- tables as JSON --- */

static void add_number(json_object *to, const char *key, uint64_t value)
{
    json_object_object_add(to, key, json_object_new_uint64(value));
}

static void add_text(json_object *to, const char *key, const char *text)
{
    json_object_object_add(to, key, json_object_new_string(text));
}

static json_object *field_schema(const VmStateField *f)
{
    json_object *field = json_object_new_object();

    add_text(field, "name", f->name);
    add_text(field, "kind", kinds[f->kind].name);
    add_text(field, "form", form_names[f->form]);
    if (f->form == VMSTATE_FORM_FIXED) {
        add_number(field, "count", f->count);
    }
    if (is_counted(f)) {
        add_number(field, "max-count", f->max_count);
    }
    add_number(field, "since", f->since);
    if (f->desc) {
        json_object_object_add(field, "table", vmstate_schema(f->desc));
    }
    return field;
}

json_object *vmstate_schema(const VmStateDesc *desc)
{
    json_object *schema = json_object_new_object();
    json_object *fields = json_object_new_array();

    add_text(schema, "name", desc->name);
    add_number(schema, "version", desc->version);
    add_number(schema, "min-version", desc->min_version);
    for (size_t i = 0; i < desc->num_fields; i++) {
        json_object_array_add(fields, field_schema(&desc->fields[i]));
    }
    json_object_object_add(schema, "fields", fields);
    if (desc->num_subsections > 0) {
        json_object *subsections = json_object_new_array();

        for (size_t i = 0; i < desc->num_subsections; i++) {
            json_object_array_add(subsections, vmstate_schema(desc->subsections[i]));
        }
        json_object_object_add(schema, "subsections", subsections);
    }
    return schema;
}

/* --- saved objects as JSON --- */

/* Nesting on the wire is the sender's choice; ours goes four deep. */
#define MAX_DUMP_DEPTH 16

static json_object *dump_object(VmStateCursor cursor, unsigned depth, GError **error);

static json_object *dump_bytes(VmStateCursor payload)
{
    g_autoptr(GString) text = g_string_sized_new(payload.left * 2);

    for (size_t i = 0; i < payload.left; i++) {
        g_string_append_printf(text, "%02x", payload.pos[i]);
    }
    return json_object_new_string(text->str);
}

static json_object *dump_one(uint8_t kind, const uint8_t *at)
{
    uint64_t value = load_le(at, (unsigned)kinds[kind].size);

    return kind == VMSTATE_KIND_BOOL ? json_object_new_boolean(value != 0)
                                     : json_object_new_uint64(value);
}

static json_object *dump_integers(const VmStateRecord *record, GError **error)
{
    uint8_t kind = record->kind & (uint8_t)~VMSTATE_KIND_ARRAY;
    size_t size = kinds[kind].size;

    if (kind == record->kind) {
        if (record->payload.left == size) {
            return dump_one(kind, record->payload.pos);
        }
    } else if (record->payload.left % size == 0) {
        json_object *list = json_object_new_array();

        for (size_t at = 0; at < record->payload.left; at += size) {
            json_object_array_add(list, dump_one(kind, record->payload.pos + at));
        }
        return list;
    }
    return fail_null(error, VMM_ERROR_WIRE, "%zu bytes do not make %s", record->payload.left,
                     kinds[kind].name);
}

static json_object *dump_structs(VmStateCursor payload, unsigned depth, GError **error)
{
    json_object *list = json_object_new_array();

    while (payload.left > 0) {
        VmStateCursor part;
        json_object *element = NULL;

        if (!vmstate_take_sized(&payload, &part)) {
            fail(error, VMM_ERROR_WIRE, "an element ends early");
        } else {
            element = dump_object(part, depth, error);
        }
        if (!element) {
            json_object_put(list);
            return NULL;
        }
        json_object_array_add(list, element);
    }
    return list;
}

static json_object *dump_payload(const VmStateRecord *record, unsigned depth, GError **error)
{
    switch (record->kind) {
    case VMSTATE_KIND_STRUCT:
    case VMSTATE_KIND_SUBSECTION:
        return dump_object(record->payload, depth, error);
    case VMSTATE_KIND_STRUCT | VMSTATE_KIND_ARRAY:
        return dump_structs(record->payload, depth, error);
    case VMSTATE_KIND_BYTES | VMSTATE_KIND_ARRAY:
        return dump_bytes(record->payload);
    default:
        break;
    }

    uint8_t kind = record->kind & (uint8_t)~VMSTATE_KIND_ARRAY;

    if (kind < VMSTATE_KIND_U8 || kind > VMSTATE_KIND_BOOL) {
        return fail_null(error, VMM_ERROR_WIRE, "kind 0x%x is unknown", record->kind);
    }
    return dump_integers(record, error);
}

static bool dump_record(json_object *object, VmStateCursor *cursor, unsigned depth, GError **error)
{
    VmStateRecord record;

    if (!vmstate_take_record(cursor, &record, error)) {
        return false;
    }

    g_autofree char *name = vmstate_record_name(&record);
    json_object *value = dump_payload(&record, depth, error);

    if (!value) {
        g_prefix_error(error, "%s: ", name);
        return false;
    }
    json_object_object_add(object, name, value);
    return true;
}

static json_object *dump_object(VmStateCursor cursor, unsigned depth, GError **error)
{
    uint32_t version;

    if (depth == 0) {
        return fail_null(error, VMM_ERROR_WIRE, "nested too deep");
    }
    if (!vmstate_take_u32(&cursor, &version)) {
        return fail_null(error, VMM_ERROR_WIRE, "version: missing");
    }

    json_object *object = json_object_new_object();

    add_number(object, "version", version);
    while (cursor.left > 0) {
        if (!dump_record(object, &cursor, depth - 1, error)) {
            json_object_put(object);
            return NULL;
        }
    }
    return object;
}

json_object *vmstate_dump(const void *data, size_t len, GError **error)
{
    return dump_object((VmStateCursor){.pos = data, .left = len}, MAX_DUMP_DEPTH, error);
}

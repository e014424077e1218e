/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walks a table in both directions.  Reading trusts nothing: every length is checked against what
 * is left before anything is allocated or copied, and names are compared, never used as indexes.
 */
#include "migration/vmstate.h"

#include "migration/vmstate_wire.h"
#include "util/bytes.h"
#include "util/error.h"

#include <inttypes.h>
#include <string.h>

static uint8_t wire_kind(const VmStateField *f)
{
    return (uint8_t)(f->kind | (f->form == VMSTATE_FORM_ONE ? 0 : VMSTATE_KIND_ARRAY));
}

static uint32_t *count_member(const VmStateField *f, void *dev)
{
    return (uint32_t *)(void *)((uint8_t *)dev + f->count_offset);
}

static void **pointer_member(const VmStateField *f, void *dev)
{
    return (void **)(void *)((uint8_t *)dev + f->offset);
}

static bool is_behind_pointer(const VmStateField *f)
{
    return f->form == VMSTATE_FORM_BEHIND || f->form == VMSTATE_FORM_RESIZED;
}

static size_t field_count(const VmStateField *f, void *dev)
{
    if (is_behind_pointer(f)) {
        return *count_member(f, dev);
    }
    return f->form == VMSTATE_FORM_FIXED ? f->count : 1;
}

static uint8_t *field_data(const VmStateField *f, void *dev)
{
    return is_behind_pointer(f) ? *pointer_member(f, dev) : (uint8_t *)dev + f->offset;
}

/* --- saving --- */

static void put_u8(GByteArray *out, uint8_t value)
{
    g_byte_array_append(out, &value, sizeof(value));
}

static void put_u32(GByteArray *out, uint32_t value)
{
    uint8_t wire[sizeof(value)];

    store_le32(wire, value);
    g_byte_array_append(out, wire, sizeof(wire));
}

/* Lengths are not known before what they measure is written: open leaves room, close fills it. */
static guint open_length(GByteArray *out)
{
    put_u32(out, 0);
    return out->len;
}

static void close_length(GByteArray *out, guint start)
{
    store_le32(out->data + start - sizeof(uint32_t), out->len - start);
}

static guint open_record(GByteArray *out, uint8_t kind, const char *name)
{
    size_t len = strlen(name);

    g_assert(len <= UINT8_MAX);
    put_u8(out, kind);
    put_u8(out, (uint8_t)len);
    g_byte_array_append(out, (const uint8_t *)name, (guint)len);
    return open_length(out);
}

/* What the host keeps in its own byte order. */
static uint64_t load_host(const uint8_t *p, size_t size)
{
    uint16_t v16;
    uint32_t v32;
    uint64_t v64;

    switch (size) {
    case sizeof(v16):
        memcpy(&v16, p, size);
        return v16;
    case sizeof(v32):
        memcpy(&v32, p, size);
        return v32;
    case sizeof(v64):
        memcpy(&v64, p, size);
        return v64;
    default:
        return *p;
    }
}

static void store_host(uint8_t *p, size_t size, uint64_t value)
{
    uint16_t v16 = (uint16_t)value;
    uint32_t v32 = (uint32_t)value;

    switch (size) {
    case sizeof(v16):
        memcpy(p, &v16, size);
        break;
    case sizeof(v32):
        memcpy(p, &v32, size);
        break;
    case sizeof(value):
        memcpy(p, &value, size);
        break;
    default:
        *p = (uint8_t)value;
        break;
    }
}

static bool save_integers(const VmStateField *f, const uint8_t *data, size_t count, GByteArray *out,
                          GError **error)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t value = load_host(data + i * f->size, f->size);
        uint8_t wire[sizeof(value)];

        if (f->kind == VMSTATE_KIND_BOOL && value > 1) {
            return fail(error, VMM_ERROR_STATE, "%s: %" PRIu64 " is not a boolean", f->name, value);
        }
        store_le(wire, (unsigned)f->size, value);
        g_byte_array_append(out, wire, (guint)f->size);
    }
    return true;
}

/* "queue[3]." or "head." in front of a message from inside the element. */
static bool in_element(const VmStateField *f, size_t index, GError **error)
{
    if (f->form == VMSTATE_FORM_ONE) {
        g_prefix_error(error, "%s.", f->name);
    } else {
        g_prefix_error(error, "%s[%zu].", f->name, index);
    }
    return false;
}

static bool save_structs(const VmStateField *f, uint8_t *data, size_t count, GByteArray *out,
                         GError **error)
{
    for (size_t i = 0; i < count; i++) {
        guint start = f->form == VMSTATE_FORM_ONE ? 0 : open_length(out);

        if (!vmstate_save(f->desc, data + i * f->size, out, error)) {
            return in_element(f, i, error);
        }
        if (f->form != VMSTATE_FORM_ONE) {
            close_length(out, start);
        }
    }
    return true;
}

static bool save_field(const VmStateField *f, void *dev, GByteArray *out, GError **error)
{
    size_t count = field_count(f, dev);
    uint8_t *data = field_data(f, dev);
    bool ok = true;

    if (is_behind_pointer(f) && count > f->max_count) {
        return fail(error, VMM_ERROR_STATE, "%s: %zu elements exceed the maximum of %" PRIu32,
                    f->name, count, f->max_count);
    }

    guint start = open_record(out, wire_kind(f), f->name);

    if (f->kind == VMSTATE_KIND_STRUCT) {
        ok = save_structs(f, data, count, out, error);
    } else if (f->kind == VMSTATE_KIND_BYTES) {
        g_byte_array_append(out, data, (guint)count);
    } else {
        ok = save_integers(f, data, count, out, error);
    }
    close_length(out, start);
    return ok;
}

bool vmstate_save(const VmStateDesc *desc, void *dev, GByteArray *out, GError **error)
{
    if (desc->pre_save && !desc->pre_save(dev, error)) {
        return false;
    }
    put_u32(out, desc->version);
    for (size_t i = 0; i < desc->num_fields; i++) {
        if (!save_field(&desc->fields[i], dev, out, error)) {
            return false;
        }
    }
    for (size_t i = 0; i < desc->num_subsections; i++) {
        const VmStateDesc *sub = desc->subsections[i];

        if (sub->needed && !sub->needed(dev)) {
            continue;
        }

        guint start = open_record(out, VMSTATE_KIND_SUBSECTION, sub->name);

        if (!vmstate_save(sub, dev, out, error)) {
            g_prefix_error(error, "%s/", sub->name);
            return false;
        }
        close_length(out, start);
    }
    return true;
}

/* --- loading --- */

/* Integers that need neither turning round nor a look. */
static bool is_plain_copy(const VmStateField *f)
{
    return f->kind == VMSTATE_KIND_BYTES ||
           (G_BYTE_ORDER == G_LITTLE_ENDIAN && f->kind != VMSTATE_KIND_BOOL);
}

static bool load_integers(const VmStateField *f, uint8_t *data, size_t count, VmStateCursor payload,
                          GError **error)
{
    if (is_plain_copy(f)) {
        memcpy(data, payload.pos, count * f->size);
        return true;
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t value = load_le(payload.pos + i * f->size, (unsigned)f->size);

        if (f->kind == VMSTATE_KIND_BOOL && value > 1) {
            return fail(error, VMM_ERROR_WIRE, "%s: %" PRIu64 " is not a boolean", f->name, value);
        }
        store_host(data + i * f->size, f->size, value);
    }
    return true;
}

static bool load_element(const VmStateField *f, size_t index, uint8_t *data, VmStateCursor object,
                         GError **error)
{
    if (!vmstate_load(f->desc, data + index * f->size, object.pos, object.left, error)) {
        return in_element(f, index, error);
    }
    return true;
}

static bool load_structs(const VmStateField *f, uint8_t *data, size_t count, VmStateCursor payload,
                         GError **error)
{
    if (f->form == VMSTATE_FORM_ONE) {
        return load_element(f, 0, data, payload, error);
    }
    for (size_t i = 0; i < count; i++) {
        VmStateCursor object;

        if (!vmstate_take_sized(&payload, &object)) {
            return fail(error, VMM_ERROR_WIRE, "%s[%zu]: ends early", f->name, i);
        }
        if (!load_element(f, i, data, object, error)) {
            return false;
        }
    }
    return true;
}

/* Elements of a struct array have lengths of their own, so that they have to be counted. */
static bool count_structs(const VmStateField *f, VmStateCursor payload, size_t *ret_count,
                          GError **error)
{
    size_t count = 0;

    while (payload.left > 0) {
        VmStateCursor object;

        if (!vmstate_take_sized(&payload, &object)) {
            return fail(error, VMM_ERROR_WIRE, "%s[%zu]: ends early", f->name, count);
        }
        count++;
    }
    *ret_count = count;
    return true;
}

static bool payload_count(const VmStateField *f, VmStateCursor payload, size_t *ret_count,
                          GError **error)
{
    if (f->kind == VMSTATE_KIND_STRUCT) {
        if (f->form != VMSTATE_FORM_ONE) {
            return count_structs(f, payload, ret_count, error);
        }
        *ret_count = 1;
        return true;
    }
    if (payload.left % f->size != 0) {
        return fail(error, VMM_ERROR_WIRE,
                    "%s: %zu bytes are not a whole number of %zu-byte values", f->name,
                    payload.left, f->size);
    }
    *ret_count = payload.left / f->size;
    return true;
}

/* Array and count change together, so that the object never points past an allocation. */
static bool resize_array(const VmStateField *f, void *dev, size_t count, GError **error)
{
    void **array = pointer_member(f, dev);
    void *fresh = NULL;

    if (count > f->max_count) {
        return fail(error, VMM_ERROR_WIRE, "%s: %zu elements exceed the maximum of %" PRIu32,
                    f->name, count, f->max_count);
    }
    if (count > 0) {
        fresh = g_try_malloc0_n(count, f->size);
        if (!fresh) {
            return fail(error, VMM_ERROR_HOST, "%s: no memory for %zu elements", f->name, count);
        }
    }
    g_free(*array);
    *array = fresh;
    *count_member(f, dev) = (uint32_t)count;
    return true;
}

static bool load_field(const VmStateField *f, void *dev, const VmStateRecord *record,
                       GError **error)
{
    VmStateCursor payload = record->payload;
    size_t count = 0;

    if (record->kind != wire_kind(f)) {
        return fail(error, VMM_ERROR_WIRE, "%s: kind 0x%x, expected 0x%x", f->name, record->kind,
                    wire_kind(f));
    }
    if (!payload_count(f, payload, &count, error)) {
        return false;
    }
    if (f->form == VMSTATE_FORM_RESIZED) {
        if (!resize_array(f, dev, count, error)) {
            return false;
        }
    } else if (count != field_count(f, dev)) {
        return fail(error, VMM_ERROR_WIRE, "%s: %zu elements, expected %zu", f->name, count,
                    field_count(f, dev));
    }

    uint8_t *data = field_data(f, dev);

    if (f->kind == VMSTATE_KIND_STRUCT) {
        return load_structs(f, data, count, payload, error);
    }
    return count == 0 || load_integers(f, data, count, payload, error);
}

static bool load_subsection(const VmStateDesc *sub, void *dev, const VmStateRecord *record,
                            GError **error)
{
    if (!vmstate_load(sub, dev, record->payload.pos, record->payload.left, error)) {
        g_prefix_error(error, "%s/", sub->name);
        return false;
    }
    return true;
}

static bool name_matches(const VmStateRecord *record, const char *name)
{
    return strlen(name) == record->name_len && memcmp(name, record->name, record->name_len) == 0;
}

/*
 * A record's place in the table: fields first, then subsections; -1 where there is none.  The
 * writer keeps to the table, so that the next field is tried first.
 */
static ptrdiff_t find_place(const VmStateDesc *desc, size_t next, const VmStateRecord *record)
{
    if (record->kind == VMSTATE_KIND_SUBSECTION) {
        for (size_t i = 0; i < desc->num_subsections; i++) {
            if (name_matches(record, desc->subsections[i]->name)) {
                return (ptrdiff_t)(desc->num_fields + i);
            }
        }
        return -1;
    }
    if (next < desc->num_fields && name_matches(record, desc->fields[next].name)) {
        return (ptrdiff_t)next;
    }
    for (size_t i = 0; i < desc->num_fields; i++) {
        if (name_matches(record, desc->fields[i].name)) {
            return (ptrdiff_t)i;
        }
    }
    return -1;
}

typedef struct Load {
    const VmStateDesc *desc;
    uint32_t version;
    size_t next; /* after the last one seen */
    bool seen[VMSTATE_MAX_FIELDS];
} Load;

static bool fail_record(GError **error, const VmStateRecord *record, const char *what)
{
    g_autofree char *name = vmstate_record_name(record);

    return fail(error, VMM_ERROR_WIRE, "%s: %s", name, what);
}

static bool load_record(Load *load, void *dev, const VmStateRecord *record, GError **error)
{
    const VmStateDesc *desc = load->desc;
    ptrdiff_t place = find_place(desc, load->next, record);

    if (place < 0) {
        return fail_record(error, record,
                           record->kind == VMSTATE_KIND_SUBSECTION ? "unknown subsection"
                                                                   : "unknown field");
    }
    if (load->seen[place]) {
        return fail_record(error, record, "sent twice");
    }
    load->seen[place] = true;
    load->next = (size_t)place + 1;
    if ((size_t)place >= desc->num_fields) {
        return load_subsection(desc->subsections[(size_t)place - desc->num_fields], dev, record,
                               error);
    }
    if (desc->fields[place].since > load->version) {
        return fail(error, VMM_ERROR_WIRE, "%s: does not belong to version %" PRIu32,
                    desc->fields[place].name, load->version);
    }
    return load_field(&desc->fields[place], dev, record, error);
}

static bool check_all_seen(const Load *load, GError **error)
{
    for (size_t i = 0; i < load->desc->num_fields; i++) {
        const VmStateField *f = &load->desc->fields[i];

        if (f->since <= load->version && !load->seen[i]) {
            return fail(error, VMM_ERROR_WIRE, "%s: missing", f->name);
        }
    }
    return true;
}

bool vmstate_load(const VmStateDesc *desc, void *dev, const void *data, size_t len, GError **error)
{
    VmStateCursor cursor = {.pos = data, .left = len};
    Load load = {.desc = desc};

    g_assert(desc->num_fields + desc->num_subsections <= VMSTATE_MAX_FIELDS);
    if (!vmstate_take_u32(&cursor, &load.version)) {
        return fail(error, VMM_ERROR_WIRE, "version: missing");
    }
    if (load.version < desc->min_version || load.version > desc->version) {
        return fail(error, VMM_ERROR_WIRE, "version: %" PRIu32 ", expected %" PRIu32 "..%" PRIu32,
                    load.version, desc->min_version, desc->version);
    }
    while (cursor.left > 0) {
        VmStateRecord record;

        if (!vmstate_take_record(&cursor, &record, error) ||
            !load_record(&load, dev, &record, error)) {
            return false;
        }
    }
    return check_all_seen(&load, error) &&
           (!desc->post_load || desc->post_load(dev, load.version, error));
}

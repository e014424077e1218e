/* SPDX-License-Identifier: Apache-2.0 */
/* Cutting bytes into records, with every length checked. */
#include "migration/vmstate_wire.h"

#include "util/bytes.h"
#include "util/error.h"

static const uint8_t *take(VmStateCursor *cursor, size_t len)
{
    const uint8_t *at = cursor->pos;

    if (len > cursor->left) {
        return NULL;
    }
    cursor->pos += len;
    cursor->left -= len;
    return at;
}

bool vmstate_take_u32(VmStateCursor *cursor, uint32_t *ret_value)
{
    const uint8_t *at = take(cursor, sizeof(*ret_value));

    if (!at) {
        return false;
    }
    *ret_value = load_le32(at);
    return true;
}

bool vmstate_take_sized(VmStateCursor *cursor, VmStateCursor *ret_part)
{
    uint32_t len;

    if (!vmstate_take_u32(cursor, &len)) {
        return false;
    }

    const uint8_t *at = take(cursor, len);

    if (!at) {
        return false;
    }
    *ret_part = (VmStateCursor){.pos = at, .left = len};
    return true;
}

bool vmstate_take_record(VmStateCursor *cursor, VmStateRecord *ret_record, GError **error)
{
    const uint8_t *head = take(cursor, 2);
    const uint8_t *name = head ? take(cursor, head[1]) : NULL;
    VmStateRecord record = {.name = (const char *)name};

    if (!name) {
        return fail(error, VMM_ERROR_WIRE, "record: its name ends early");
    }
    record.kind = head[0];
    record.name_len = head[1];
    if (!vmstate_take_sized(cursor, &record.payload)) {
        g_autofree char *text = vmstate_record_name(&record);

        return fail(error, VMM_ERROR_WIRE, "%s: ends early", text);
    }
    *ret_record = record;
    return true;
}

char *vmstate_record_name(const VmStateRecord *record)
{
    g_autofree char *name = g_strndup(record->name, record->name_len);

    return g_strescape(name, NULL);
}

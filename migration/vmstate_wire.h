/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MIGRATION_VMSTATE_WIRE_H
#define MIGRATION_VMSTATE_WIRE_H

/*
 * The bottom of the reader: a cursor that cannot run past its end, and records cut out of it.
 * Private to migration/vmstate*.c.
 */

#include "migration/vmstate.h"

typedef struct VmStateCursor {
    const uint8_t *pos;
    size_t left;
} VmStateCursor;

/* One record; name is not terminated and, like payload, points into the input. */
typedef struct VmStateRecord {
    uint8_t kind;
    uint8_t name_len;
    const char *name;
    VmStateCursor payload;
} VmStateRecord;

bool vmstate_take_u32(VmStateCursor *cursor, uint32_t *ret_value);

/* A u32 length and as many bytes. */
bool vmstate_take_sized(VmStateCursor *cursor, VmStateCursor *ret_part);

bool vmstate_take_record(VmStateCursor *cursor, VmStateRecord *ret_record, GError **error);

/* Printable whatever the input holds. */
char *vmstate_record_name(const VmStateRecord *record);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiled, never run, once per mistake: a table entry for a member of the wrong type must not
 * compile.  Without a MISTAKE it must, so that the others fail for the right reason.
 */
#include "migration/vmstate.h"

#include <stdbool.h>

typedef struct Sample {
    uint8_t u8;
    uint32_t u32;
    bool boolean;
    int number;
    size_t size;
    char text[4];
    uint32_t list[4];
    uint32_t *behind;
    uint32_t count;
    uint16_t short_count;
} Sample;

extern const VmStateField sample_fields[];

const VmStateField sample_fields[] = {
    VMSTATE_FIELD_U8(Sample, u8, 1),
    VMSTATE_FIELD_U32_BUFFER(Sample, behind, count, 4, 1),
#if MISTAKE == 1
    VMSTATE_FIELD_U64(Sample, u8, 1),
#elif MISTAKE == 2
    VMSTATE_FIELD_BOOL(Sample, boolean, 1),
#elif MISTAKE == 3
    VMSTATE_FIELD_U32(Sample, number, 1),
#elif MISTAKE == 4
    VMSTATE_FIELD_BYTES(Sample, text, 1),
#elif MISTAKE == 5
    VMSTATE_FIELD_U32(Sample, list, 1),
#elif MISTAKE == 6
    VMSTATE_FIELD_U32_ARRAY(Sample, behind, 1),
#elif MISTAKE == 7
    VMSTATE_FIELD_U32_BUFFER(Sample, list, count, 4, 1),
#elif MISTAKE == 8
    VMSTATE_FIELD_U32_BUFFER(Sample, behind, short_count, 4, 1),
#elif MISTAKE == 9
    VMSTATE_FIELD_U16_ARRAY(Sample, list, 1),
#endif
};

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MIGRATION_VMSTATE_H
#define MIGRATION_VMSTATE_H

/*
 * A device says in one const table what of it survives a save; vmstate.c walks the table.
 *
 *     object     = version u32, record...             ends where its container says
 *     record     = kind u8, name length u8, name, payload length u32, payload
 *     payload    = integer | integer... | bytes | object | (object length u32, object)...
 *
 * Everything is little-endian.  Fields travel with their names, in any order.  The reader refuses
 * a name it does not know, a name twice, a missing one, a wrong kind or size, and every
 * truncation; the message starts with the path to the fault ("queue[0].last_avail: ...").
 *
 * Only integers of fixed width, bytes, booleans kept in a uint8_t, nested tables and arrays of
 * these: the macros do not compile for a member of another type.
 *
 * To extend a table, add a subsection with `needed`: readers that know it take it, and a stream
 * without it stays readable.  Raise `version` only when older readers must refuse; a field that is
 * new in version N says so (since), and keeps its value when an older stream is read.
 */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_object;

#define VMSTATE_MAX_FIELDS 128 /* of one table, its subsections included */

/* The numbers are part of the wire form. */
typedef enum {
    VMSTATE_KIND_U8 = 1,
    VMSTATE_KIND_U16 = 2,
    VMSTATE_KIND_U32 = 3,
    VMSTATE_KIND_U64 = 4,
    VMSTATE_KIND_BOOL = 5, /* a uint8_t that is 0 or 1 */
    VMSTATE_KIND_BYTES = 6,
    VMSTATE_KIND_STRUCT = 7,
    VMSTATE_KIND_SUBSECTION = 8,
    VMSTATE_KIND_ARRAY = 0x10, /* on the wire: added to the kind of the elements */
} VmStateKind;

typedef enum {
    VMSTATE_FORM_ONE,
    VMSTATE_FORM_FIXED,   /* an array inside the struct */
    VMSTATE_FORM_BEHIND,  /* behind a pointer; the object has it and its count before a load */
    VMSTATE_FORM_RESIZED, /* behind a pointer; a load replaces array (g_malloc) and count */
} VmStateForm;

typedef struct VmStateDesc VmStateDesc;

typedef struct VmStateField {
    const char *name;
    VmStateKind kind;
    VmStateForm form;
    size_t offset;
    size_t size;             /* of one element */
    size_t count;            /* FIXED */
    size_t count_offset;     /* BEHIND, RESIZED: of the uint32_t that counts */
    uint32_t max_count;      /* BEHIND, RESIZED */
    uint32_t since;          /* the version that brought it */
    const VmStateDesc *desc; /* STRUCT */
} VmStateField;

struct VmStateDesc {
    const char *name;
    uint32_t version;
    uint32_t min_version; /* the oldest that still loads */
    const VmStateField *fields;
    size_t num_fields;

    /* Optional; each describes the same object.  Saved where needed() says so. */
    const VmStateDesc *const *subsections;
    size_t num_subsections;

    /* Of a subsection only.  NULL: always saved. */
    bool (*needed)(const void *dev);

    /* Optional.  Brings the struct up to date before it is read. */
    bool (*pre_save)(void *dev, GError **error);

    /*
     * Optional.  A validator first: every index, count and address is checked here before anybody
     * uses it.  Touches its own object only; side effects wait for DeviceOps.resume.  Messages
     * start with the member's name and a colon.
     */
    bool (*post_load)(void *dev, uint32_t version, GError **error);
};

/* Appends one object to out.  A failed save may leave part of it there. */
bool vmstate_save(const VmStateDesc *desc, void *dev, GByteArray *out, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;

/*
 * Reads one object that fills [data, data + len).  A failed load may leave dev half loaded: every
 * pointer in it is still valid and counted rightly, but values are unchecked, so that all that may
 * happen to it is another load, a reset or its end.
 */
bool vmstate_load(const VmStateDesc *desc, void *dev, const void *data, size_t len, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;

/* Is the table itself in order?  For self-tests. */
bool vmstate_check(const VmStateDesc *desc, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The table as JSON: what a checker compares between releases.  The caller owns the result. */
struct json_object *vmstate_schema(const VmStateDesc *desc);

/* A saved object as JSON, without its table.  NULL on bytes that do not parse. */
struct json_object *vmstate_dump(const void *data, size_t len, GError **error);

/* clang-format off */
#define VMSTATE_MEMBER(Type, member) (((Type *)0)->member)
#define VMSTATE_REQUIRE(condition, text) \
    (0 * sizeof(struct { _Static_assert(condition, text); char ok; }))
#define VMSTATE_IS(Type, member, ctype) \
    __builtin_types_compatible_p(__typeof__(VMSTATE_MEMBER(Type, member)), ctype)
/* The offset of member, which must be a ctype. */
#define VMSTATE_OFFSET(Type, member, ctype) \
    (offsetof(Type, member) + \
     VMSTATE_REQUIRE(VMSTATE_IS(Type, member, ctype), #Type "." #member " is not " #ctype))

#define VMSTATE_MAKE_ONE(Type, member, ctype, kind_, since_) { \
    .name = #member, .kind = (kind_), .form = VMSTATE_FORM_ONE, \
    .offset = VMSTATE_OFFSET(Type, member, ctype), .size = sizeof(ctype), .since = (since_), \
}
#define VMSTATE_MAKE_FIXED(Type, member, ctype, kind_, since_) { \
    .name = #member, .kind = (kind_), .form = VMSTATE_FORM_FIXED, \
    .offset = VMSTATE_OFFSET(Type, member, __typeof__(ctype)[]), .size = sizeof(ctype), \
    .count = G_N_ELEMENTS(VMSTATE_MEMBER(Type, member)), .since = (since_), \
}
#define VMSTATE_MAKE_COUNTED(Type, member, count_member, max, ctype, kind_, form_, since_) { \
    .name = #member, .kind = (kind_), .form = (form_), \
    .offset = VMSTATE_OFFSET(Type, member, __typeof__(ctype) *), .size = sizeof(ctype), \
    .count_offset = VMSTATE_OFFSET(Type, count_member, uint32_t), .max_count = (max), \
    .since = (since_), \
}

#define VMSTATE_FIELD_U8(Type, member, since) \
    VMSTATE_MAKE_ONE(Type, member, uint8_t, VMSTATE_KIND_U8, since)
#define VMSTATE_FIELD_U16(Type, member, since) \
    VMSTATE_MAKE_ONE(Type, member, uint16_t, VMSTATE_KIND_U16, since)
#define VMSTATE_FIELD_U32(Type, member, since) \
    VMSTATE_MAKE_ONE(Type, member, uint32_t, VMSTATE_KIND_U32, since)
#define VMSTATE_FIELD_U64(Type, member, since) \
    VMSTATE_MAKE_ONE(Type, member, uint64_t, VMSTATE_KIND_U64, since)
#define VMSTATE_FIELD_BOOL(Type, member, since) \
    VMSTATE_MAKE_ONE(Type, member, uint8_t, VMSTATE_KIND_BOOL, since)

/* Arrays inside the struct. */
#define VMSTATE_FIELD_BYTES(Type, member, since) \
    VMSTATE_MAKE_FIXED(Type, member, uint8_t, VMSTATE_KIND_BYTES, since)
#define VMSTATE_FIELD_U16_ARRAY(Type, member, since) \
    VMSTATE_MAKE_FIXED(Type, member, uint16_t, VMSTATE_KIND_U16, since)
#define VMSTATE_FIELD_U32_ARRAY(Type, member, since) \
    VMSTATE_MAKE_FIXED(Type, member, uint32_t, VMSTATE_KIND_U32, since)
#define VMSTATE_FIELD_U64_ARRAY(Type, member, since) \
    VMSTATE_MAKE_FIXED(Type, member, uint64_t, VMSTATE_KIND_U64, since)

/* Behind a pointer: what a load brings replaces what was there.  max bounds the count. */
#define VMSTATE_FIELD_BUFFER(Type, member, count_member, max, since) \
    VMSTATE_MAKE_COUNTED(Type, member, count_member, max, uint8_t, VMSTATE_KIND_BYTES, \
                     VMSTATE_FORM_RESIZED, since)
#define VMSTATE_FIELD_U16_BUFFER(Type, member, count_member, max, since) \
    VMSTATE_MAKE_COUNTED(Type, member, count_member, max, uint16_t, VMSTATE_KIND_U16, \
                     VMSTATE_FORM_RESIZED, since)
#define VMSTATE_FIELD_U32_BUFFER(Type, member, count_member, max, since) \
    VMSTATE_MAKE_COUNTED(Type, member, count_member, max, uint32_t, VMSTATE_KIND_U32, \
                     VMSTATE_FORM_RESIZED, since)
#define VMSTATE_FIELD_U64_BUFFER(Type, member, count_member, max, since) \
    VMSTATE_MAKE_COUNTED(Type, member, count_member, max, uint64_t, VMSTATE_KIND_U64, \
                     VMSTATE_FORM_RESIZED, since)

/* Nested tables.  desc_ is the table of Element. */
#define VMSTATE_FIELD_STRUCT(Type, member, Element, desc_, since_) { \
    .name = #member, .kind = VMSTATE_KIND_STRUCT, .form = VMSTATE_FORM_ONE, \
    .offset = VMSTATE_OFFSET(Type, member, Element), .size = sizeof(Element), \
    .desc = (desc_), .since = (since_), \
}
#define VMSTATE_FIELD_STRUCT_ARRAY(Type, member, Element, desc_, since_) { \
    .name = #member, .kind = VMSTATE_KIND_STRUCT, .form = VMSTATE_FORM_FIXED, \
    .offset = VMSTATE_OFFSET(Type, member, __typeof__(Element)[]), .size = sizeof(Element), \
    .count = G_N_ELEMENTS(VMSTATE_MEMBER(Type, member)), .desc = (desc_), .since = (since_), \
}
/* Elements that the object was made with: a stream with another count is refused. */
#define VMSTATE_FIELD_STRUCTS_BEHIND(Type, member, count_member, max, Element, desc_, since_) { \
    .name = #member, .kind = VMSTATE_KIND_STRUCT, .form = VMSTATE_FORM_BEHIND, \
    .offset = VMSTATE_OFFSET(Type, member, __typeof__(Element) *), .size = sizeof(Element), \
    .count_offset = VMSTATE_OFFSET(Type, count_member, uint32_t), .max_count = (max), \
    .desc = (desc_), .since = (since_), \
}
/* Elements that a load replaces, zeroed first; their table must hold no pointers. */
#define VMSTATE_FIELD_STRUCT_BUFFER(Type, member, count_member, max, Element, desc_, since_) { \
    .name = #member, .kind = VMSTATE_KIND_STRUCT, .form = VMSTATE_FORM_RESIZED, \
    .offset = VMSTATE_OFFSET(Type, member, __typeof__(Element) *), .size = sizeof(Element), \
    .count_offset = VMSTATE_OFFSET(Type, count_member, uint32_t), .max_count = (max), \
    .desc = (desc_), .since = (since_), \
}
/* clang-format on */

#endif

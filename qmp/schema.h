/* SPDX-License-Identifier: Apache-2.0 */
#ifndef QMP_SCHEMA_H
#define QMP_SCHEMA_H

/*
 * The shape of what generate.py makes of the files in schema/: types, and the two lists of commands and
 * events.  One interpreter (arguments.c) reads a command's arguments into its C struct by these
 * tables, so no command has a parser of its own.
 */

#include "qmp/reply.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum QmpKind {
    QMP_KIND_STR,    /* const char *, borrowed from the request; NULL when absent */
    QMP_KIND_BOOL,   /* bool */
    QMP_KIND_INT,    /* int64_t in [min, max] */
    QMP_KIND_UINT,   /* uint64_t in [0, umax] */
    QMP_KIND_NUMBER, /* double */
    QMP_KIND_ANY,    /* json_object *, borrowed */
    QMP_KIND_ENUM,   /* int: index into names */
    QMP_KIND_OBJECT, /* its struct */
    QMP_KIND_LIST,   /* struct { size_t count; T *items; } */
} QmpKind;

typedef struct QmpType QmpType;

typedef struct QmpMember {
    const char *name;
    const QmpType *type;
    size_t offset;
    size_t has_offset; /* of a bool that says if it was given */
    bool has;          /* there is such a bool; else NULL says that it is absent */
    bool optional;
} QmpMember;

struct QmpType {
    QmpKind kind;
    const char *name; /* as an error calls it: "string", "integer", "uint8_t" */
    int64_t min, max;
    uint64_t umax;
    size_t size;
    const char *const *names; /* QMP_KIND_ENUM: ends with NULL */
    const QmpMember *members; /* QMP_KIND_OBJECT */
    size_t num_members;
    const QmpType *element;         /* QMP_KIND_LIST */
    const QmpMember *tag;           /* QMP_KIND_OBJECT: the enum that chooses a variant, or NULL */
    const QmpType *const *variants; /* by the tag's value; NULL: nothing more */
    size_t variants_offset;         /* all of them begin here, in a union */
};

typedef struct QmpList {
    size_t count;
    void *items;
} QmpList;

typedef struct QmpCommand {
    const char *name;
    const QmpType *arguments; /* NULL: none */
    bool (*run)(QmpCall *call, const void *arguments, QmpReply *reply, GError **error);
    bool allow_oob;
    bool early; /* may be a session's first word, in place of a negotiation */
} QmpCommand;

/* An event that a guest can cause at will goes out once a second per key at most, the latest. */
typedef struct QmpEventType {
    const char *name;
    bool limited;
    const char *key; /* a member of its data; NULL: one for all */
} QmpEventType;

/* Generated; both sorted by name. */
extern const QmpCommand qmp_commands[];
extern const size_t qmp_num_commands;
extern const QmpEventType qmp_events[];
extern const size_t qmp_num_events;

/* What query-qmp-schema answers, one element each, as it goes over the wire. */
extern const char *const qmp_schema_elements[];
extern const size_t qmp_num_schema_elements;

/* NULL if there is none. */
const QmpCommand *qmp_command_find(const char *name);
const QmpEventType *qmp_event_find(const char *name);

#endif

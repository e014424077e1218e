/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UTIL_PROPS_H
#define UTIL_PROPS_H

/*
 * From what a user wrote to a plain struct, in two steps.
 *
 *     "virtio-blk-device,drive=d0,num-queues=2"  --props_parse-->  PropBag    ordered key=value
 *     {"driver":"virtio-blk-device","drive":...}                   PropBag    words, not yet judged
 *     PropBag  --props_apply(PropTable)-->  struct BlkConfig { char *drive; uint64_t queues; ... }
 *
 * A bag can be read before anybody knows the type it is for, kept in the VM's configuration, and
 * written to a template.  A table says what the properties of one type are; it also makes the help
 * text and the answer to device-list-properties.  Everything a user can get wrong is found by
 * props_apply, in words that name the property, the value and what was expected.
 */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct json_object json_object;

/* ---- bags -------------------------------------------------------------------------------- */

typedef struct PropBag PropBag;

/* implied_key (may be NULL) is the key of a first word that stands alone: "driver", "type". */
PropBag *prop_bag_new(const char *implied_key);
PropBag *prop_bag_copy(const PropBag *bag);
void prop_bag_free(PropBag *bag); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PropBag, prop_bag_free)

/*
 * Reads "word,key=value,flag,noflag" (",," is a comma inside a value, a flag alone is on, with
 * "no" before it off) or JSON object text that begins with '{' (nested objects become "a.b", lists
 * of words repeat the key, other lists become "a.0").
 */
PropBag *props_parse(const char *text, const char *implied_key, GError **error);

/* Adds behind what is there; a key may occur more than once. */
void prop_bag_add(PropBag *bag, const char *key, const char *value);

/* Replaces every value of key by this one. */
void prop_bag_set(PropBag *bag, const char *key, const char *value);

size_t prop_bag_count(const PropBag *bag);
const char *prop_bag_key(const PropBag *bag, size_t index);
const char *prop_bag_value(const PropBag *bag, size_t index);

/* The first value of key, or NULL. */
const char *prop_bag_get(const PropBag *bag, const char *key);

/* As given to prop_bag_new; NULL if none. */
const char *prop_bag_implied_key(const PropBag *bag);

/* The value of the implied key ("virtio-blk-device"), or NULL; and of "id". */
const char *prop_bag_type(const PropBag *bag);
const char *prop_bag_id(const PropBag *bag);

/* The first value of key, which leaves the bag and is the caller's to g_free; NULL if none. */
char *prop_bag_take(PropBag *bag, const char *key);

/* True if the user asked for help: "help" or "?" as a word of its own or as the type. */
bool prop_bag_wants_help(const PropBag *bag);

/* "virtio-blk-device,drive=d0": what props_parse reads back. */
char *prop_bag_to_text(const PropBag *bag);

/* An object of strings, in order; a repeated key has a list.  The way back takes any JSON object. */
json_object *prop_bag_to_json(const PropBag *bag);
PropBag *prop_bag_from_json(json_object *json, const char *implied_key, GError **error);

/* ---- tables ------------------------------------------------------------------------------ */

typedef enum OnOffAuto {
    ON_OFF_AUTO_AUTO,
    ON_OFF_AUTO_ON,
    ON_OFF_AUTO_OFF,
} OnOffAuto;

/* The comment tells the type of the struct's member. */
typedef enum PropType {
    PROP_STRING,      /* char *, owned by the struct, NULL when not given; max = length */
    PROP_BOOL,        /* bool */
    PROP_ON_OFF_AUTO, /* OnOffAuto */
    PROP_UINT,        /* uint64_t in [min, max]; decimal or 0x */
    PROP_UINT32,      /* uint32_t or unsigned, the same */
    PROP_SIZE,        /* uint64_t bytes in [min, max]; K M G T suffix */
    PROP_ENUM,        /* unsigned: index into names */
    PROP_MAC,         /* uint8_t[6] */
    PROP_SET,         /* uint64_t[max / 64 + 1], bit n = n; "0-3:7"; the key may repeat */
} PropType;

typedef struct PropDesc {
    const char *name;
    const char *alias; /* optional: another spelling */
    size_t offset;
    size_t given_offset; /* of a bool that tells if the user gave it; 0 = none */
    uint64_t min;
    uint64_t max;             /* 0 = no limit (PROP_SET always has one) */
    const char *const *names; /* PROP_ENUM: ends with NULL */
    const char *default_text; /* NULL: zero, off, auto, the first name, no string */
    const char *help;
    PropType type;
    bool unit_mib;     /* PROP_SIZE: a bare number counts mebibytes */
    bool power_of_two; /* numbers and sizes: nothing else will do */
    bool required;
    bool ignored; /* checked and thrown away; help says why */
} PropDesc;

typedef struct PropTable {
    const char *subject; /* the beginning of every message: "device virtio-blk-device" */
    const PropDesc *props;
    size_t count;
    size_t struct_size;
} PropTable;

#define PROP_TABLE(subject_text, array, type)                                      \
    {                                                                              \
        .subject = (subject_text), .props = (array), .count = G_N_ELEMENTS(array), \
        .struct_size = sizeof(type)                                                \
    }

/*
 * Fills every member that the table names: the default, then what the bag says.  The implied key
 * and "id" need not be in the table.  Members are overwritten, not freed; other members are left
 * alone.  After a failure the members hold nothing to free.
 */
bool props_apply(const PropTable *table, const PropBag *bag, void *config, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;

/* The way back: every member that is not as a bag without it would make it. */
PropBag *props_to_bag(const PropTable *table, const void *config);

/* Frees and clears the strings. */
void props_clear(const PropTable *table, void *config);

/* NULL if there is none; finds an alias too. */
const PropDesc *props_find(const PropTable *table, const char *name);

/* One line per property: "  drive=<str>   what it is (default: x)". */
char *props_help(const PropTable *table);

/* [{"name", "type", "description", "default-value"}, ...], as device-list-properties answers. */
json_object *props_json(const PropTable *table);

#endif

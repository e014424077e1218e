/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MIGRATION_TEMPLATE_H
#define MIGRATION_TEMPLATE_H

/*
 * A frozen VM in a folder, or the same as one stream of bytes:
 *
 *     DIR/state      what the devices, the vCPUs and the machine know; sections with checksums
 *     DIR/memory     an image of guest RAM, to be mapped
 *
 * The engine for both directions.  It knows guest memory and bytes; what the sections mean is for
 * those who add and read them.  migration/format.h has the layout, docs/migration/format.md the
 * reasons.
 *
 *     save:      template_save_new -> template_save_add... -> template_save_run -> template_save_free
 *     restore:   template_reader_open -> template_reader_image, template_reader_section... -> _free
 *                template_reader_begin, template_reader_receive -> the same, from a stream
 */

#include "hypervisor/memory.h"
#include "migration/channel.h"

#include <glib.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The numbers are part of the format. */
typedef enum {
    TEMPLATE_SECTION_CONFIG = 1,  /* JSON text */
    TEMPLATE_SECTION_MEMORY = 2,  /* the map of `memory`; written and read by the engine itself */
    TEMPLATE_SECTION_MACHINE = 3, /* this one and all further ones are vmstate objects */
    TEMPLATE_SECTION_VM = 4,      /* what KVM keeps for the VM as a whole */
    TEMPLATE_SECTION_DEVICE = 5,
    TEMPLATE_SECTION_VCPU = 6,
} TemplateSectionKind;

/* "config", "memory", ...; NULL for a number that is none of them. */
const char *template_section_kind_name(TemplateSectionKind kind);

typedef struct TemplateSection {
    TemplateSectionKind kind;
    const char *name; /* unique among its kind; may be empty */
    const void *data;
    size_t len;
} TemplateSection;

/* --- save --- */

typedef struct TemplateSaveParams {
    const char *dir;    /* made if missing, with its parents */
    Channel *stream;    /* instead of a folder; borrowed until template_save_free */
    bool sync;          /* wait until the host's disk has everything */
    bool direct_io;     /* write memory past the page cache; a folder's */
    uint64_t bandwidth; /* of memory, in bytes a second; 0: no limit */
    unsigned threads;   /* that write a folder's memory; 0: one for each host CPU, at most 16 */
    bool ignore_shared; /* RAM that is shared with a file of the user's stays in it */
} TemplateSaveParams;

/* What a run does, and how long each took. */
typedef enum {
    TEMPLATE_PART_MEMORY,
    TEMPLATE_PART_STATE,
    TEMPLATE_PART_PUBLISH, /* until the host's disk has it, if that is wanted, and it has its name */
    TEMPLATE_PARTS,
} TemplatePart;

/* Any thread reads it, while it grows. */
typedef struct TemplateProgress {
    atomic_uint_fast64_t total;         /* bytes of RAM */
    atomic_uint_fast64_t transferred;   /* bytes of RAM that are dealt with */
    atomic_uint_fast64_t duplicate;     /* pages of zeroes, which are not written */
    atomic_uint_fast64_t normal;        /* pages written */
    atomic_uint_fast64_t bytes_written; /* all told */
    atomic_uint_fast64_t state_bytes;   /* of them, of state */

    atomic_uint_fast64_t part_ns[TEMPLATE_PARTS]; /* 0: it has not ended */
} TemplateProgress;

typedef struct TemplateSave TemplateSave;

/*
 * Makes the folder and the temporary files in it, so that what can be known to fail fails here; a
 * stream was opened by the caller.  memory is borrowed.  One save at a time into a folder; a second one is refused.
 */
TemplateSave *template_save_new(const TemplateSaveParams *params, const GuestMemory *memory,
                                GError **error);

/* Copies the data.  Before run.  (kind, name) must be new; MEMORY is the engine's own. */
void template_save_add(TemplateSave *save, TemplateSectionKind kind, const char *name,
                       const void *data, size_t len);

/*
 * Writes memory and state, and puts both in place; of a stream, all of it, and finishes it.  Once,
 * on a thread of the caller's choice; guest memory must stand still meanwhile.  After a failure the
 * folder holds what it held before.
 */
bool template_save_run(TemplateSave *save, GError **error);

/* Any thread, any time: run fails soon with VMM_ERROR_STATE, unless it is past the point of return. */
void template_save_cancel(TemplateSave *save);

const TemplateProgress *template_save_progress(const TemplateSave *save);

/* Accepts NULL.  Removes what was not put in place; never while run runs. */
void template_save_free(TemplateSave *save);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TemplateSave, template_save_free)

/* --- restore --- */

typedef struct TemplateReader TemplateReader;

/*
 * Reads and verifies all of state, and that memory belongs to it and is as long as state says.
 * Nothing in the folder is changed.
 */
TemplateReader *template_reader_open(const char *dir, GError **error);

/*
 * The same from a stream, in two steps.  After the first one the sections are there and memory is
 * not: the caller can tell whether it wants it.  The second one unpacks all of it into a file of the
 * reader's that has no name, and finishes the stream.  Both wait for the other side.
 */
TemplateReader *template_reader_begin(Channel *stream, GError **error);
bool template_reader_receive(TemplateReader *reader, Channel *stream, GError **error);

/* Of RAM, in the template's memory. */
uint64_t template_reader_memory_bytes(const TemplateReader *reader);

/* Accepts NULL.  Ends the life of everything that the reader gave out. */
void template_reader_free(TemplateReader *reader);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TemplateReader, template_reader_free)

/* The identity of the save, 16 bytes. */
const uint8_t *template_reader_identity(const TemplateReader *reader);

/* NULL if there is no such section. */
const void *template_reader_section(const TemplateReader *reader, TemplateSectionKind kind,
                                    const char *name, size_t *ret_len);

/* In the order in which they were added. */
size_t template_reader_num_sections(const TemplateReader *reader);
const TemplateSection *template_reader_section_at(const TemplateReader *reader, size_t index);

/*
 * The part of memory that a backend is to begin with; size must be what the template has.  The
 * mode is RAM_IMAGE_MAP; the caller changes it where that cannot be (ram_image_can_map).  ret_image
 * borrows from the reader.  fd is -1 if the template knows the backend but does not hold it: ROM.
 */
bool template_reader_image(const TemplateReader *reader, const char *backend_id, uint64_t size,
                           RamImage *ret_image, GError **error);

/* Reads all of memory and compares its checksums, on all cores. */
bool template_verify_memory(const TemplateReader *reader, GError **error);

#endif

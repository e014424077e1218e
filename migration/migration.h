/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MIGRATION_MIGRATION_H
#define MIGRATION_MIGRATION_H

/*
 * The one save or load of a VM that is under way, or was the last.
 *
 *     main loop                              worker thread
 *     migration_save: is it possible?
 *       then, from the loop:
 *       freeze    the VM stands still
 *       collect   every state but RAM  --->  RAM, then the rest, then the template has its name
 *       thaw      what comes of the VM <---
 *
 *     migration_load: of a stream
 *       then, from the loop:         --->  its state; fits; its RAM, unpacked
 *       load                         <---
 *
 * It does not know what a VM is: whoever has one says how each step is done (MigrationVm).
 * Everything belongs to the main loop's thread.
 */

#include "migration/params.h"
#include "migration/status.h"
#include "migration/template.h"
#include "util/event.h"
#include "util/loop.h"

typedef enum {
    MIGRATION_END_SAVED,
    MIGRATION_END_FAILED, /* or cancelled: the VM goes on as if nothing had been */
} MigrationEnd;

typedef struct MigrationVm {
    /* May it be saved, and what of it may not?  One error with every reason. */
    bool (*check)(void *opaque, GError **error);

    const GuestMemory *(*memory)(void *opaque);

    /* Stops it, if it runs.  Afterwards neither vCPUs nor devices touch RAM until thaw. */
    bool (*freeze)(void *opaque, GError **error);

    /* Adds every section. */
    bool (*collect)(void *opaque, TemplateSave *save, GError **error);

    /* After freeze, even one that failed. */
    void (*thaw)(void *opaque, MigrationEnd end);

    /*
     * Loads everything into a VM that waits for it, and lets it run if it is to.  in_place: the VM
     * was built before anybody knew the template, so its RAM does not show it yet.
     */
    bool (*load)(void *opaque, const TemplateReader *reader, bool in_place, GError **error);

    /* Any thread: could it be loaded?  Asked before a stream's RAM is taken. */
    bool (*fits)(void *opaque, const TemplateReader *reader, GError **error);

    /* A load that was the only reason for the process to live has failed. */
    void (*give_up)(void *opaque);
} MigrationVm;

typedef struct Migration Migration;

/* loop, events and vm stay the caller's and outlive it. */
Migration *migration_new(Loop *loop, const VmEventSink *events, const MigrationVm *vm,
                         void *opaque);

/* Accepts NULL.  Cancels a save under way, waits for it and leaves nothing of it behind. */
void migration_free(Migration *migration);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Migration, migration_free)

MigrationParams *migration_params(Migration *migration);

/*
 * Errors that can be known at once; the rest shows in migration_info.  host is needed during the
 * call only.
 */
bool migration_save(Migration *migration, const char *uri, const ChannelHost *host, GError **error);

/* Harmless when nothing is under way.  Of loads, those that wait for a stream can be cancelled. */
void migration_cancel(Migration *migration);

/* A reader that was opened before the VM was built, from which its RAM comes. */
bool migration_load_opened(Migration *migration, const TemplateReader *reader, GError **error);

/*
 * Into a VM that was built before and waits.  A folder is loaded when it returns; a stream is taken
 * meanwhile, and what comes of it shows in migration_info.  After a failure it may be tried again,
 * unless or_give_up.
 */
bool migration_load(Migration *migration, const char *uri, const ChannelHost *host, bool or_give_up,
                    GError **error);

/* The same with a stream that was opened before; takes it. */
void migration_load_stream(Migration *migration, Channel *stream, bool or_give_up);

bool migration_is_under_way(const Migration *migration);

#define MIGRATION_PAGE_BYTES 4096

/*
 * How long each part took, of the save or load that is under way or was the last; 0: it has not
 * ended, or there is no such part.
 */
typedef struct MigrationPhases {
    uint64_t setup_ns; /* the VM goes on meanwhile, or is not there yet */
    uint64_t freeze_ns;
    uint64_t collect_ns;
    uint64_t memory_ns;
    uint64_t state_ns;
    uint64_t publish_ns; /* as in TemplateProgress */
    uint64_t load_ns;    /* all of it, into the VM */
    uint64_t memory_bytes;
    uint64_t state_bytes;
} MigrationPhases;

typedef struct MigrationInfo {
    MigrationStatus status;
    bool incoming;
    const char *error; /* FAILED; the migration's own */
    int64_t total_ms;
    int64_t setup_ms;
    int64_t downtime_ms; /* how long the VM has stood still for it */

    /* Of RAM; all 0 without a save. */
    uint64_t ram_total;
    uint64_t ram_transferred; /* dealt with, holes included */
    uint64_t zero_pages;      /* of MIGRATION_PAGE_BYTES, not written */
    uint64_t written_pages;

    MigrationPhases phases;
} MigrationInfo;

MigrationInfo migration_info(const Migration *migration);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MIGRATION_PARAMS_H
#define MIGRATION_PARAMS_H

/*
 * What a client can set about saves and loads: capabilities (switches) and parameters.
 *
 * Some of QEMU's stand for what every folder here has by design (a sparse file of RAM, written by
 * several threads).  A client that switches them expects one file, so that is all they do: a path
 * that is not there becomes a stream instead of a folder.  A capability that is not in the table is
 * not known.
 */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    MIGRATION_CAP_EVENTS,        /* MIGRATION and MIGRATION_PASS are raised */
    MIGRATION_CAP_IGNORE_SHARED, /* RAM that is shared with a file of the user's stays in it */
    MIGRATION_CAP_MAPPED_RAM,    /* file: makes one file */
    MIGRATION_CAP_MULTIFD,       /* the same */
    MIGRATION_CAP_COUNT,
} MigrationCap;

const char *migration_cap_name(MigrationCap cap);

/* False if there is none of that name. */
bool migration_cap_find(const char *name, MigrationCap *ret_cap);

typedef struct MigrationParams {
    bool cap[MIGRATION_CAP_COUNT];
    uint64_t max_bandwidth;    /* bytes a second; 0: as fast as it goes */
    uint64_t multifd_channels; /* threads that write RAM; 0: one per host CPU */
    bool direct_io;            /* past the host's page cache */
    bool sync;                 /* the template is on the disk before it counts as saved */

    /* Kept for clients that set them and read them back: nothing here is saved while it runs. */
    uint64_t downtime_limit_ms;
} MigrationParams;

MigrationParams migration_params_default(void);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MIGRATION_STATUS_H
#define MIGRATION_STATUS_H

/*
 * How far a save or a load is, in the words of QMP's query-migrate.
 *
 *     none --> setup --> active --> device --> completed
 *                |         |          |
 *                |         +----------+--> cancelling --> cancelled
 *                +---------+----------+--> failed
 *
 * What has ended may begin again.
 */

#include <stdbool.h>

typedef enum {
    MIGRATION_NONE,
    MIGRATION_SETUP,  /* asked for; nothing has happened to the VM yet */
    MIGRATION_ACTIVE, /* RAM */
    MIGRATION_DEVICE, /* everything else */
    MIGRATION_COMPLETED,
    MIGRATION_CANCELLING,
    MIGRATION_CANCELLED,
    MIGRATION_FAILED,
    MIGRATION_STATUS_COUNT,
} MigrationStatus;

const char *migration_status_name(MigrationStatus status);
bool migration_status_may_follow(MigrationStatus from, MigrationStatus to);

/* Between setup and one of the ends. */
bool migration_status_is_under_way(MigrationStatus status);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "migration/status.h"

#include <stdint.h>

#define TO(status) (UINT32_C(1) << MIGRATION_##status)
#define ENDED      (TO(SETUP) | TO(FAILED))
#define UNDER_WAY  (TO(CANCELLING) | TO(FAILED))

typedef struct StatusDesc {
    const char *name;
    uint32_t next;
    bool under_way;
} StatusDesc;

static const StatusDesc table[MIGRATION_STATUS_COUNT] = {
    [MIGRATION_NONE] = {"none", ENDED, false},
    [MIGRATION_SETUP] = {"setup", TO(ACTIVE) | UNDER_WAY, true},
    [MIGRATION_ACTIVE] = {"active", TO(DEVICE) | TO(COMPLETED) | UNDER_WAY, true},
    [MIGRATION_DEVICE] = {"device", TO(COMPLETED) | UNDER_WAY, true},
    [MIGRATION_COMPLETED] = {"completed", ENDED, false},
    [MIGRATION_CANCELLING] = {"cancelling", TO(CANCELLED) | TO(COMPLETED) | TO(FAILED), true},
    [MIGRATION_CANCELLED] = {"cancelled", ENDED, false},
    [MIGRATION_FAILED] = {"failed", ENDED, false},
};

const char *migration_status_name(MigrationStatus status)
{
    return table[status].name;
}

bool migration_status_may_follow(MigrationStatus from, MigrationStatus to)
{
    return (table[from].next & UINT32_C(1) << to) != 0;
}

bool migration_status_is_under_way(MigrationStatus status)
{
    return table[status].under_way;
}

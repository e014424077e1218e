/* SPDX-License-Identifier: Apache-2.0 */
#include "migration/params.h"

static const char *const cap_names[MIGRATION_CAP_COUNT] = {
    [MIGRATION_CAP_EVENTS] = "events",
    [MIGRATION_CAP_IGNORE_SHARED] = "x-ignore-shared",
    [MIGRATION_CAP_MAPPED_RAM] = "mapped-ram",
    [MIGRATION_CAP_MULTIFD] = "multifd",
};

const char *migration_cap_name(MigrationCap cap)
{
    return cap_names[cap];
}

bool migration_cap_find(const char *name, MigrationCap *ret_cap)
{
    for (unsigned i = 0; i < MIGRATION_CAP_COUNT; i++) {
        if (g_strcmp0(cap_names[i], name) == 0) {
            *ret_cap = (MigrationCap)i;
            return true;
        }
    }
    return false;
}

MigrationParams migration_params_default(void)
{
    return (MigrationParams){
        .sync = true,
        .downtime_limit_ms = 300,
    };
}

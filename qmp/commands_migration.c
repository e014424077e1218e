/* SPDX-License-Identifier: Apache-2.0 */
/* Templates and migration. */
#include "qmp/generated.h"

/* An empty object says that there has been no migration. */
bool qmp_cmd_query_migrate(QmpCall *call, QmpReply *reply, GError **error)
{
    (void)call;
    (void)reply;
    (void)error;
    return true;
}

bool qmp_cmd_query_migrate_capabilities(QmpCall *call, QmpReply *reply, GError **error)
{
    (void)call;
    (void)error;
    reply->value = json_object_new_array();
    return true;
}

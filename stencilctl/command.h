/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STENCILCTL_COMMAND_H
#define STENCILCTL_COMMAND_H

/*
 * A QMP command as people type it:
 *
 *     block_resize device=disk0 size=1073741824
 *     migrate channels='[{"channel-type": "main", ...}]'
 *     some-command addr.port=5                            {"addr": {"port": 5}}
 *     {"execute": "query-status"}                         as it is
 *
 * Where the schema says that a value is a string it is taken as it is typed; any other is JSON if
 * it can be, and else a string.
 */

#include "stencilctl/schema.h"

/* NULL with an error of VMM_ERROR_CONFIG.  The caller puts it. */
json_object *command_parse(const Schema *schema, char **words, GError **error);

#endif

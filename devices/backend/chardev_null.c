/* SPDX-License-Identifier: Apache-2.0 */
/* Nobody: takes all output, has no input.  With a log file it is a recorder. */
#include "devices/backend/chardev_kinds.h"

static const ChardevOps chardev_null_ops = {.name = "null"};

Chardev *chardev_null_new(const char *id, const void *config, Loop *loop, GError **error)
{
    const ChardevNullConfig *c = config;
    g_autoptr(Chardev) chr = chardev_alloc(&chardev_null_ops, id, loop, sizeof(Chardev));

    if (!chardev_apply_common(chr, &c->common, error)) {
        return NULL;
    }
    chardev_set_open(chr, true);
    return g_steal_pointer(&chr);
}

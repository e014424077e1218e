/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/fds.h"

#include "util/fd.h"

/* The options' table has checked both. */
static int number_of(const PropBag *bag, const char *name)
{
    return (int)g_ascii_strtoull(prop_bag_get(bag, name), NULL, 0);
}

/* One descriptor may be in several sets, so all are added before any is closed. */
static void close_inherited(const GPtrArray *bags)
{
    for (guint i = 0; i < bags->len; i++) {
        int fd = number_of(bags->pdata[i], "fd");

        fd_close(&fd);
    }
}

FdSets *fds_new(const VmConfig *config, GError **error)
{
    g_autoptr(FdSets) sets = fd_sets_new();
    const GPtrArray *bags = config->add_fds;

    for (guint i = 0; i < bags->len; i++) {
        const PropBag *bag = bags->pdata[i];

        if (!fd_sets_add_inherited(sets, number_of(bag, "set"), number_of(bag, "fd"),
                                   prop_bag_get(bag, "opaque"), error)) {
            g_prefix_error(error, "-add-fd: ");
            return NULL;
        }
    }
    close_inherited(bags);
    return g_steal_pointer(&sets);
}

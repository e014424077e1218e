/* SPDX-License-Identifier: Apache-2.0 */
/* glib: an object that allocates, as every part of the VMM does. */
#include "bench/link/probe.h"

#include <glib.h>

int probe_glib(void)
{
    g_autoptr(GString) text = g_string_new("probe");

    return text->len == 5;
}

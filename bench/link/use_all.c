/* SPDX-License-Identifier: Apache-2.0 */
/* Everything that stencil links. */
#include "bench/link/probe.h"

int probe_use(void)
{
    return probe_glib() && probe_json() && probe_fdt() && probe_uring();
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The probe with this one library. */
#include "bench/link/probe.h"

int probe_use(void)
{
    return probe_json();
}

/* SPDX-License-Identifier: Apache-2.0 */
/* libc alone. */
#include "bench/link/probe.h"

int probe_use(void)
{
    return 1;
}

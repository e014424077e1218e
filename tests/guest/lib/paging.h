/* SPDX-License-Identifier: Apache-2.0 */
/* boot.S maps the first 4 GiB; this maps the RAM above, one to one, up to 64 GiB. */
#ifndef TESTS_GUEST_LIB_PAGING_H
#define TESTS_GUEST_LIB_PAGING_H

#include <stdint.h>

#define PAGING_LIMIT (64ul << 30)

/* What lies above PAGING_LIMIT is left unmapped. */
void paging_map_high_ram(void);

#endif

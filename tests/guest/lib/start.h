/* SPDX-License-Identifier: Apache-2.0 */
/* Where the library meets the payload. */
#ifndef TESTS_GUEST_LIB_START_H
#define TESTS_GUEST_LIB_START_H

#include <stdint.h>

/*
 * Written by each payload.  Called on the boot processor with interrupts off, the local APIC on and
 * everything above in lib/ ready; returning gives the verdict.
 */
void payload_main(void);

/* Called by boot.S. */
void payload_start_boot_cpu(uint32_t start_info);
void payload_start_other_cpu(void);

#endif

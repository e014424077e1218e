/* SPDX-License-Identifier: Apache-2.0 */
/* The clock chip's index and data ports, and the bytes of it that nobody else uses. */
#ifndef TESTS_GUEST_LIB_CMOS_H
#define TESTS_GUEST_LIB_CMOS_H

#include "tests/guest/lib/x86.h"

#include <stdint.h>

#define CMOS_INDEX   0x70
#define CMOS_DATA    0x71
#define CMOS_SCRATCH 0x50
#define CMOS_COUNTER 0x60

static inline uint8_t cmos_read(uint8_t index)
{
    port_write8(CMOS_INDEX, index);
    return port_read8(CMOS_DATA);
}

static inline void cmos_write(uint8_t index, uint8_t value)
{
    port_write8(CMOS_INDEX, index);
    port_write8(CMOS_DATA, value);
}

#endif

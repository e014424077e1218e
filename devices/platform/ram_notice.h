/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEVICES_PLATFORM_RAM_NOTICE_H
#define DEVICES_PLATFORM_RAM_NOTICE_H

/*
 * A notice board in guest RAM: a place that a device writes and the guest reads, and a bell for when
 * something new is there.  The machine gives out the places, keeps its guest's hands off them and
 * tells the guest where they are.
 */

#include "devices/request.h"

#include <stdint.h>

typedef struct RamNotice {
    uint64_t address; /* 0: the machine has no such place */
    Request ring;
} RamNotice;

#endif

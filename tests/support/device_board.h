/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_DEVICE_BOARD_H
#define TESTS_SUPPORT_DEVICE_BOARD_H

/*
 * A board with room for any device that a VM can have: the machines' own, by the table in
 * device_board.c, and every entry of devices/registry.c, with whatever its required properties ask
 * for.  Everything runs on one thread.
 */

#include "devices/backend/chardev.h"
#include "devices/registry.h"
#include "hypervisor/hypervisor.h"
#include "tests/support/virtio_driver.h"
#include "util/clock.h"

#define BOARD_MEMORY_BYTES (UINT64_C(4) << 20)

typedef struct DeviceBoard {
    Hypervisor *hypervisor;
    GuestMemory *memory;
    Loop *loop;
    GuestClock *clock;
    Bus *ports;
    Bus *mmio;
    VirtioHost virtio_host;
    DeviceContext context;
    Chardev *chardev;
    GPtrArray *drives;    /* of BlockBackend, made as devices ask for them */
    Device *ioapic;       /* the other end of wires */
    Device *dev;          /* the one that the board is for, realized */
    VirtioDevice *virtio; /* the same if it is one; if it is a transport, what is behind it */
    Device *transport;    /* in front of dev if that is a virtio device */
    unsigned requests;    /* that the guest made through the device */
} DeviceBoard;

unsigned device_board_num_kinds(void);
const char *device_board_kind_name(unsigned kind);

DeviceBoard *device_board_new(unsigned kind);
void device_board_free(DeviceBoard *board);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DeviceBoard, device_board_free)

/* Everything that is posted or readable now is served. */
void device_board_settle(DeviceBoard *board);

/* Accesses to everywhere that a device of the board may have registers: reads only, or anything. */
void device_board_read_around(DeviceBoard *board);
void device_board_poke(DeviceBoard *board, guint32 seed, unsigned count);

#endif

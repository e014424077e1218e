/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEVICES_REGISTRY_H
#define DEVICES_REGISTRY_H

/*
 * Every device that -device can name, in one const array: what it is called, what can be said about
 * it, on which bus it goes, and how one is made.
 */

#include "devices/bus.h"
#include "devices/device.h"
#include "devices/platform/ram_notice.h"
#include "devices/request.h"
#include "devices/virtio/virtio.h"
#include "hypervisor/memory.h"
#include "util/fd_set.h"
#include "util/props.h"

typedef struct BlockBackend BlockBackend;
typedef struct Loop Loop;

/* What a machine lends to the devices that are made for it.  All of it outlives them. */
typedef struct DeviceContext {
    GuestMemory *memory;
    Bus *ports;
    Bus *mmio;
    Loop *loop; /* the main loop */
    const VirtioHost *virtio_host;
    RamNotice vmgenid;
    RamNotice vmclock;

    /* By the ids of the command line; they fail if there is no such thing. */
    void *opaque;
    BlockBackend *(*take_drive)(void *opaque, const char *id, const char *user, GError **error);
    /* ret_filename NULL: the host kernel's generator.  The caller frees it. */
    const FdSets *fd_sets; /* what paths may name; may be NULL */
    bool (*find_rng)(void *opaque, const char *id, char **ret_filename, GError **error);
    Loop *(*find_iothread)(void *opaque, const char *id, GError **error);

    /* What the guest may ask for through a device. */
    Request exit;   /* value: the process's exit status */
    Request report; /* value: a PVPANIC_ bit */
} DeviceContext;

typedef enum {
    DEVICE_BUS_NONE,  /* maps its own registers */
    DEVICE_BUS_BOARD, /* has a place of its own, so a VM has one; without an id, named by its type */
    DEVICE_BUS_VIRTIO, /* a VirtioDevice, which a transport shows to the guest */
} DeviceBus;

typedef struct DeviceType {
    const char *name;
    const char *description;
    DeviceBus bus;
    const PropTable *props;
    Device *(*create)(const DeviceContext *context, const char *id, const PropBag *bag,
                      GError **error);
} DeviceType;

extern const DeviceType device_types[];
extern const size_t device_num_types;

/* NULL if there is no such device. */
const DeviceType *device_type_find(const char *name);

/* The same, with an error that names the nearest one. */
const DeviceType *device_type_lookup(const char *name, GError **error);

#endif

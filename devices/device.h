/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEVICES_DEVICE_H
#define DEVICES_DEVICE_H

/*
 * What every device model is to the rest of the house: a name, a life, and a state.
 *
 *     xxx_new -> realize -> boot -> [ vCPUs run | drain -> (save) -> resume
 *                                               | drain -> reset -> boot -> resume ] -> device_free
 *
 * Going on from a saved state, in a new process or in one that ran before; drained and reset, so
 * that nothing that comes in meanwhile is lost to what is loaded over it:
 *
 *     load each device -> load each vCPU -> restored for each device -> resume
 *
 * A device is private to its file: one struct whose first member is Device, one const DeviceOps,
 * one const VmStateDesc, and xxx_new at the end.  It knows no machine, no command line and no QMP;
 * it is given its wires (IrqLine), guest memory and back ends.
 */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Device Device;
typedef struct VmStateDesc VmStateDesc;

/* How a VM came to go on from a saved state. */
typedef struct DeviceRestore {
    /*
     * Others may run from the same state, or this VM did before: whatever the guest holds to be
     * unique is so no more.  False: the VM has moved, and runs nowhere else.
     */
    bool cloned;

    /* Wall-clock time since the save that is hidden from the guest; 0: its clocks catch up. */
    int64_t hidden_ns;
} DeviceRestore;

/* All members run on the main thread.  Optional members may be NULL. */
typedef struct DeviceOps {
    const char *name; /* the type, as -device and a template spell it */

    /* Optional.  Acquires what the device needs; no vCPU runs yet. */
    bool (*realize)(Device *dev, GError **error);

    /* Back to power-on.  vCPUs are parked and the device is drained. */
    void (*reset)(Device *dev);

    /*
     * Optional.  At power-on and after each reset, when RAM is cleared and the machine has loaded
     * what the guest starts from: puts into RAM what the guest is to find there.
     */
    bool (*boot)(Device *dev, GError **error);

    /*
     * Optional.  In place of boot: everything is loaded, all devices, all vCPUs and RAM, and nothing
     * runs yet.  Here a device that tells the guest who it is, or what time it is, makes good what
     * the restore made wrong, and tells the guest: it may write RAM and raise interrupts.  Not
     * called for a VM that was saved and goes on.
     */
    bool (*restored)(Device *dev, const DeviceRestore *restore, GError **error);

    /*
     * Optional.  vCPUs are parked.  After it no request is in flight and the device touches
     * neither guest memory nor its back end until resume; it may raise its interrupt on the way.
     * If a device fails, the others are drained all the same, and all of them the next time again.
     */
    bool (*drain)(Device *dev, GError **error);

    /* Optional.  Undoes drain; called before vCPUs run again.  Harmless without a drain. */
    void (*resume)(Device *dev);

    /* Optional.  Frees what the struct holds, also after a realize that failed half way. */
    void (*finalize)(Device *dev);

    /* What survives a save.  NULL is a bug unless why_unmigratable tells the user why not. */
    const VmStateDesc *vmstate;
    const char *why_unmigratable;
} DeviceOps;

struct Device {
    const DeviceOps *ops;
    char *id;
};

/* Accepts NULL. */
void device_free(Device *dev);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Device, device_free)

/* For xxx_new: allocates size zeroed bytes that start with a Device.  id is copied. */
void *device_alloc(const DeviceOps *ops, const char *id, size_t size);

/* Those that can fail prefix the error with "device ID: ". */
bool device_realize(Device *dev, GError **error);
void device_reset(Device *dev);
bool device_boot(Device *dev, GError **error);
bool device_restored(Device *dev, const DeviceRestore *restore, GError **error);
bool device_drain(Device *dev, GError **error);
void device_resume(Device *dev);

#endif

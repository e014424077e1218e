/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_BACKENDS_H
#define MACHINE_BACKENDS_H

/*
 * The host side of a VM: disks, character devices, I/O threads, by the ids that devices refer to.
 *
 * Everything is opened when the VM is built, on the main thread, and closed after the devices are
 * gone.  The shared I/O loop is the exception: it is made when the first device needs it.
 */

#include "devices/backend/block.h"
#include "devices/backend/chardev.h"
#include "machine/config.h"
#include "util/event.h"
#include "util/fd_set.h"
#include "util/loop.h"

typedef struct Backends Backends;

/* stop is called on an I/O thread when a disk's error policy asks for the VM to be stopped. */
typedef struct BackendsHost {
    Loop *loop;
    const VmEventSink *events;
    const FdSets *fd_sets; /* may be NULL */
    void (*stop_on_disk_error)(void *opaque);
    void *opaque;
} BackendsHost;

Backends *backends_new(const VmConfig *config, const BackendsHost *host, GError **error);

/* Accepts NULL. */
void backends_free(Backends *backends);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Backends, backends_free)

/* NULL with an error that says what the id is missing from, or who has it already. */
BlockBackend *backends_take_drive(Backends *backends, const char *id, const char *user,
                                  GError **error);
void backends_return_drive(Backends *backends, const BlockBackend *block);
Chardev *backends_find_chardev(const Backends *backends, const char *id, GError **error);
Loop *backends_find_iothread(const Backends *backends, const char *id, GError **error);

/*
 * The loop that serves devices without an I/O thread of their own.  Any thread may ask, only the
 * main thread makes it: a thread has the restrictions of the one that started it, and those of a
 * vCPU are too narrow for disks.
 *
 *     main  backends_expect_loop  a device will want it
 *     main  backends_start_loop   now is the time; vCPUs that asked before have waited
 *     any   backends_shared_loop
 *
 * Expected after it was time it is made at once.
 */
void backends_expect_loop(Backends *backends);
void backends_start_loop(Backends *backends);
Loop *backends_shared_loop(Backends *backends);

/* For introspection, in the order of the command line. */
const GPtrArray *backends_drives(const Backends *backends);    /* of BlockBackend */
const GPtrArray *backends_chardevs(const Backends *backends);  /* of Chardev */
const GPtrArray *backends_iothreads(const Backends *backends); /* of Loop */

#endif

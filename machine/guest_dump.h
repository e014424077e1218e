/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_GUEST_DUMP_H
#define MACHINE_GUEST_DUMP_H

/*
 * A dump of the guest into a core file (core_file.h), while the VM stands still.
 *
 *     guest_dump_new      may there be one, and is there RAM to dump; nothing has happened yet
 *     guest_dump_begin    the VM stops; its registers are read
 *     guest_dump_write    any thread: the file
 *     guest_dump_end      the event DUMP_COMPLETED; the VM goes on if it ran
 *
 * Between begin and end the VM cannot be started, reset or saved, and what the guest has asked for
 * waits.  Everything but guest_dump_write belongs to the main loop's thread.
 */

#include "machine/core_file.h"
#include "machine/vm.h"

typedef enum {
    GUEST_DUMP_NONE,
    GUEST_DUMP_ACTIVE,
    GUEST_DUMP_COMPLETED,
    GUEST_DUMP_FAILED,
} GuestDumpStatus;

typedef struct GuestDumpInfo {
    GuestDumpStatus status;
    uint64_t completed; /* bytes of RAM */
    uint64_t total;
} GuestDumpInfo;

/* filter may be NULL. */
GuestDump *guest_dump_new(Vm *vm, const CoreFilter *filter, GError **error);

/* Accepts NULL.  One that has begun is the VM's. */
void guest_dump_free(GuestDump *dump);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GuestDump, guest_dump_free)

/* Takes dump, also when it fails; the VM then goes on as it was. */
bool guest_dump_begin(GuestDump *dump, GError **error);

bool guest_dump_write(GuestDump *dump, const CoreSink *sink, GError **error);

/* why is NULL if all has been written. */
void guest_dump_end(GuestDump *dump, const GError *why);

/* As QMP spells it. */
const char *guest_dump_status_name(GuestDumpStatus status);

/* The dump under way, or the last one. */
GuestDumpInfo guest_dump_info(const Vm *vm);

/* False with an error in QEMU's words while a dump is under way. */
bool guest_dump_check_none(const Vm *vm, GError **error);

#endif

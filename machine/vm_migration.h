/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_VM_MIGRATION_H
#define MACHINE_VM_MIGRATION_H

/*
 * How a Vm is saved to a template and loaded from one.
 *
 *     section   name      what
 *     CONFIG    vm        the configuration, as JSON
 *     MACHINE   vm        did it run; the guest's clock
 *     VM        kvm       VM-wide state of the hypervisor: time
 *     DEVICE    ID        one for each device, in the order they were built
 *     VCPU      INDEX     one for each vCPU
 *
 * Saving walks the list of devices that building made; loading walks the same list.
 */

#include "machine/config.h"
#include "migration/migration.h"

typedef struct Vm Vm;

extern const MigrationVm vm_migration;

/*
 * Opens the template that -incoming names and completes config from it; *ret_reader is NULL when
 * there is nothing to load, or not yet: defer, and a stream for a VM that the command line
 * describes.  A stream from which the VM comes as a whole is read to its end.
 */
bool vm_open_incoming(VmConfig *config, TemplateReader **ret_reader, GError **error);

/*
 * Opens the stream that is loaded into the VM once it is built, before the sandbox is entered;
 * *ret_stream is NULL if there is none.
 */
bool vm_open_incoming_stream(const Vm *vm, Channel **ret_stream, GError **error);

/* What this VM lends to streams that a client opens.  take_fd and its opaque are the caller's. */
ChannelHost vm_stream_host(const Vm *vm);

/* vm_migration's load; opaque is the Vm. */
bool vm_load(void *opaque, const TemplateReader *reader, bool in_place, GError **error);
bool vm_fits(void *opaque, const TemplateReader *reader, GError **error);

/* How the template's RAM becomes the VM's, as -incoming memory= says. */
typedef enum {
    INCOMING_MEMORY_AUTO,
    INCOMING_MEMORY_MAP,
    INCOMING_MEMORY_COPY,
    INCOMING_MEMORY_LAZY,
} IncomingMemory;
IncomingMemory vm_incoming_memory(const VmConfig *config);

/* Does RAM that is filled on demand get the rest as well? */
bool vm_incoming_fill(const VmConfig *config);

#endif

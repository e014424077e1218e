/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_GDB_STUB_H
#define MACHINE_GDB_STUB_H

/*
 * The server for gdb (-gdb, -s): gdb's remote serial protocol on a character device.
 *
 *     packet.c    frames
 *     stub.c      a client comes and goes; the table of packets
 *     resume.c    the guest stops and runs
 *     query.c     what gdb asks about the target: features, threads, registers there are
 *     access.c    registers and memory
 *     points.c    breakpoints and watchpoints
 *
 * A thread of gdb is a vCPU; numbers begin at 1.  The VM stops when a client connects, and before any
 * packet is looked at.  Breakpoint instructions stand in guest memory while the guest runs, and not
 * while it is stopped: whoever looks at RAM then (gdb, a dump, a template) sees the guest's own.
 *
 * Everything belongs to the main loop's thread but gdb_hit, which vCPU threads call.
 */

#include "machine/vm.h"

typedef struct GdbStub GdbStub;

/* Listens on the chardev.  The VM must outlive it. */
GdbStub *gdb_stub_new(Vm *vm, const char *chardev, GError **error);
void gdb_stub_free(GdbStub *stub); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GdbStub, gdb_stub_free)

#endif

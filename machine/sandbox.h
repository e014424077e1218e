/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_SANDBOX_H
#define MACHINE_SANDBOX_H

/*
 * What a process that a guest has taken over can still ask of the kernel: for each thread, what
 * its role needs and no more.
 *
 *     main     sandbox_begin ... vm_new ... sandbox_enter_main, then loads and serves
 *     vcpuN    its own setting up, sandbox_enter, then the guest
 *     others   sandbox_enter, by the guard that sandbox_begin sets (util/thread.h)
 *
 * A call that is not allowed is not made: the process says which thread wanted which call and ends
 * with SANDBOX_EXIT_STATUS.  docs/security.md tells what is allowed, and why.
 */

#include "machine/config.h"
#include "util/thread.h"

/* As a shell shows a process that SIGSYS has ended. */
#define SANDBOX_EXIT_STATUS 159

/* False for -sandbox off, with -accel qtest, and in builds with sanitizers. */
bool sandbox_is_wanted(const VmConfig *config);

/* Main thread, before it starts another: finds out whether the host can do it. */
bool sandbox_begin(const VmConfig *config, GError **error);

/* Main thread, if the sandbox is wanted at all: from here on it is in it. */
bool sandbox_enter_main(const VmConfig *config, GError **error);

/* For the calling thread, whatever is wanted. */
bool sandbox_enter(ThreadRole role, GError **error);

#endif

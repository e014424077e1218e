/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_RUNSTATE_H
#define MACHINE_RUNSTATE_H

/*
 * What a VM is doing, in the words of QMP's query-status, and which change may follow which.  The
 * table of transitions is the documentation.
 */

#include <glib.h>
#include <stdbool.h>

typedef enum {
    RUN_STATE_PRELAUNCH, /* built, never ran (-S) */
    RUN_STATE_INMIGRATE, /* waiting for, or loading, a template */
    RUN_STATE_RUNNING,
    RUN_STATE_PAUSED,
    RUN_STATE_FINISH_MIGRATE, /* stopped by a save that is not finished */
    RUN_STATE_POSTMIGRATE,    /* stopped by a save that is */
    RUN_STATE_SAVE_VM,
    RUN_STATE_RESTORE_VM,
    RUN_STATE_IO_ERROR, /* a disk error stopped it */
    RUN_STATE_WATCHDOG,
    RUN_STATE_GUEST_PANICKED,
    RUN_STATE_INTERNAL_ERROR, /* a vCPU cannot go on */
    RUN_STATE_SHUTDOWN,       /* powered off, kept by -no-shutdown */
    RUN_STATE_SUSPENDED,
    RUN_STATE_DEBUG,
    RUN_STATE_COUNT,
} RunState;

/* As QMP spells it. */
const char *run_state_name(RunState state);

/* True for the states in which vCPUs execute. */
bool run_state_is_running(RunState state);

/* True if cont can start the VM from this state; the others need a reset or a load first. */
bool run_state_can_continue(RunState state);

bool run_state_may_follow(RunState from, RunState to);

#endif

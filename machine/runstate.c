/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/runstate.h"

#include <stdint.h>

#define TO(state) (UINT32_C(1) << RUN_STATE_##state)

/* Whatever stops a running VM. */
#define STOPS                                                                                \
    (TO(PAUSED) | TO(FINISH_MIGRATE) | TO(SAVE_VM) | TO(RESTORE_VM) | TO(IO_ERROR) |         \
     TO(WATCHDOG) | TO(GUEST_PANICKED) | TO(INTERNAL_ERROR) | TO(SHUTDOWN) | TO(SUSPENDED) | \
     TO(DEBUG))
/* What a stopped but healthy VM may do. */
#define FROM_STOPPED                                                                    \
    (TO(RUNNING) | TO(PRELAUNCH) | TO(FINISH_MIGRATE) | TO(POSTMIGRATE) | TO(SAVE_VM) | \
     TO(RESTORE_VM) | TO(INTERNAL_ERROR) | TO(SHUTDOWN))

typedef struct RunStateDesc {
    const char *name;
    uint32_t next;
    bool can_continue;
} RunStateDesc;

static const RunStateDesc table[RUN_STATE_COUNT] = {
    [RUN_STATE_PRELAUNCH] = {"prelaunch", FROM_STOPPED | TO(INMIGRATE) | TO(PAUSED), true},
    [RUN_STATE_INMIGRATE] = {"inmigrate", FROM_STOPPED | TO(PAUSED) | TO(INMIGRATE), false},
    [RUN_STATE_RUNNING] = {"running", STOPS, true},
    [RUN_STATE_PAUSED] = {"paused", FROM_STOPPED, true},
    [RUN_STATE_FINISH_MIGRATE] = {"finish-migrate",
                                  STOPS | TO(RUNNING) | TO(PRELAUNCH) | TO(POSTMIGRATE), true},
    [RUN_STATE_POSTMIGRATE] = {"postmigrate", FROM_STOPPED | TO(PAUSED), true},
    [RUN_STATE_SAVE_VM] = {"save-vm", FROM_STOPPED | TO(PAUSED), true},
    [RUN_STATE_RESTORE_VM] = {"restore-vm", FROM_STOPPED | TO(PAUSED), false},
    [RUN_STATE_IO_ERROR] = {"io-error", FROM_STOPPED | TO(PAUSED), true},
    [RUN_STATE_WATCHDOG] = {"watchdog", FROM_STOPPED | TO(PAUSED), true},
    [RUN_STATE_GUEST_PANICKED] = {"guest-panicked", FROM_STOPPED | TO(PAUSED), true},
    [RUN_STATE_INTERNAL_ERROR] = {"internal-error", TO(PAUSED) | TO(PRELAUNCH) | TO(SHUTDOWN),
                                  false},
    [RUN_STATE_SHUTDOWN] = {"shutdown", TO(PAUSED) | TO(PRELAUNCH) | TO(FINISH_MIGRATE), false},
    [RUN_STATE_SUSPENDED] = {"suspended", FROM_STOPPED | TO(PAUSED), true},
    [RUN_STATE_DEBUG] = {"debug", FROM_STOPPED | TO(PAUSED) | TO(SUSPENDED), true},
};

const char *run_state_name(RunState state)
{
    return table[state].name;
}

bool run_state_is_running(RunState state)
{
    return state == RUN_STATE_RUNNING;
}

bool run_state_can_continue(RunState state)
{
    return table[state].can_continue;
}

bool run_state_may_follow(RunState from, RunState to)
{
    return from == to || (table[from].next & UINT32_C(1) << to) != 0;
}

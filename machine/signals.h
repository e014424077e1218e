/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_SIGNALS_H
#define MACHINE_SIGNALS_H

/* SIGTERM, SIGINT and SIGHUP end the VM in an orderly way, through the main loop. */

#include "machine/vm.h"

typedef struct Signals {
    int fd;
    LoopWatch *watch;
    Vm *vm;
} Signals;

/* Before any thread exists: they all inherit that these signals wait for the main loop. */
bool signals_begin(Signals *signals, GError **error);

/* From now on a signal ends vm. */
void signals_watch(Signals *signals, Vm *vm);
void signals_end(Signals *signals);

#endif

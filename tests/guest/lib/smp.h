/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other processors: found in the MADT, started one after the other by INIT and start-up
 * interrupts, then waiting in a loop for work.
 */
#ifndef TESTS_GUEST_LIB_SMP_H
#define TESTS_GUEST_LIB_SMP_H

#include <stdbool.h>
#include <stdint.h>

/* Starts all; returns how many are online, the boot processor among them. */
unsigned smp_start(void);

/* Runs function on the CPU; does not wait.  The CPU must be idle. */
void smp_call(unsigned index, void (*function)(void *argument), void *argument);

/* Waits until the CPU is idle again. */
void smp_wait(unsigned index);

#endif

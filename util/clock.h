/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UTIL_CLOCK_H
#define UTIL_CLOCK_H

/*
 * Time as the guest's devices know it: nanoseconds since the VM was made, standing still while the
 * VM does.  A test can take the clock over and step it by hand; timers then fire in order of their
 * deadlines, each at its own instant.
 *
 * Timers are made, fire and are freed on the loop's thread; arming, disarming and reading the time
 * may be done from any thread.
 */

#include "util/loop.h"

typedef struct GuestClock GuestClock;
typedef struct GuestTimer GuestTimer;

/* Standing still at 0. */
GuestClock *guest_clock_new(Loop *loop);

/* Accepts NULL.  Its timers must be gone. */
void guest_clock_free(GuestClock *clock);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GuestClock, guest_clock_free)

int64_t guest_clock_now_ns(GuestClock *clock);

/*
 * While the clock stands still: it goes on from there, as the clock of a saved VM does in another
 * process.  Before any device loads its state: deadlines are on this clock.  Fails for a time that
 * no clock shows.
 */
bool guest_clock_set_ns(GuestClock *clock, int64_t now_ns, GError **error);

/* With the VM.  Harmless when it is so already, and without effect on a clock that is stepped. */
void guest_clock_start(GuestClock *clock);
void guest_clock_stop(GuestClock *clock);

/* From now on only guest_clock_step_to moves the clock. */
void guest_clock_take_over(GuestClock *clock);
void guest_clock_step_to(GuestClock *clock, int64_t now_ns);

/* When the next timer fires; -1 if none is armed. */
int64_t guest_clock_next_ns(GuestClock *clock);

/* One shot; not armed yet. */
GuestTimer *guest_timer_new(GuestClock *clock, LoopFn fn, void *opaque);
void guest_timer_arm(GuestTimer *timer, int64_t deadline_ns);
void guest_timer_disarm(GuestTimer *timer);
void guest_timer_free(GuestTimer *timer); /* accepts NULL */

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "util/clock.h"

#include "util/error.h"
#include "util/lock.h"

#include <inttypes.h>

#define NOT_ARMED INT64_MAX

/* No VM runs for 146 years, and sums of two such times do not overflow. */
#define MAX_NS (INT64_MAX / 2)

struct GuestTimer {
    /* fixed after creation */
    GuestClock *clock;
    LoopFn fn;
    void *opaque;

    /* guarded by the clock's lock */
    int64_t deadline_ns; /* NOT_ARMED */
};

struct GuestClock {
    LoopTimer *wake; /* at the earliest deadline, while the clock runs */

    Mutex lock;
    /* guarded by lock */
    GPtrArray *timers; /* of GuestTimer */
    bool stepped;      /* by a test */
    bool running;
    int64_t offset_ns; /* guest time = host time + offset while running, else = offset */
};

static int64_t now_locked(const GuestClock *clock) REQUIRES(clock->lock)
{
    return clock->running ? loop_now_ns() + clock->offset_ns : clock->offset_ns;
}

int64_t guest_clock_now_ns(GuestClock *clock)
{
    mutex_lock(&clock->lock);

    int64_t now = now_locked(clock);

    mutex_unlock(&clock->lock);
    return now;
}

static GuestTimer *earliest_locked(const GuestClock *clock) REQUIRES(clock->lock)
{
    GuestTimer *first = NULL;

    for (guint i = 0; i < clock->timers->len; i++) {
        GuestTimer *timer = clock->timers->pdata[i];

        if (timer->deadline_ns != NOT_ARMED &&
            (!first || timer->deadline_ns < first->deadline_ns)) {
            first = timer;
        }
    }
    return first;
}

int64_t guest_clock_next_ns(GuestClock *clock)
{
    mutex_lock(&clock->lock);

    const GuestTimer *first = earliest_locked(clock);
    int64_t next = first ? first->deadline_ns : -1;

    mutex_unlock(&clock->lock);
    return next;
}

/* Arms the one timer of the host for the earliest of the guest's. */
static void rearm_locked(GuestClock *clock) REQUIRES(clock->lock)
{
    const GuestTimer *first = earliest_locked(clock);

    if (first && clock->running) {
        loop_timer_arm(clock->wake, first->deadline_ns - clock->offset_ns);
    } else {
        loop_timer_disarm(clock->wake);
    }
}

/* The lock is not held while a timer fires: it may arm itself, or others. */
static void fire_until_locked(GuestClock *clock, int64_t now_ns) REQUIRES(clock->lock)
{
    GuestTimer *timer;

    while ((timer = earliest_locked(clock)) != NULL && timer->deadline_ns <= now_ns) {
        if (clock->stepped) {
            clock->offset_ns = MAX(clock->offset_ns, timer->deadline_ns);
        }
        timer->deadline_ns = NOT_ARMED;
        mutex_unlock(&clock->lock);
        timer->fn(timer->opaque);
        mutex_lock(&clock->lock);
    }
}

static void wake_up(void *opaque)
{
    GuestClock *clock = opaque;

    mutex_lock(&clock->lock);
    if (clock->running) {
        fire_until_locked(clock, now_locked(clock));
    }
    rearm_locked(clock);
    mutex_unlock(&clock->lock);
}

GuestClock *guest_clock_new(Loop *loop)
{
    GuestClock *clock = g_new0(GuestClock, 1);

    clock->timers = g_ptr_array_new();
    clock->wake = loop_timer_new(loop, wake_up, clock);
    mutex_init(&clock->lock);
    return clock;
}

void guest_clock_free(GuestClock *clock)
{
    if (!clock) {
        return;
    }
    g_assert(clock->timers->len == 0);
    g_ptr_array_unref(clock->timers);
    loop_timer_free(clock->wake);
    mutex_fini(&clock->lock);
    g_free(clock);
}

static void set_running(GuestClock *clock, bool running)
{
    mutex_lock(&clock->lock);
    if (!clock->stepped && clock->running != running) {
        int64_t host = loop_now_ns();

        clock->offset_ns += running ? -host : host;
        clock->running = running;
    }
    rearm_locked(clock);
    mutex_unlock(&clock->lock);
}

void guest_clock_start(GuestClock *clock)
{
    set_running(clock, true);
}

void guest_clock_stop(GuestClock *clock)
{
    set_running(clock, false);
}

bool guest_clock_set_ns(GuestClock *clock, int64_t now_ns, GError **error)
{
    bool running;

    if (now_ns < 0 || now_ns > MAX_NS) {
        return fail(error, VMM_ERROR_WIRE, "guest clock: %" PRId64 " ns, expected 0..%" PRId64,
                    now_ns, MAX_NS);
    }
    mutex_lock(&clock->lock);
    running = clock->running;
    if (!running) {
        clock->offset_ns = now_ns;
    }
    mutex_unlock(&clock->lock);
    return !running || fail(error, VMM_ERROR_STATE, "guest clock: it cannot be set while it runs");
}

void guest_clock_take_over(GuestClock *clock)
{
    guest_clock_stop(clock);
    mutex_lock(&clock->lock);
    clock->stepped = true;
    mutex_unlock(&clock->lock);
}

void guest_clock_step_to(GuestClock *clock, int64_t now_ns)
{
    mutex_lock(&clock->lock);
    fire_until_locked(clock, now_ns);
    clock->offset_ns = MAX(clock->offset_ns, now_ns);
    mutex_unlock(&clock->lock);
}

GuestTimer *guest_timer_new(GuestClock *clock, LoopFn fn, void *opaque)
{
    GuestTimer *timer = g_new0(GuestTimer, 1);

    *timer = (GuestTimer){.clock = clock, .deadline_ns = NOT_ARMED, .fn = fn, .opaque = opaque};
    mutex_lock(&clock->lock);
    g_ptr_array_add(clock->timers, timer);
    mutex_unlock(&clock->lock);
    return timer;
}

void guest_timer_arm(GuestTimer *timer, int64_t deadline_ns)
{
    mutex_lock(&timer->clock->lock);
    timer->deadline_ns = deadline_ns;
    rearm_locked(timer->clock);
    mutex_unlock(&timer->clock->lock);
}

void guest_timer_disarm(GuestTimer *timer)
{
    guest_timer_arm(timer, NOT_ARMED);
}

void guest_timer_free(GuestTimer *timer)
{
    if (!timer) {
        return;
    }
    mutex_lock(&timer->clock->lock);
    g_ptr_array_remove_fast(timer->clock->timers, timer);
    rearm_locked(timer->clock);
    mutex_unlock(&timer->clock->lock);
    g_free(timer);
}

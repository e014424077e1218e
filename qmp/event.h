/* SPDX-License-Identifier: Apache-2.0 */
#ifndef QMP_EVENT_H
#define QMP_EVENT_H

/*
 * Events on their way from whoever raises them to the sessions.
 *
 *     any thread -- raise --> queue -- main loop --> limiter --> deliver
 *
 * One queue keeps the order of all threads.  On the main loop's thread raise delivers at once, so
 * that the event which a command causes is sent before the command's answer.
 *
 * Events that a guest can cause at will are limited: the first goes out, the next ones within a
 * second replace each other, and the last of them goes out at the second's end.
 */

#include "util/event.h"
#include "util/loop.h"

#include <stdint.h>

typedef struct QmpEvents QmpEvents;

/* Main loop.  data may be NULL and stays the caller's. */
typedef void (*QmpEventFn)(void *opaque, const char *name, int64_t time_us, json_object *data);

QmpEvents *qmp_events_new(Loop *loop, QmpEventFn deliver, void *opaque);

/* Nobody raises events any more.  Accepts NULL. */
void qmp_events_free(QmpEvents *events);

/* Any thread; takes data.  The shape of VmEventSink.raise. */
void qmp_events_raise(void *opaque, const char *name, json_object *data);

#endif

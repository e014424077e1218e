/* SPDX-License-Identifier: Apache-2.0 */
#include "qmp/event.h"

#include "qmp/json_text.h"
#include "qmp/schema.h"
#include "util/lock.h"
#include "util/trace.h"

#include <stdlib.h>
#include <string.h>

#define LIMIT_NS (INT64_C(1000000000))

/* While the main loop is busy: events that are limited anyway need not all be kept for it. */
#define MAX_LIMITED_QUEUED 256

typedef struct Event {
    const QmpEventType *type; /* NULL: one that the schema does not know */
    char *name;
    int64_t time_us;
    json_object *data;
} Event;

/* What was sent less than a second ago, and what came since. */
typedef struct Limit {
    QmpEvents *events;
    char *key;
    LoopTimer *timer;
    Event *latest; /* NULL: nothing */
} Limit;

struct QmpEvents {
    /* fixed after creation */
    Loop *loop;
    QmpEventFn deliver;
    void *opaque;

    Mutex lock;
    /* guarded by lock */
    GQueue queue; /* of Event */
    bool posted;

    /* main loop only */
    LoopTimer *flush;
    GHashTable *limits; /* by key, of Limit */
};

static void event_free(Event *event)
{
    if (event) {
        json_object_put(event->data);
        g_free(event->name);
        g_free(event);
    }
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Event, event_free)

static void limit_free(void *opaque)
{
    Limit *limit = opaque;

    loop_timer_free(limit->timer);
    event_free(limit->latest);
    g_free(limit->key);
    g_free(limit);
}

static int compare_event(const void *name, const void *type)
{
    return strcmp(name, ((const QmpEventType *)type)->name);
}

const QmpEventType *qmp_event_find(const char *name)
{
    return bsearch(name, qmp_events, qmp_num_events, sizeof(QmpEventType), compare_event);
}

/* ---- the limiter ---- */

static void deliver(QmpEvents *events, const Event *event)
{
    TRACE(qmp_event, "%s", event->name);
    events->deliver(events->opaque, event->name, event->time_us, event->data);
}

static void limit_over(void *opaque)
{
    Limit *limit = opaque;
    QmpEvents *events = limit->events;

    if (limit->latest) {
        deliver(events, limit->latest);
        g_clear_pointer(&limit->latest, event_free);
        loop_timer_arm(limit->timer, loop_now_ns() + LIMIT_NS);
    } else {
        g_hash_table_remove(events->limits, limit->key);
    }
}

static const char *text_member(const Event *event, const char *name)
{
    json_object *value = NULL;

    if (!event->data || !json_object_object_get_ex(event->data, name, &value)) {
        return "";
    }
    return json_object_get_string(value);
}

/* A disk error that stops the VM comes once; its client must know. */
static bool is_limited(const Event *event)
{
    return event->type && event->type->limited && strcmp(text_member(event, "action"), "stop") != 0;
}

static void pass_on(QmpEvents *events, Event *event)
{
    g_autoptr(Event) own = event;
    g_autofree char *key = NULL;
    Limit *limit;

    if (!is_limited(event)) {
        deliver(events, event);
        return;
    }
    key = g_strdup_printf("%s %s", event->name,
                          event->type->key ? text_member(event, event->type->key) : "");
    limit = g_hash_table_lookup(events->limits, key);
    if (limit) {
        event_free(limit->latest);
        limit->latest = g_steal_pointer(&own);
        return;
    }
    limit = g_new0(Limit, 1);
    limit->events = events;
    limit->key = g_steal_pointer(&key);
    limit->timer = loop_timer_new(events->loop, limit_over, limit);
    loop_timer_arm(limit->timer, loop_now_ns() + LIMIT_NS);
    g_hash_table_insert(events->limits, limit->key, limit);
    deliver(events, event);
}

/* ---- the queue ---- */

static Event *take_event(QmpEvents *events)
{
    Event *event;

    mutex_lock(&events->lock);
    event = g_queue_pop_head(&events->queue);
    events->posted = events->posted && event;
    mutex_unlock(&events->lock);
    return event;
}

static void flush_queue(void *opaque)
{
    QmpEvents *events = opaque;
    Event *event;

    while ((event = take_event(events))) {
        pass_on(events, event);
    }
}

void qmp_events_raise(void *opaque, const char *name, json_object *data)
{
    QmpEvents *events = opaque;
    g_autoptr(Event) event = g_new(Event, 1);
    bool wake = false;

    *event = (Event){
        .type = qmp_event_find(name),
        .name = g_strdup(name),
        .time_us = g_get_real_time(),
        .data = data,
    };
    mutex_lock(&events->lock);
    if (!is_limited(event) || g_queue_get_length(&events->queue) < MAX_LIMITED_QUEUED) {
        g_queue_push_tail(&events->queue, g_steal_pointer(&event));
        wake = !events->posted;
        events->posted = true;
    }
    mutex_unlock(&events->lock);
    if (loop_is_current(events->loop)) {
        flush_queue(events);
    } else if (wake) {
        loop_timer_arm(events->flush, 0);
    }
}

QmpEvents *qmp_events_new(Loop *loop, QmpEventFn deliver_fn, void *opaque)
{
    QmpEvents *events = g_new0(QmpEvents, 1);

    events->loop = loop;
    events->deliver = deliver_fn;
    events->opaque = opaque;
    mutex_init(&events->lock);
    g_queue_init(&events->queue);
    events->flush = loop_timer_new(loop, flush_queue, events);
    events->limits = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, limit_free);
    return events;
}

void qmp_events_free(QmpEvents *events)
{
    if (!events) {
        return;
    }
    loop_timer_free(events->flush);
    g_hash_table_unref(events->limits);
    g_queue_clear_full(&events->queue, (GDestroyNotify)event_free);
    mutex_fini(&events->lock);
    g_free(events);
}

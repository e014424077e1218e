/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UTIL_EVENT_H
#define UTIL_EVENT_H

/*
 * How anything below qmp/ tells the world that something happened, without knowing QMP.
 *
 * main installs one sink per VM; whoever may raise events is given a pointer to it.  A name is
 * what QMP calls the event ("BLOCK_IO_ERROR"), data its arguments.
 */

typedef struct json_object json_object;

typedef struct VmEventSink {
    /* Any thread.  Takes ownership of data, which may be NULL. */
    void (*raise)(void *opaque, const char *name, json_object *data);
    void *opaque;
} VmEventSink;

/* sink may be NULL or empty: then the event is dropped.  Takes ownership of data. */
void event_raise(const VmEventSink *sink, const char *name, json_object *data);

#endif

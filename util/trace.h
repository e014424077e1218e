/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UTIL_TRACE_H
#define UTIL_TRACE_H

/*
 * Tracepoints: lines in the log that are wanted now and then, and cost one predictable branch
 * otherwise.
 *
 *     TRACE(virtio_kick, "%s queue %u", dev->base.id, index);
 *
 * They are switched by name or pattern at the start (-trace) and while the VM runs (QMP's
 * trace-event-set-state).  Like the log, they belong to the process.
 */

#include <glib.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* clang-format off */
#define TRACE_POINTS(POINT) \
    POINT(block_done, "a disk request is done: drive, operation, offset, length, error") \
    POINT(block_submit, "a disk request begins: drive, operation, offset, length") \
    POINT(bus_unclaimed, "the guest accessed registers that nobody has: bus, address, size") \
    POINT(chardev_close, "the far end of a character device has gone") \
    POINT(chardev_open, "somebody is at the far end of a character device") \
    POINT(qmp_command, "a QMP command is executed") \
    POINT(qmp_event, "an event is sent to the QMP clients") \
    POINT(vcpu_exit, "a vCPU left the guest: vCPU, reason") \
    POINT(virtio_interrupt, "a virtio device interrupts the guest: device, queue") \
    POINT(virtio_kick, "the guest kicked a virtio queue by an exit: device, queue") \
    POINT(virtio_pop, "a request was taken from a virtio queue: device, queue, bytes") \
    POINT(virtio_push, "a request was given back: device, queue, bytes") \
    POINT(virtio_status, "the guest wrote the status of a virtio device") \
    POINT(vm_state, "the VM enters another run state")
/* clang-format on */

#define TRACE_ENUM(name, help) TRACE_##name,
typedef enum TracePoint {
    TRACE_POINTS(TRACE_ENUM) TRACE_COUNT
} TracePoint;
#undef TRACE_ENUM

/* Private to the macro. */
extern atomic_bool trace_switches[TRACE_COUNT];
void trace_write(TracePoint point, const char *fmt, ...) G_GNUC_PRINTF(2, 3) __attribute__((cold));

#define TRACE_IS_ON(point)                                                                        \
    (__builtin_expect(atomic_load_explicit(&trace_switches[TRACE_##point], memory_order_relaxed), \
                      0))

/* Any thread.  The arguments are evaluated only if the point is on. */
#define TRACE(point, ...)                            \
    do {                                             \
        if (TRACE_IS_ON(point)) {                    \
            trace_write(TRACE_##point, __VA_ARGS__); \
        }                                            \
    } while (0)

/*
 * Lines go there from now on and not to the log.  Takes the descriptor, which should append; called
 * before threads start.
 */
void trace_init(int fd);

/* ---- switching ---- */

const char *trace_name(TracePoint point);
const char *trace_help(TracePoint point);
bool trace_get(TracePoint point);
void trace_set(TracePoint point, bool on);

/*
 * All that match; pattern may be a name.  False, and nothing happens, if it is no pattern and there
 * is no such point.
 */
bool trace_switch(const char *pattern, bool on);
bool trace_is_known(const char *pattern);

/* "virtio_*": does the name match, by * and ? as in a shell? */
bool trace_matches(TracePoint point, const char *pattern);

#endif

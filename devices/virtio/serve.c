/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The serving side of a virtio device: what runs on its loop, or under serve_lock where it has none.
 */
#include "devices/virtio/serve.h"

#include "devices/virtio/transport.h"
#include "util/error.h"
#include "util/loop.h"
#include "util/trace.h"

#include <unistd.h>

/* Runs fn on the serving thread and waits for it. */
static void serve_call(VirtioDevice *dev, LoopFn fn, void *opaque)
{
    if (dev->threaded) {
        loop_call(dev->loop, fn, opaque);
        return;
    }
    mutex_lock(&dev->serve_lock);
    fn(opaque);
    mutex_unlock(&dev->serve_lock);
}

/* The same without waiting, where there is a thread to leave it to. */
static void serve_post(VirtioDevice *dev, LoopFn fn, void *opaque)
{
    if (dev->threaded) {
        loop_post(dev->loop, fn, opaque);
    } else {
        serve_call(dev, fn, opaque);
    }
}

void virtio_queue_run(VirtQueue *q)
{
    VirtioDevice *dev = q->dev;

    if (!dev->active || dev->drained || !q->layout) {
        return;
    }
    do {
        virtq_want_kicks(q, false);
        if (!dev->ops->handle_queue(dev, q)) {
            break;
        }
    } while (virtq_want_kicks(q, true));
    virtq_notify(q);
}

static void run_all_queues(VirtioDevice *dev)
{
    for (unsigned i = 0; i < dev->num_queues; i++) {
        virtio_queue_run(&dev->queue[i]);
    }
}

static void queue_kicked(void *opaque, int fd, GIOCondition events)
{
    uint64_t count;

    (void)events;
    /* Only the loop reads, and only after poll said so; a count that is gone changes nothing. */
    if (read(fd, &count, sizeof(count)) == sizeof(count)) {
        virtio_queue_run(opaque);
    }
}

static void queue_watch(VirtQueue *q)
{
    if (q->dev->threaded && q->layout && !q->watch) {
        q->watch = loop_watch_fd(q->dev->loop, q->kick_fd, G_IO_IN, queue_kicked, q);
    }
}

static void queue_unwatch(VirtQueue *q)
{
    loop_unwatch(q->watch);
    q->watch = NULL;
}

static void do_start(void *opaque)
{
    VirtioDevice *dev = opaque;

    dev->active = true;
    dev->drained = false;
    for (unsigned i = 0; i < dev->num_queues; i++) {
        queue_watch(&dev->queue[i]);
    }
    if (dev->ops->activate) {
        dev->ops->activate(dev);
    }
    run_all_queues(dev);
}

static void do_stop(void *opaque)
{
    VirtioDevice *dev = opaque;

    for (unsigned i = 0; i < dev->num_queues; i++) {
        queue_unwatch(&dev->queue[i]);
    }
    if (dev->ops->deactivate) {
        dev->ops->deactivate(dev);
    }
    dev->active = false;
    dev->drained = false;
}

typedef struct Drain {
    VirtioDevice *dev;
    GError **error;
    bool ok;
} Drain;

static void do_drain(void *opaque)
{
    Drain *drain = opaque;
    VirtioDevice *dev = drain->dev;

    drain->ok = !dev->ops->drain || dev->ops->drain(dev, drain->error);
    if (!drain->ok) {
        return;
    }
    dev->drained = true;
    for (unsigned i = 0; i < dev->num_queues; i++) {
        virtq_notify(&dev->queue[i]);
    }
}

/* Kicks that came while drained are not remembered: every queue is looked at again. */
static void do_resume(void *opaque)
{
    VirtioDevice *dev = opaque;

    if (!dev->drained) {
        return;
    }
    dev->drained = false;
    if (dev->ops->resume) {
        dev->ops->resume(dev);
    }
    run_all_queues(dev);
}

static void do_kick(void *opaque)
{
    virtio_queue_run(opaque);
}

/* Others in flight finish too: a device has one drain for all its queues. */
static void do_reset_queue(void *opaque)
{
    VirtQueue *q = opaque;
    VirtioDevice *dev = q->dev;

    queue_unwatch(q);
    if (dev->ops->drain) {
        g_autoptr(GError) error = NULL;

        if (!dev->ops->drain(dev, &error)) {
            virtio_break(dev, "queue %u: %s", q->index, error->message);
            return;
        }
    }
    virtq_reset(q);
    if (dev->ops->drain && dev->ops->resume) {
        dev->ops->resume(dev);
    }
    run_all_queues(dev);
}

typedef struct Enable {
    VirtQueue *q;
    GError **error;
    bool ok;
} Enable;

static void do_enable_queue(void *opaque)
{
    Enable *enable = opaque;
    VirtQueue *q = enable->q;

    enable->ok = virtq_enable(q, q->dev->mem, q->dev->features, enable->error);
    if (enable->ok) {
        queue_watch(q);
        virtio_queue_run(q);
    }
}

void serve_start(VirtioDevice *dev)
{
    serve_post(dev, do_start, dev);
}

void serve_stop(VirtioDevice *dev)
{
    serve_call(dev, do_stop, dev);
}

bool serve_drain(VirtioDevice *dev, GError **error)
{
    Drain drain = {.dev = dev, .error = error};

    serve_call(dev, do_drain, &drain);
    return drain.ok;
}

void serve_resume(VirtioDevice *dev)
{
    serve_post(dev, do_resume, dev);
}

bool serve_enable_queue(VirtQueue *q, GError **error)
{
    Enable enable = {.q = q, .error = error};

    serve_call(q->dev, do_enable_queue, &enable);
    return enable.ok;
}

void serve_reset_queue(VirtQueue *q)
{
    serve_call(q->dev, do_reset_queue, q);
}

void virtio_kick(VirtioDevice *dev, uint32_t index)
{
    VirtQueue *q = index < dev->num_queues ? &dev->queue[index] : NULL;
    const uint64_t one = 1;

    if (!q) {
        return;
    }
    TRACE(virtio_kick, "%s queue %u", dev->base.id, index);
    if (!dev->threaded) {
        serve_call(dev, do_kick, q);
        return;
    }
    /* A full counter means that the loop has yet to look: nothing is lost. */
    if (write(q->kick_fd, &one, sizeof(one)) != sizeof(one)) {
        return;
    }
    if (__atomic_add_fetch(&q->kick_exits, 1, __ATOMIC_RELAXED) == VIRTIO_KICKS_BEFORE_IOEVENTFD &&
        dev->host && dev->host->request_ioeventfd) {
        dev->host->request_ioeventfd(dev->host->opaque, dev, index, q->kick_fd);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a virtio device: negotiated on the register side (under lock), then handed to the
 * serving thread at DRIVER_OK and taken back at a reset.
 *
 * Every hand-over goes through serve_call or serve_post, so that what one side wrote is seen by the
 * other.  Registers of a ready queue and the negotiated features do not change while the serving
 * thread may look at them.
 */
#include "devices/virtio/virtio.h"

#include "devices/virtio/serve.h"
#include "devices/virtio/transport.h"
#include "util/bytes.h"
#include "util/error.h"
#include "util/fd.h"
#include "util/trace.h"

#include <errno.h>
#include <sys/eventfd.h>

#define RING_FEATURES                                                                     \
    (VIRTIO_FEATURE_INDIRECT_DESC | VIRTIO_FEATURE_EVENT_IDX | VIRTIO_FEATURE_VERSION_1 | \
     VIRTIO_FEATURE_RING_RESET)

/* --- mistakes of the guest --- */

bool virtio_is_broken(const VirtioDevice *dev)
{
    return __atomic_load_n(&dev->broken, __ATOMIC_RELAXED) != 0;
}

void virtio_break(VirtioDevice *dev, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);

    g_autofree char *why = g_strdup_vprintf(fmt, args);

    va_end(args);
    mutex_lock(&dev->config_lock);
    log_limited(&dev->log_limit, LOG_LEVEL_WARNING,
                "device %s: %s; it stops until the guest resets it", dev->base.id, why);
    g_free(dev->last_error);
    dev->last_error = g_steal_pointer(&why);
    mutex_unlock(&dev->config_lock);
    if (__atomic_exchange_n(&dev->broken, 1, __ATOMIC_SEQ_CST) == 0 &&
        __atomic_load_n(&dev->driver_ok, __ATOMIC_SEQ_CST) && dev->transport.interrupt) {
        dev->transport.interrupt(dev->transport.opaque, VIRTIO_INTERRUPT_CONFIG, 0);
    }
}

/* --- register side --- */

static void start_locked(VirtioDevice *dev) REQUIRES(&dev->lock)
{
    if (dev->threaded && !dev->loop) {
        dev->loop = dev->host->serving_loop(dev->host->opaque, dev);
        if (!dev->loop) {
            virtio_break(dev, "the host has no thread to serve it");
            return;
        }
    }
    dev->started = true;
    __atomic_store_n(&dev->driver_ok, 1, __ATOMIC_SEQ_CST);
    serve_start(dev);
}

static void stop_locked(VirtioDevice *dev) REQUIRES(&dev->lock)
{
    if (dev->started) {
        serve_stop(dev);
        dev->started = false;
    }
}

static void reset_locked(VirtioDevice *dev) REQUIRES(&dev->lock)
{
    stop_locked(dev);
    dev->status = 0;
    dev->features = 0;
    __atomic_store_n(&dev->driver_ok, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&dev->broken, 0, __ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < dev->num_queues; i++) {
        virtq_reset(&dev->queue[i]);
    }
    if (dev->ops->reset) {
        dev->ops->reset(dev);
    }
}

void virtio_attach(VirtioDevice *dev, const VirtioTransport *transport)
{
    dev->transport = *transport;
}

uint32_t virtio_get_host_features(const VirtioDevice *dev, uint32_t select)
{
    return select < 2 ? (uint32_t)(dev->host_features >> (32 * select)) : 0;
}

void virtio_set_driver_features(VirtioDevice *dev, uint32_t select, uint32_t value)
{
    mutex_lock(&dev->lock);
    if (select < 2 && !(dev->status & VIRTIO_STATUS_FEATURES_OK)) {
        dev->features &= ~((uint64_t)UINT32_MAX << (32 * select));
        dev->features |= (uint64_t)value << (32 * select);
    } else if (value != 0) {
        /* Asking for features that cannot be: FEATURES_OK will not stand. */
        dev->features |= select >= 2 ? VIRTIO_BIT(63) : 0;
    }
    mutex_unlock(&dev->lock);
}

static bool features_fit(VirtioDevice *dev)
{
    return (dev->features & ~dev->host_features) == 0 &&
           virtio_has_feature(dev, VIRTIO_FEATURE_VERSION_1) &&
           (!dev->ops->check_features || dev->ops->check_features(dev, dev->features));
}

uint8_t virtio_get_status(VirtioDevice *dev)
{
    mutex_lock(&dev->lock);

    uint8_t status = dev->status;

    mutex_unlock(&dev->lock);
    return virtio_is_broken(dev) ? status | VIRTIO_STATUS_NEEDS_RESET : status;
}

static void set_status_locked(VirtioDevice *dev, uint8_t value) REQUIRES(&dev->lock)
{
    uint8_t fresh = value & VIRTIO_STATUS_SETTABLE & (uint8_t)~dev->status;

    if ((fresh & VIRTIO_STATUS_FEATURES_OK) && !features_fit(dev)) {
        fresh &= (uint8_t)~VIRTIO_STATUS_FEATURES_OK;
    }
    dev->status |= fresh;
    if (!(fresh & VIRTIO_STATUS_DRIVER_OK)) {
        return;
    }
    if (!(dev->status & VIRTIO_STATUS_FEATURES_OK)) {
        dev->status &= (uint8_t)~VIRTIO_STATUS_DRIVER_OK;
        virtio_break(dev, "the driver starts without FEATURES_OK");
        return;
    }
    start_locked(dev);
}

void virtio_set_status(VirtioDevice *dev, uint8_t value)
{
    TRACE(virtio_status, "%s 0x%x", dev->base.id, value);
    mutex_lock(&dev->lock);
    if (value == 0) {
        reset_locked(dev);
    } else {
        set_status_locked(dev, value);
    }
    mutex_unlock(&dev->lock);
}

static VirtQueue *find_queue(const VirtioDevice *dev, uint32_t index)
{
    return index < dev->num_queues ? &dev->queue[index] : NULL;
}

uint16_t virtio_get_queue_max(const VirtioDevice *dev, uint32_t index)
{
    const VirtQueue *q = find_queue(dev, index);

    return q ? q->max_size : 0;
}

void virtio_set_queue_size(VirtioDevice *dev, uint32_t index, uint32_t size)
{
    VirtQueue *q = find_queue(dev, index);

    mutex_lock(&dev->lock);
    if (q && !q->ready) {
        /* What does not fit a u16 is as wrong as 0, which enabling the queue refuses. */
        q->size = size <= UINT16_MAX ? (uint16_t)size : 0;
    }
    mutex_unlock(&dev->lock);
}

static uint64_t *area_address(VirtQueue *q, VirtqArea area)
{
    switch (area) {
    case VIRTQ_AREA_DRIVER:
        return &q->driver_address;
    case VIRTQ_AREA_DEVICE:
        return &q->device_address;
    case VIRTQ_AREA_DESC:
    default:
        return &q->desc_address;
    }
}

void virtio_set_queue_address(VirtioDevice *dev, uint32_t index, VirtqArea area, unsigned half,
                              uint32_t value)
{
    VirtQueue *q = find_queue(dev, index);

    mutex_lock(&dev->lock);
    if (q && !q->ready) {
        uint64_t *address = area_address(q, area);

        *address &= (uint64_t)UINT32_MAX << (half == 0 ? 32 : 0);
        *address |= (uint64_t)value << (half == 0 ? 0 : 32);
    }
    mutex_unlock(&dev->lock);
}

bool virtio_get_queue_ready(VirtioDevice *dev, uint32_t index)
{
    const VirtQueue *q = find_queue(dev, index);

    mutex_lock(&dev->lock);

    bool ready = q && q->ready;

    mutex_unlock(&dev->lock);
    return ready;
}

static void enable_queue_locked(VirtioDevice *dev, VirtQueue *q) REQUIRES(&dev->lock)
{
    g_autoptr(GError) error = NULL;
    bool ok;

    if (!(dev->status & VIRTIO_STATUS_FEATURES_OK)) {
        virtio_break(dev, "queue %u: enabled before FEATURES_OK", q->index);
        return;
    }
    if (dev->started) {
        ok = serve_enable_queue(q, &error);
    } else {
        ok = virtq_enable(q, dev->mem, dev->features, &error);
    }
    if (!ok) {
        virtio_break(dev, "queue %u: %s", q->index, error->message);
        return;
    }
    q->ready = 1;
}

static void reset_queue_locked(VirtioDevice *dev, VirtQueue *q) REQUIRES(&dev->lock)
{
    if (dev->started) {
        serve_reset_queue(q);
    } else {
        virtq_reset(q);
    }
}

void virtio_set_queue_ready(VirtioDevice *dev, uint32_t index, bool ready)
{
    VirtQueue *q = find_queue(dev, index);

    mutex_lock(&dev->lock);
    if (q && ready && !q->ready) {
        enable_queue_locked(dev, q);
    } else if (q && !ready && q->ready) {
        reset_queue_locked(dev, q);
    }
    mutex_unlock(&dev->lock);
}

void virtio_reset_queue(VirtioDevice *dev, uint32_t index)
{
    VirtQueue *q = find_queue(dev, index);

    mutex_lock(&dev->lock);
    if (q && virtio_has_feature(dev, VIRTIO_FEATURE_RING_RESET)) {
        reset_queue_locked(dev, q);
    }
    mutex_unlock(&dev->lock);
}

/* --- configuration space --- */

uint64_t virtio_config_read(VirtioDevice *dev, uint64_t offset, unsigned size)
{
    uint64_t value = UINT64_MAX >> (64 - 8 * size);

    mutex_lock(&dev->config_lock);
    if (range_fits(offset, size, dev->config_len)) {
        value = load_le(dev->config + offset, size);
    }
    mutex_unlock(&dev->config_lock);
    return value;
}

void virtio_config_write(VirtioDevice *dev, uint64_t offset, unsigned size, uint64_t value)
{
    mutex_lock(&dev->config_lock);
    if (dev->ops->config_write && range_fits(offset, size, dev->config_len)) {
        dev->ops->config_write(dev, (unsigned)offset, size, value);
    }
    mutex_unlock(&dev->config_lock);
}

uint32_t virtio_config_generation(VirtioDevice *dev)
{
    mutex_lock(&dev->config_lock);

    uint32_t generation = dev->generation;

    mutex_unlock(&dev->config_lock);
    return generation;
}

void virtio_config_begin(VirtioDevice *dev)
{
    mutex_lock(&dev->config_lock);
}

void virtio_config_end(VirtioDevice *dev)
{
    dev->generation++;
    mutex_unlock(&dev->config_lock);
    if (__atomic_load_n(&dev->driver_ok, __ATOMIC_SEQ_CST) && dev->transport.interrupt) {
        dev->transport.interrupt(dev->transport.opaque, VIRTIO_INTERRUPT_CONFIG, 0);
    }
}

void virtio_set_config(VirtioDevice *dev, void *config, size_t len)
{
    dev->config = config;
    dev->config_len = len;
}

/* --- life --- */

void *virtio_device_alloc(const DeviceOps *ops, const char *id, size_t size, const VirtioInit *init)
{
    VirtioDevice *dev = device_alloc(ops, id, size);

    g_assert(size >= sizeof(*dev));
    g_assert(init->num_queues <= VIRTIO_MAX_QUEUES && init->queue_size <= VIRTQ_MAX_SIZE);
    dev->ops = init->ops;
    dev->mem = init->mem;
    dev->host = init->host;
    dev->loop = init->loop;
    dev->host_features = init->features | RING_FEATURES;
    dev->num_queues = init->num_queues;
    dev->queue = g_new0(VirtQueue, init->num_queues);
    for (unsigned i = 0; i < init->num_queues; i++) {
        dev->queue[i].dev = dev;
        dev->queue[i].index = i;
        dev->queue[i].max_size = init->queue_size;
        dev->queue[i].kick_fd = -1;
        virtq_reset(&dev->queue[i]);
    }
    mutex_init(&dev->lock);
    mutex_init(&dev->serve_lock);
    mutex_init(&dev->config_lock);
    return dev;
}

static bool open_kick_fds(VirtioDevice *dev, GError **error)
{
    for (unsigned i = 0; i < dev->num_queues; i++) {
        dev->queue[i].kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (dev->queue[i].kick_fd < 0) {
            return fail_errno(error, errno, "eventfd of queue %u", i);
        }
    }
    return true;
}

VirtioDevice *virtio_device_of(Device *dev)
{
    return dev->ops->realize == virtio_realize ? (VirtioDevice *)dev : NULL;
}

bool virtio_realize(Device *base, GError **error)
{
    VirtioDevice *dev = (VirtioDevice *)base;

    dev->threaded = dev->wants_loop && (dev->loop || (dev->host && dev->host->serving_loop));
    if (dev->threaded && !open_kick_fds(dev, error)) {
        return false;
    }
    if (dev->threaded && !dev->loop && dev->host->expect_serving) {
        dev->host->expect_serving(dev->host->opaque);
    }
    return !dev->ops->realize || dev->ops->realize(dev, error);
}

void virtio_reset(Device *base)
{
    VirtioDevice *dev = (VirtioDevice *)base;

    mutex_lock(&dev->lock);
    reset_locked(dev);
    mutex_unlock(&dev->lock);
}

bool virtio_drain(Device *base, GError **error)
{
    VirtioDevice *dev = (VirtioDevice *)base;

    mutex_lock(&dev->lock);

    bool ok = !dev->started || serve_drain(dev, error);

    mutex_unlock(&dev->lock);
    return ok;
}

/* After a load the device is ready but was never started here. */
void virtio_resume(Device *base)
{
    VirtioDevice *dev = (VirtioDevice *)base;

    mutex_lock(&dev->lock);
    if (dev->started) {
        serve_resume(dev);
    } else if (dev->status & VIRTIO_STATUS_DRIVER_OK) {
        start_locked(dev);
    }
    mutex_unlock(&dev->lock);
}

void virtio_finalize(Device *base)
{
    VirtioDevice *dev = (VirtioDevice *)base;

    mutex_lock(&dev->lock);
    stop_locked(dev);
    mutex_unlock(&dev->lock);
    if (dev->ops->finalize) {
        dev->ops->finalize(dev);
    }
    for (unsigned i = 0; i < dev->num_queues; i++) {
        fd_close(&dev->queue[i].kick_fd);
    }
    g_free(dev->queue);
    g_free(dev->last_error);
    mutex_fini(&dev->config_lock);
    mutex_fini(&dev->serve_lock);
    mutex_fini(&dev->lock);
}

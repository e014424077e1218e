/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEVICES_VIRTIO_VIRTIO_H
#define DEVICES_VIRTIO_VIRTIO_H

/*
 * What all virtio devices share: status, features, configuration space, queues, life.
 *
 *     transport (mmio, pci)        core                        device (blk, rng, ...)
 *     registers  ----------------> VirtioDevice -------------> VirtioOps
 *     interrupt  <---------------- virtq_notify <------------- virtq_push
 *
 * A device author writes a struct that starts with VirtioDevice, a const VirtioOps, a const
 * DeviceOps made with VIRTIO_DEVICE_OPS, a const VmStateDesc whose first field is
 * VMSTATE_FIELD_STRUCT(Foo, base, VirtioDevice, &virtio_vmstate, 1), and foo_new.  rng.c is short.
 *
 * Threads.  One thread at a time serves a device: its Loop if it wants one (wants_loop), else
 * whoever kicks, under serve_lock.  VirtioOps say where each member runs.  Locks, in this order:
 *
 *     lock         registers and life; held while the serving thread is asked to start or stop
 *     serve_lock   only without a loop: stands for "on the serving thread"
 *     config_lock  configuration space; nothing is called under it but config_write
 *
 * The serving thread never takes `lock`, so that waiting for it under `lock` cannot deadlock; what
 * it tells the register side (broken, interrupts) is atomic.
 */

#include "devices/device.h"
#include "devices/virtio/queue.h"
#include "util/lock.h"
#include "util/log.h"

#include <stddef.h>

typedef struct Loop Loop;

typedef enum {
    VIRTIO_STATUS_ACKNOWLEDGE = 1,
    VIRTIO_STATUS_DRIVER = 2,
    VIRTIO_STATUS_DRIVER_OK = 4,
    VIRTIO_STATUS_FEATURES_OK = 8,
    VIRTIO_STATUS_NEEDS_RESET = 0x40,
    VIRTIO_STATUS_FAILED = 0x80,
} VirtioStatus;

#define VIRTIO_STATUS_SETTABLE                                                    \
    (VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER | VIRTIO_STATUS_DRIVER_OK | \
     VIRTIO_STATUS_FEATURES_OK | VIRTIO_STATUS_FAILED)

#define VIRTIO_MAX_QUEUES            1024

#define VIRTIO_BIT(n)                (UINT64_C(1) << (n))
#define VIRTIO_FEATURE_INDIRECT_DESC VIRTIO_BIT(28)
#define VIRTIO_FEATURE_EVENT_IDX     VIRTIO_BIT(29)
#define VIRTIO_FEATURE_VERSION_1     VIRTIO_BIT(32)
#define VIRTIO_FEATURE_RING_PACKED   VIRTIO_BIT(34)
#define VIRTIO_FEATURE_RING_RESET    VIRTIO_BIT(40)

typedef struct VirtioOps {
    uint32_t device_id; /* as the specification numbers device types */

    /* Optional, main thread: DeviceOps.realize and finalize of the device's own part. */
    bool (*realize)(VirtioDevice *dev, GError **error);
    void (*finalize)(VirtioDevice *dev);

    /* Optional, register side: may the driver have exactly these features? */
    bool (*check_features)(const VirtioDevice *dev, uint64_t features);

    /*
     * Optional, any vCPU thread, under config_lock: the driver wrote.  The access lies inside the
     * configuration space.  NULL: all of it is read-only.
     */
    void (*config_write)(VirtioDevice *dev, unsigned offset, unsigned size, uint64_t value);

    /*
     * Optional, serving thread.  activate: the driver is ready, dev->features and the ready queues
     * are fixed until deactivate, dev->loop serves.  deactivate: finish or cancel everything; no
     * guest memory is touched after it.  Also the place where timers and watches come and go.
     */
    void (*activate)(VirtioDevice *dev);
    void (*deactivate)(VirtioDevice *dev);

    /*
     * Serving thread: there may be work in q.  Pop until pop finds nothing and return true; or
     * return false to stop early: no kick will come, and virtio_queue_run(q) is yours to call once
     * you can go on.  The core notifies the guest afterwards; only completions that come later
     * call virtq_notify themselves.
     */
    bool (*handle_queue)(VirtioDevice *dev, VirtQueue *q);

    /*
     * Optional, serving thread.  After drain nothing is in flight and nothing happens by itself
     * until resume; chains that cannot be finished now are put back with virtq_unpop, the latest
     * first.  resume runs before the queues are run again.
     */
    bool (*drain)(VirtioDevice *dev, GError **error);
    void (*resume)(VirtioDevice *dev);

    /* The device's own table holds the requests that a drain leaves in flight. */
    bool saves_requests;

    /* Optional, while not active: the device's own state back to power-on. */
    void (*reset)(VirtioDevice *dev);
} VirtioOps;

/* How a transport hears from the device.  Any thread; takes no lock of the device. */
typedef enum {
    VIRTIO_INTERRUPT_QUEUE = 1, /* the bits of an interrupt status register */
    VIRTIO_INTERRUPT_CONFIG = 2,
} VirtioInterrupt;

typedef struct VirtioTransport {
    void (*interrupt)(void *opaque, VirtioInterrupt kind, unsigned queue);
    void *opaque;
} VirtioTransport;

/* What the machine does for devices.  Optional members may be NULL. */
typedef struct VirtioHost {
    void *opaque;

    /* Optional.  Main thread: a device was made that serving_loop will be asked for. */
    void (*expect_serving)(void *opaque);

    /*
     * Optional.  A vCPU thread or the main thread, at the first activation of a device that wants a
     * loop and was given none: the one that shall serve it.  Must not wait for the main loop.
     */
    Loop *(*serving_loop)(void *opaque, VirtioDevice *dev);

    /*
     * Optional.  A vCPU thread: the queue is kicked often enough to be worth an ioeventfd.  fd
     * lives as long as the device; registering happens later, on the main loop.
     */
    void (*request_ioeventfd)(void *opaque, VirtioDevice *dev, unsigned queue, int fd);
} VirtioHost;

/* Kicks as exits before an ioeventfd is asked for. */
#define VIRTIO_KICKS_BEFORE_IOEVENTFD 32

struct VirtioDevice {
    Device base;

    /* fixed after realize */
    const VirtioOps *ops;
    GuestMemory *mem;
    const VirtioHost *host; /* may be NULL */
    VirtioTransport transport;
    uint64_t host_features;
    bool wants_loop; /* false: handle_queue is quick and never blocks */
    bool threaded;   /* a loop serves */
    VirtQueue *queue;
    uint32_t num_queues;
    uint8_t *config; /* in the device's own struct, little-endian */
    size_t config_len;

    Mutex lock;
    /* guarded by lock; features is fixed once FEATURES_OK stands */
    uint8_t status; /* without NEEDS_RESET */
    uint64_t features;
    bool started; /* the serving thread was told to start */
    Loop *loop;   /* set at the first start if not before */

    Mutex serve_lock;
    /* serving thread */
    bool active;
    bool drained;

    /* atomic */
    uint8_t broken;
    uint8_t driver_ok;

    Mutex config_lock;
    /* guarded by config_lock */
    uint32_t generation;
    LogLimit log_limit;
    char *last_error; /* why the device is, or last was, broken */
};

extern const VmStateDesc virtio_vmstate;

/* NULL if dev is no virtio device. */
VirtioDevice *virtio_device_of(Device *dev);

/* The shared part of a device's DeviceOps. */
bool virtio_realize(Device *base, GError **error);
void virtio_reset(Device *base);
bool virtio_drain(Device *base, GError **error);
void virtio_resume(Device *base);
void virtio_finalize(Device *base);

/* clang-format off */
#define VIRTIO_DEVICE_OPS \
    .realize = virtio_realize, .reset = virtio_reset, .drain = virtio_drain, \
    .resume = virtio_resume, .finalize = virtio_finalize
/* clang-format on */

typedef struct VirtioInit {
    const VirtioOps *ops;
    GuestMemory *mem;
    const VirtioHost *host; /* may be NULL; must outlive the device */
    Loop *loop;             /* may be NULL: ask host, if the device wants one */
    unsigned num_queues;
    uint16_t queue_size; /* the largest that the driver may choose */
    uint64_t features;   /* the device's own; the ring features are added */
} VirtioInit;

/* For xxx_new: allocates size zeroed bytes that start with a VirtioDevice. */
void *virtio_device_alloc(const DeviceOps *ops, const char *id, size_t size,
                          const VirtioInit *init);

/* For xxx_new: config points into the device's struct. */
void virtio_set_config(VirtioDevice *dev, void *config, size_t len);

static inline bool virtio_has_feature(const VirtioDevice *dev, uint64_t feature)
{
    return (dev->features & feature) != 0;
}

/* Serving thread: runs handle_queue again, after it returned false. */
void virtio_queue_run(VirtQueue *q);

/* Any thread but under no lock of the device: to change what the driver reads, and tell it. */
void virtio_config_begin(VirtioDevice *dev) ACQUIRES(&dev->config_lock);
void virtio_config_end(VirtioDevice *dev) RELEASES(&dev->config_lock);

/* Any thread: the guest broke the rules.  The device stops until it is reset. */
void virtio_break(VirtioDevice *dev, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
bool virtio_is_broken(const VirtioDevice *dev);

#endif

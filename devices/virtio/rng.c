/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A builtin source answers at once on the kicking thread.  A file may have to be waited for and a
 * limit needs a timer: these are served by a loop.  A request that must wait stays in the ring, so
 * nothing is ever in flight and there is no state beside the queue's.
 */
#include "devices/virtio/rng.h"

#include "migration/vmstate.h"
#include "util/error.h"
#include "util/fd.h"
#include "util/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define RNG_DEVICE_ID   4
#define RNG_QUEUE_SIZE  256
#define RNG_MAX_REQUEST 65536 /* more is answered with less, as the device may */
#define NS_PER_MS       1000000

typedef struct VirtioRng {
    VirtioDevice base;

    /* fixed after realize */
    char *filename;
    const FdSets *fd_sets;
    uint64_t max_bytes;
    uint32_t period_ms;
    int fd; /* -1: builtin */

    /* serving thread */
    VirtChain chain;
    uint64_t budget; /* left in this period */
    int64_t period_end_ns;
    LoopTimer *timer; /* while waiting for the next period */
    LoopWatch *watch; /* while waiting for the file */
    bool complained;
} VirtioRng;

static void rng_stop_waiting(VirtioRng *rng)
{
    loop_timer_free(rng->timer);
    rng->timer = NULL;
    loop_unwatch(rng->watch);
    rng->watch = NULL;
}

static void rng_period_over(void *opaque)
{
    VirtioRng *rng = opaque;

    rng_stop_waiting(rng);
    virtio_queue_run(&rng->base.queue[0]);
}

static void rng_file_ready(void *opaque, int fd, GIOCondition events)
{
    (void)fd;
    (void)events;
    rng_period_over(opaque);
}

/* Bytes that may go out now; at the end of the budget, a timer comes back. */
static uint64_t rng_allowance(VirtioRng *rng)
{
    int64_t now = loop_now_ns();

    if (rng->max_bytes == 0) {
        return RNG_MAX_REQUEST;
    }
    if (now >= rng->period_end_ns) {
        rng->budget = rng->max_bytes;
        rng->period_end_ns = now + (int64_t)rng->period_ms * NS_PER_MS;
    }
    if (rng->budget == 0 && !rng->timer) {
        rng->timer = loop_timer_new(rng->base.loop, rng_period_over, rng);
        loop_timer_arm(rng->timer, rng->period_end_ns);
    }
    return MIN(rng->budget, RNG_MAX_REQUEST);
}

static ssize_t rng_read(const VirtioRng *rng, void *data, size_t len)
{
    ssize_t n;

    do {
        n = rng->fd < 0 ? getrandom(data, len, 0) : read(rng->fd, data, len);
    } while (n < 0 && errno == EINTR);
    return n;
}

/* The source has nothing now; a file that has ended never will, and says so once. */
static void rng_wait_for_file(VirtioRng *rng, ssize_t n)
{
    if (n < 0 && errno == EAGAIN) {
        if (rng->base.threaded && !rng->watch) {
            rng->watch = loop_watch_fd(rng->base.loop, rng->fd, G_IO_IN, rng_file_ready, rng);
        }
    } else if (!rng->complained) {
        rng->complained = true;
        log_line(LOG_LEVEL_WARNING, "device %s: no more bytes from '%s': %s", rng->base.base.id,
                 rng->filename, n < 0 ? error_words(errno) : "it has ended");
    }
}

static bool rng_handle_queue(VirtioDevice *dev, VirtQueue *q)
{
    VirtioRng *rng = (VirtioRng *)dev;
    VirtChain *chain = &rng->chain;

    for (;;) {
        uint64_t allowed = rng_allowance(rng);

        if (allowed == 0) {
            return false;
        }
        if (!virtq_pop(q, chain)) {
            return true;
        }
        if (chain->num_in == 0) {
            virtio_break(dev, "a request without room for an answer");
            return true;
        }

        /* One piece is enough: a device may answer with less than was asked for. */
        const struct iovec *piece = virt_chain_in(chain);
        ssize_t n = rng_read(rng, piece->iov_base, MIN(piece->iov_len, allowed));

        if (n <= 0) {
            virtq_unpop(q, chain);
            rng_wait_for_file(rng, n);
            return false;
        }
        rng->budget -= MIN(rng->budget, (uint64_t)n);
        virtq_push(q, chain, (uint32_t)n);
    }
}

static bool rng_realize(VirtioDevice *dev, GError **error)
{
    VirtioRng *rng = (VirtioRng *)dev;

    if (rng->max_bytes != 0 && (rng->period_ms == 0 || !dev->threaded)) {
        return fail(error, VMM_ERROR_CONFIG, "max-bytes needs a period and an I/O loop");
    }
    if (rng->filename) {
        rng->fd =
            fd_sets_open(rng->fd_sets, rng->filename, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, error);
        return rng->fd >= 0;
    }
    return true;
}

static void rng_deactivate(VirtioDevice *dev)
{
    rng_stop_waiting((VirtioRng *)dev);
}

static bool rng_drain(VirtioDevice *dev, GError **error)
{
    (void)error;
    rng_stop_waiting((VirtioRng *)dev);
    return true;
}

static void rng_finalize(VirtioDevice *dev)
{
    VirtioRng *rng = (VirtioRng *)dev;

    fd_close(&rng->fd);
    virt_chain_clear(&rng->chain);
    g_free(rng->filename);
}

static const VirtioOps rng_virtio_ops = {
    .device_id = RNG_DEVICE_ID,
    .realize = rng_realize,
    .finalize = rng_finalize,
    .deactivate = rng_deactivate,
    .handle_queue = rng_handle_queue,
    .drain = rng_drain,
};

static const VmStateField rng_fields[] = {
    VMSTATE_FIELD_STRUCT(VirtioRng, base, VirtioDevice, &virtio_vmstate, 1),
};

const VmStateDesc virtio_rng_vmstate = {
    .name = "virtio-rng",
    .version = 1,
    .min_version = 1,
    .fields = rng_fields,
    .num_fields = G_N_ELEMENTS(rng_fields),
};

static const DeviceOps rng_ops = {
    .name = "virtio-rng",
    VIRTIO_DEVICE_OPS,
    .vmstate = &virtio_rng_vmstate,
};

VirtioDevice *virtio_rng_new(const char *id, GuestMemory *mem, const VirtioHost *host, Loop *loop,
                             const VirtioRngConfig *config)
{
    const VirtioInit init = {
        .ops = &rng_virtio_ops,
        .mem = mem,
        .host = host,
        .loop = loop,
        .num_queues = 1,
        .queue_size = RNG_QUEUE_SIZE,
    };
    VirtioRng *rng = virtio_device_alloc(&rng_ops, id, sizeof(*rng), &init);

    rng->filename = g_strdup(config->filename);
    rng->fd_sets = config->fd_sets;
    rng->max_bytes = config->max_bytes;
    rng->period_ms = config->period_ms;
    rng->fd = -1;
    rng->base.wants_loop = config->filename != NULL || config->max_bytes != 0;
    return &rng->base;
}

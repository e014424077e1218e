/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEVICES_VIRTIO_QUEUE_H
#define DEVICES_VIRTIO_QUEUE_H

/*
 * One virtqueue, split or packed: the device side.
 *
 *     driver area ("avail")  -> virtq_pop  -> VirtChain: what to read, where to write
 *     device area ("used")   <- virtq_push <- the chain, and how many bytes were written
 *
 * The guest owns the rings and may write anything into them at any time.  Each field is read once
 * into a local, every index and address is checked, and a ring that makes no sense breaks the
 * device (NEEDS_RESET) instead of the host: pop then finds nothing more.
 *
 * Everything here runs on the thread that serves the device, except virtq_enable and
 * virtq_disable, which run while nobody serves the queue.
 */

#include "hypervisor/memory.h"

#include <glib.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

typedef struct LoopWatch LoopWatch;
typedef struct VirtioDevice VirtioDevice;
typedef struct VirtQueue VirtQueue;

#define VIRTQ_MAX_SIZE     32768
#define VIRTQ_MAX_SEGMENTS 1024 /* of one chain; what preadv and pwritev take */

/*
 * One request.  Zero-initialise it, pop into it as often as you like (the array is kept and
 * reused), and clear it at the end.
 */
typedef struct VirtChain {
    struct iovec *iov; /* num_out to read from, then num_in to write to */
    unsigned num_out;
    unsigned num_in;
    uint64_t out_bytes;
    uint64_t in_bytes;

    /* private */
    uint16_t id;         /* split: first descriptor; packed: buffer id */
    uint16_t ring_slots; /* places in the ring: 1, or in a packed ring the length of the chain */
    unsigned capacity;   /* of iov */
    int64_t popped_ns;
} VirtChain;

void virt_chain_clear(VirtChain *chain);

static inline const struct iovec *virt_chain_out(const VirtChain *chain)
{
    return chain->iov;
}

static inline const struct iovec *virt_chain_in(const VirtChain *chain)
{
    return chain->iov + chain->num_out;
}

/* Copies from the readable (to the writable) part, from offset on; returns the bytes copied. */
uint64_t virt_chain_read(const VirtChain *chain, uint64_t offset, void *data, uint64_t len);
uint64_t virt_chain_write(const VirtChain *chain, uint64_t offset, const void *data, uint64_t len);

/* What differs between the two ring layouts.  Callers have checked that the queue is usable. */
typedef struct VirtqLayout {
    bool (*map)(VirtQueue *q, const GuestMemory *mem, GError **error);
    bool (*has_work)(VirtQueue *q);
    /* has_work said yes; fills chain and moves on, or fails and leaves the queue as it was. */
    bool (*pop)(VirtQueue *q, const GuestMemory *mem, VirtChain *chain, GError **error);
    void (*unpop)(VirtQueue *q, const VirtChain *chain);
    void (*push)(VirtQueue *q, const VirtChain *chain, uint32_t written);
    void (*want_kicks)(VirtQueue *q, bool on);
    bool (*wants_interrupt)(VirtQueue *q);
} VirtqLayout;

extern const VirtqLayout virtq_split;
extern const VirtqLayout virtq_packed;

/* What went through a queue since the VM was made.  The serving thread writes, anybody reads. */
typedef struct VirtqCount {
    atomic_uint_least64_t requests;
    atomic_uint_least64_t bytes_read; /* by the device */
    atomic_uint_least64_t bytes_written;
    atomic_uint_least64_t total_ns; /* from pop to push, summed up */
} VirtqCount;

struct VirtQueue {
    /* fixed after creation */
    VirtioDevice *dev;
    unsigned index;
    uint16_t max_size;

    /* registers: guarded by dev->lock, and frozen while ready */
    uint16_t size;
    uint8_t ready;
    uint64_t desc_address;
    uint64_t driver_address;
    uint64_t device_address;

    /* set by virtq_enable, then serving thread */
    const VirtqLayout *layout;
    uint8_t *desc_ring;
    uint8_t *driver_area;
    uint8_t *device_area;
    bool has_event_idx;
    bool has_indirect;

    /* serving thread */
    uint16_t last_avail;  /* split: counts on; packed: place in the ring */
    uint16_t last_used;   /* the same of what was given back */
    uint8_t avail_wrap;   /* packed */
    uint8_t used_wrap;    /* packed */
    uint16_t unsignalled; /* given back since the guest was last considered for an interrupt */
    uint16_t seen_avail;  /* split: the guest's index when last read */
    uint32_t in_flight;   /* ring slots popped and not pushed */
    LoopWatch *watch;

    int kick_fd;         /* fixed after realize; -1: served on the kicking thread */
    uint32_t kick_exits; /* atomic: kicks that came as exits */
    VirtqCount count;
};

/* --- for device authors --- */

/* The next chain; false when there is none, or the device is broken. */
bool virtq_pop(VirtQueue *q, VirtChain *chain);

/* Undoes the latest pop: the chain will be popped again. */
void virtq_unpop(VirtQueue *q, const VirtChain *chain);

/* Gives the chain back to the guest; chains may be given back in any order. */
void virtq_push(VirtQueue *q, const VirtChain *chain, uint32_t written);

/* Interrupts the guest if it wants that for what was pushed since the last call. */
void virtq_notify(VirtQueue *q);

/* True if pop has something to find. */
bool virtq_has_work(VirtQueue *q);

/*
 * Asks the guest to kick, or not to bother.  Returns true if there is work after all that came in
 * before the guest saw the wish.  The core does this around VirtioOps.handle_queue.
 */
bool virtq_want_kicks(VirtQueue *q, bool on);

/* --- for the core --- */

/* Power-on state; keeps what is fixed. */
void virtq_reset(VirtQueue *q);

/* Checks size and addresses and maps the rings.  Positions stay as they are. */
bool virtq_enable(VirtQueue *q, const GuestMemory *mem, uint64_t features, GError **error);

#endif

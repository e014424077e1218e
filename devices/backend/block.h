/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEVICES_BACKEND_BLOCK_H
#define DEVICES_BACKEND_BLOCK_H

/*
 * A disk as its device sees it: bytes at offsets, and five things to do with them.
 *
 *      device  --block_submit-->  face (block.c: checks, counts)  -->  node -> node -> file
 *              <----- done -----                                       (BlockOps each)
 *
 * Nodes form a chain: a filter such as the throttle holds a child and passes requests on; the last
 * node does the work.  Requests belong to the device, which embeds them in what it has allocated
 * once, so nothing is allocated per request on the way.
 *
 * Threads: a back end is opened and closed on the main thread.  From block_attach on, requests are
 * submitted and completed on one loop's thread; functions say where they may be called.
 */

#include "util/loop.h"

#include <glib.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#define BLOCK_SECTOR_BYTES 512u

/* The most buffers in one request: what one preadv takes. */
#define BLOCK_MAX_SEGMENTS 1024u

typedef enum {
    BLOCK_READ,
    BLOCK_WRITE,
    BLOCK_FLUSH,
    BLOCK_DISCARD,
    BLOCK_WRITE_ZEROES,
    BLOCK_OP_COUNT,
} BlockOp;

enum {
    BLOCK_REQUEST_FUA = 1 << 0,   /* a write is on the medium when it is done */
    BLOCK_REQUEST_UNMAP = 1 << 1, /* WRITE_ZEROES may also give the space back */
};

typedef struct BlockBackend BlockBackend;
typedef struct BlockRequest BlockRequest;
typedef struct BlockLoop BlockLoop;

typedef enum {
    BLOCK_IO_READ,
    BLOCK_IO_WRITE,
    BLOCK_IO_SYNC,
    BLOCK_IO_CALL,
} BlockIoOp;

/* One step of file I/O, done by a ring, by a thread or on the spot; each request has room for one. */
typedef struct BlockIo {
    BlockIoOp op;
    int fd;
    int rw_flags; /* RWF_ */
    unsigned iov_count;
    const struct iovec *iov;
    uint64_t offset;
    int64_t (*call)(struct BlockIo *io);              /* BLOCK_IO_CALL: any thread */
    void (*done)(struct BlockIo *io, int64_t result); /* on the loop: bytes or -errno */
    int64_t result;
    struct BlockIo *next;
} BlockIo;

struct BlockRequest {
    /* the caller's; unchanged until done */
    BlockOp op;
    unsigned flags;
    uint64_t offset;         /* bytes, a multiple of 512 */
    uint64_t bytes;          /* a multiple of 512; 0 for FLUSH */
    const struct iovec *iov; /* READ, WRITE: sums up to bytes */
    unsigned iov_count;
    void (*done)(BlockRequest *request, int error); /* 0 or a positive errno value */

    /* the nodes' */
    BlockBackend *top;
    BlockBackend *node; /* who holds the request now */
    BlockRequest *next; /* of a node's waiting queue */
    int64_t start_ns;
    uint64_t progress;  /* bytes done by earlier steps */
    struct iovec *rest; /* what is left after a short transfer */
    BlockIo io;
};

typedef struct BlockLimits {
    uint32_t request_alignment; /* of offset and length; other requests work but are slow */
    uint32_t memory_alignment;  /* of buffers, likewise */
    bool discard;               /* DISCARD gives space back, else it does nothing */
    bool cached;                /* completed writes need a FLUSH to be safe: the default of WCE */
} BlockLimits;

typedef struct BlockCount {
    uint64_t requests;
    uint64_t errors;
    uint64_t bytes;
    uint64_t total_ns; /* from submit to done, summed up */
} BlockCount;

typedef struct BlockStats {
    BlockCount op[BLOCK_OP_COUNT];
} BlockStats;

typedef enum {
    BLOCK_ERROR_REPORT, /* the guest gets the error */
    BLOCK_ERROR_IGNORE, /* the guest is told that all went well */
    BLOCK_ERROR_STOP,   /* the VM stops and the request is tried again when it goes on */
    BLOCK_ERROR_ENOSPC, /* STOP if there is no space left, else REPORT */
} BlockErrorPolicy;

/* What BLOCK_IO_ERROR tells. */
typedef struct BlockErrorInfo {
    const char *device;    /* the drive's id */
    const char *node_name; /* may be NULL */
    BlockOp op;
    BlockErrorPolicy action; /* one of the first three */
    int error;
} BlockErrorInfo;

typedef struct json_object json_object;

/* The arguments of the event BLOCK_IO_ERROR, QMP's spelling. */
json_object *block_error_event_data(const BlockErrorInfo *info);

/* Who uses the back end.  Optional members may be NULL. */
typedef struct BlockClient {
    /* Optional, the loop's thread: some requests were done, and no more are at the moment. */
    void (*batch_end)(void *opaque);
    /* Optional, main thread: block_size answers something new. */
    void (*resized)(void *opaque);
    void *opaque;
} BlockClient;

/* The machine's ear for I/O errors.  Runs on the loop's thread; STOP asks it to stop the VM. */
typedef struct BlockErrorHook {
    void (*raise)(void *opaque, const BlockErrorInfo *info);
    void *opaque;
} BlockErrorHook;

/* What one kind of node does.  Loop's thread unless it says otherwise. */
typedef struct BlockOps {
    const char *name; /* the driver, as QMP spells it */

    /* Each request is ended by one block_complete, during submit or later. */
    void (*submit)(BlockBackend *node, BlockRequest *request);

    /* Optional.  Something waits for a reason other than I/O: send it on now. */
    void (*release)(BlockBackend *node);

    /* Optional.  The node is about to lose its loop. */
    void (*detach)(BlockBackend *node);

    /* Optional, main thread.  The size in bytes as of now; and a new size. */
    bool (*get_size)(BlockBackend *node, uint64_t *ret_size, GError **error);
    bool (*set_size)(BlockBackend *node, uint64_t size, GError **error);

    /* Optional, main thread.  Frees what the struct holds except its child. */
    void (*close)(BlockBackend *node);
} BlockOps;

/* The head of every node; the rest of the node's struct follows. */
struct BlockBackend {
    /* fixed after opening */
    const BlockOps *ops;
    BlockBackend *child; /* owned; NULL for the last */
    char *id;
    char *node_name; /* may be NULL */
    char *file_name; /* what the user gave; may be NULL */
    bool read_only;
    BlockLimits limits;
    BlockErrorPolicy on_read_error;
    BlockErrorPolicy on_write_error;
    BlockErrorHook error_hook;

    /* main thread, before the loop is attached */
    BlockClient client;

    /* loop thread only */
    BlockLoop *loop;
    unsigned in_flight;
    bool batch_dirty;
    BlockBackend *next_dirty;

    /* any thread */
    _Atomic(Loop *) attached;
    atomic_uint_least64_t size;
    struct {
        atomic_uint_least64_t requests, errors, bytes, total_ns;
    } count[BLOCK_OP_COUNT];
};

/* Takes size zeroed bytes that begin with a BlockBackend; child is owned from then on. */
void *block_alloc(const BlockOps *ops, BlockBackend *child, size_t size);

/* Main thread.  Accepts NULL.  Nothing is in flight. */
void block_close(BlockBackend *blk);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BlockBackend, block_close)

/* Main thread, before block_attach.  client is copied; NULL = nobody. */
void block_set_client(BlockBackend *blk, const BlockClient *client);

/*
 * Main thread or the loop's: from now on requests come from this loop, until block_detach, which is
 * for the main thread and only while nothing is in flight.
 */
void block_attach(BlockBackend *blk, Loop *loop);
void block_detach(BlockBackend *blk);

/* Any thread.  NULL before block_attach. */
Loop *block_attached_loop(const BlockBackend *blk);

/* Any thread. */
uint64_t block_size(const BlockBackend *blk);
void block_get_stats(const BlockBackend *blk, BlockStats *ret_stats);
const char *block_op_name(BlockOp op);

/* Main thread.  Looks at the medium again, or changes its size; the client hears of a new size. */
bool block_refresh_size(BlockBackend *blk, GError **error);
bool block_resize(BlockBackend *blk, uint64_t size, GError **error);

/* The request is done later or, if that suits, before this returns. */
void block_submit(BlockBackend *blk, BlockRequest *request);

/*
 * Requests between the two go to the kernel together, and batch_end comes once.  They nest, and
 * they bundle what all back ends of the loop do.
 */
void block_plug(BlockBackend *blk);
void block_unplug(BlockBackend *blk);

/* Main thread or the loop's.  Returns when no request is in flight; throttled requests go out at once. */
void block_drain(BlockBackend *blk);

/*
 * For the client of a request that failed: what the drive's policy says, REPORT, IGNORE or STOP.
 * The hook has been told by then.
 */
BlockErrorPolicy block_error_action(BlockBackend *blk, BlockOp op, int error);

/* For nodes: passes a request on to the child; ends a request. */
void block_forward(BlockBackend *node, BlockRequest *request);
void block_complete(BlockRequest *request, int error);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEVICES_BACKEND_CHARDEV_IMPL_H
#define DEVICES_BACKEND_CHARDEV_IMPL_H

/*
 * What a back end sees of a chardev.  Most of them only open descriptors, hand them over with
 * chardev_set_fds and say what to do when the far end hangs up; chardev.c moves the bytes.  One
 * that keeps its bytes elsewhere (null, ring buffer) has a write of its own instead.
 */

#include "devices/backend/chardev.h"
#include "devices/backend/chardev_escape.h"
#include "util/fd_set.h"
#include "util/lock.h"
#include "util/loop.h"

#include <stdatomic.h>

typedef struct ChardevOps {
    const char *name; /* as -chardev spells it */

    /* Optional.  Loop thread: the far end is gone; the descriptors are closed already. */
    void (*hangup)(Chardev *chr);

    /* Optional.  Any thread, chr's lock held: takes what it can.  Instead of descriptors. */
    size_t (*write)(Chardev *chr, const uint8_t *data, size_t len);

    /* Optional.  Loop thread: the front end has room; ask with chardev_room. */
    void (*accept_input)(Chardev *chr);

    /* Optional.  Loop thread, before the descriptors are closed. */
    void (*close)(Chardev *chr);

    /* Optional.  Loop thread. */
    char *(*describe)(const Chardev *chr);
} ChardevOps;

/* How a descriptor is kept from blocking. */
typedef enum {
    CHARDEV_FD_NONBLOCKING, /* O_NONBLOCK on a file description of our own */
    CHARDEV_FD_SOCKET,      /* MSG_DONTWAIT */
    CHARDEV_FD_PLAIN,       /* a regular file */
    CHARDEV_FD_SHARED,      /* other processes have the description: ask poll first */
} ChardevFdMode;

struct Chardev {
    /* fixed after creation */
    const ChardevOps *ops;
    char *id;
    Loop *loop;
    LoopTimer *service; /* armed at 0 from anywhere: chardev.c looks at everything again */
    int log_fd;

    /* loop thread only */
    const ChardevFrontend *frontend;
    void *frontend_opaque;
    LoopWatch *in_watch;
    LoopWatch *out_watch;
    int in_fd;
    ChardevFdMode in_mode;
    bool is_open;
    EscapeFilter *escapes; /* NULL: every key is the guest's */

    atomic_bool input_paused; /* the front end had no room */

    Mutex lock;
    /* guarded by lock; out_fd and out_mode change on the loop thread only */
    int out_fd;
    ChardevFdMode out_mode;
    bool output_waits; /* a write was cut short */
    bool output_failed;
};

/* What every kind of chardev can be told. */
typedef struct ChardevCommon {
    char *logfile; /* a copy of all output; NULL = none */
    bool logappend;
    bool mux;              /* a person is there: Ctrl-a is for us */
    const FdSets *fd_sets; /* not an option; may be NULL */
} ChardevCommon;

/* For xxx_new: size zeroed bytes that start with a Chardev. */
void *chardev_alloc(const ChardevOps *ops, const char *id, Loop *loop, size_t size);

/* Opens the log that common asks for, and so on. */
bool chardev_apply_common(Chardev *chr, const ChardevCommon *common, GError **error);

/*
 * A descriptor of our own for fd, which stays the caller's: a new file description where the kind
 * of file allows it, so that O_NONBLOCK does not leak into whoever shares fd with us.  access is
 * O_RDONLY, O_WRONLY or O_RDWR.
 */
int chardev_dup_fd(int fd, int access, ChardevFdMode *ret_mode, GError **error);

/* The same for a descriptor that nobody shares with us: how to use it; sets O_NONBLOCK. */
bool chardev_classify_fd(int fd, ChardevFdMode *ret_mode, GError **error);

/* The far end is there.  Takes both descriptors (either may be -1, or both the same). */
void chardev_set_fds(Chardev *chr, int in_fd, ChardevFdMode in_mode, int out_fd,
                     ChardevFdMode out_mode);

/* For back ends without descriptors: the far end is there, or not. */
void chardev_set_open(Chardev *chr, bool open);

/* Closes the descriptors; CHARDEV_CLOSED if the far end was there. */
void chardev_drop_fds(Chardev *chr);

/* How much input the front end takes now, and giving it to it. */
size_t chardev_room(Chardev *chr);
void chardev_deliver(Chardev *chr, const uint8_t *data, size_t len);

#endif

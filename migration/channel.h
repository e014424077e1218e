/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MIGRATION_CHANNEL_H
#define MIGRATION_CHANNEL_H

/*
 * One way to write or to read bytes, front to back: a descriptor that was handed over, a command's
 * standard input or output, or a single file.
 *
 *     main thread                             worker thread
 *     channel_open  --------------------->     channel_write..., or channel_read...
 *     channel_cancel  - - (any thread) - ->    channel_finish
 *     channel_free  <---------------------
 *
 * The descriptor does not block: whoever waits for the other side waits for a cancel as well.
 */

#include "migration/uri.h"
#include "util/fd_set.h"

#include <stddef.h>

typedef enum {
    CHANNEL_WRITE,
    CHANNEL_READ,
} ChannelDirection;

typedef struct Channel Channel;

/* What opening needs of whoever asks. */
typedef struct ChannelHost {
    const FdSets *fd_sets; /* what /dev/fdset/N leads to; may be NULL */
    bool may_spawn;        /* the process may start programs (docs/security.md) */

    /* Optional: the descriptor that a client gave this name, now the caller's; -1 if none. */
    int (*take_fd)(void *opaque, const char *name);
    void *opaque;
} ChannelHost;

/* uri is not a template's folder.  What can be known to fail fails here. */
Channel *channel_open(const MigrationUri *uri, ChannelDirection direction, const ChannelHost *host,
                      GError **error);

/* Takes fd, also on failure.  name is for messages. */
Channel *channel_new_take(int fd, const char *name, ChannelDirection direction, GError **error);

/* Accepts NULL.  What was written and not finished is undone, as far as it can be. */
void channel_free(Channel *channel);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Channel, channel_free)

const char *channel_name(const Channel *channel);

bool channel_write(Channel *channel, const void *data, size_t len, GError **error);

/* All of it, or an error that says within what the stream ended ("its label"). */
bool channel_read(Channel *channel, const char *what, void *data, size_t len, GError **error);

/*
 * All is written, or read: a file gets its name, a command's end is waited for.  sync: a regular
 * file reaches the disk first.  Not after a failure.
 */
bool channel_finish(Channel *channel, bool sync, GError **error);

/* After a write or a read has failed: adds to error what is known about the other side. */
void channel_explain(Channel *channel, GError **error);

/* Any thread: everything that waits, or comes later, fails with VMM_ERROR_STATE. */
void channel_cancel(Channel *channel);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MIGRATION_CHANNEL_PLACE_H
#define MIGRATION_CHANNEL_PLACE_H

/* What is behind a stream's descriptor.  Private to migration/channel*.c. */

#include "migration/channel.h"

typedef struct ChannelPlace ChannelPlace;

typedef struct ChannelPlaceOps {
    /* The descriptor's last moment; closes it if the other side waits for that. */
    bool (*finish)(ChannelPlace *place, Channel *channel, bool sync, GError **error);

    /* Optional. */
    void (*explain)(ChannelPlace *place, Channel *channel, GError **error);

    /* fd is what is left of the descriptor, or -1; finished: nothing is to be undone. */
    void (*free)(ChannelPlace *place, int fd, bool finished);
} ChannelPlaceOps;

struct ChannelPlace {
    const ChannelPlaceOps *ops;
};

/* Takes fd and place, also on failure.  place may be NULL: there is nothing but the descriptor. */
Channel *channel_new_at(int fd, ChannelPlace *place, const char *name, ChannelDirection direction,
                        GError **error);

int channel_fd(const Channel *channel);

/* A command has its end of file; waiting for it goes on. */
void channel_hang_up(Channel *channel);

/* Waits until fd is ready for events, or fails because of a cancel.  timeout_ms as for poll. */
bool channel_wait(const Channel *channel, int fd, short events, int timeout_ms, GError **error);

Channel *channel_open_file(const MigrationUri *uri, ChannelDirection direction,
                           const ChannelHost *host, GError **error);
Channel *channel_open_command(const MigrationUri *uri, ChannelDirection direction, GError **error);

#endif

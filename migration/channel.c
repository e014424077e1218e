/* SPDX-License-Identifier: Apache-2.0 */
#include "migration/channel.h"

#include "migration/channel_place.h"
#include "util/error.h"
#include "util/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

struct Channel {
    /* fixed after creation */
    char *name;
    ChannelPlace *place; /* NULL: nothing but the descriptor */
    int cancel_fd;       /* eventfd: readable from a cancel on */
    bool was_blocking;   /* others may share the descriptor's flags, and are given them back */

    /* whoever writes or reads */
    int fd;
    uint64_t position;
    bool finished;

    atomic_bool cancelled;
};

Channel *channel_new_at(int fd, ChannelPlace *place, const char *name, ChannelDirection direction,
                        GError **error)
{
    static const char *const verbs[] = {
        [CHANNEL_WRITE] = "written to", [CHANNEL_READ] = "read from"};
    int forbidden = direction == CHANNEL_WRITE ? O_RDONLY : O_WRONLY;
    int flags = fcntl(fd, F_GETFL);
    g_autoptr(Channel) channel = g_new0(Channel, 1);

    channel->fd = fd;
    channel->place = place;
    channel->name = g_strdup(name);
    channel->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (channel->cancel_fd < 0 || flags < 0) {
        return fail_errno_null(error, errno, "'%s'", name);
    }
    if ((flags & O_ACCMODE) == forbidden) {
        return fail_null(error, VMM_ERROR_CONFIG, "'%s': the descriptor cannot be %s", name,
                         verbs[direction]);
    }
    channel->was_blocking = !(flags & O_NONBLOCK);
    return fd_set_nonblocking(fd, /* on= */ true, error) ? g_steal_pointer(&channel) : NULL;
}

Channel *channel_new_take(int fd, const char *name, ChannelDirection direction, GError **error)
{
    return channel_new_at(fd, NULL, name, direction, error);
}

void channel_free(Channel *channel)
{
    if (channel) {
        if (channel->place) {
            channel->place->ops->free(channel->place, channel->fd, channel->finished);
        }
        channel_hang_up(channel);
        fd_close(&channel->cancel_fd);
        g_free(channel->name);
        g_free(channel);
    }
}

const char *channel_name(const Channel *channel)
{
    return channel->name;
}

int channel_fd(const Channel *channel)
{
    return channel->fd;
}

void channel_hang_up(Channel *channel)
{
    if (channel->fd >= 0 && channel->was_blocking) {
        fd_set_nonblocking(channel->fd, /* on= */ false, NULL);
    }
    fd_close(&channel->fd);
}

void channel_cancel(Channel *channel)
{
    atomic_store(&channel->cancelled, true);
    eventfd_write(channel->cancel_fd, 1);
}

static bool check_cancelled(const Channel *channel, GError **error)
{
    return !atomic_load(&channel->cancelled) ||
           fail(error, VMM_ERROR_STATE, "'%s': it was cancelled", channel->name);
}

bool channel_wait(const Channel *channel, int fd, short events, int timeout_ms, GError **error)
{
    struct pollfd ask[] = {{.fd = fd, .events = events},
                           {.fd = channel->cancel_fd, .events = POLLIN}};

    poll(ask, G_N_ELEMENTS(ask), timeout_ms);
    return check_cancelled(channel, error);
}

/* After a call that did not do all: the next one may come at once, later, or not at all. */
static bool go_on(const Channel *channel, short events, const char *verb, GError **error)
{
    int err = errno;

    if (err == EINTR) {
        return true;
    }
    if (err == EAGAIN) {
        return channel_wait(channel, channel->fd, events, /* timeout_ms= */ -1, error);
    }
    return fail_errno(error, err, "'%s': %s at byte %" PRIu64, channel->name, verb,
                      channel->position);
}

bool channel_write(Channel *channel, const void *data, size_t len, GError **error)
{
    const uint8_t *at = data;

    while (len > 0) {
        if (!check_cancelled(channel, error)) {
            return false;
        }

        ssize_t n = write(channel->fd, at, len);

        if (n < 0) {
            if (!go_on(channel, POLLOUT, "write", error)) {
                return false;
            }
            continue;
        }
        at += n;
        len -= (size_t)n;
        channel->position += (uint64_t)n;
    }
    return true;
}

bool channel_read(Channel *channel, const char *what, void *data, size_t len, GError **error)
{
    uint8_t *at = data;

    while (len > 0) {
        if (!check_cancelled(channel, error)) {
            return false;
        }

        ssize_t n = read(channel->fd, at, len);

        if (n == 0) {
            return fail(error, VMM_ERROR_WIRE,
                        "'%s' is cut short: it ends after %" PRIu64 " bytes, within %s",
                        channel->name, channel->position, what);
        }
        if (n < 0) {
            if (!go_on(channel, POLLIN, "read", error)) {
                return false;
            }
            continue;
        }
        at += n;
        len -= (size_t)n;
        channel->position += (uint64_t)n;
    }
    return true;
}

static bool sync_descriptor(const Channel *channel, GError **error)
{
    struct stat st;

    return fstat(channel->fd, &st) < 0 || !S_ISREG(st.st_mode) || fsync(channel->fd) == 0 ||
           fail_errno(error, errno, "'%s': sync", channel->name);
}

bool channel_finish(Channel *channel, bool sync, GError **error)
{
    if (!check_cancelled(channel, error) || (sync && !sync_descriptor(channel, error)) ||
        (channel->place && !channel->place->ops->finish(channel->place, channel, sync, error))) {
        return false;
    }
    channel->finished = true;
    channel_hang_up(channel);
    return true;
}

void channel_explain(Channel *channel, GError **error)
{
    if (channel->place && channel->place->ops->explain && !atomic_load(&channel->cancelled)) {
        channel->place->ops->explain(channel->place, channel, error);
    }
}

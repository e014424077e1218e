/* SPDX-License-Identifier: Apache-2.0 */
/* From a URI to a stream; and descriptors, which are the simplest of them. */
#include "migration/channel_place.h"
#include "util/error.h"
#include "util/fd.h"
#include "util/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

/*
 * Ours are all closed on exec, from birth; those that the process was started with cannot be.  So
 * nobody is handed the descriptor of a disk by its number.
 */
static int take_inherited(const char *text, GError **error)
{
    uint64_t number;
    int flags;
    int copy;

    if (!text_parse_uint(text, &number) || number > INT_MAX) {
        fail(error, VMM_ERROR_CONFIG, "'fd:%s': expected a descriptor's number or name", text);
        return -1;
    }
    flags = fcntl((int)number, F_GETFD);
    if (flags < 0) {
        fail_errno(error, errno, "'fd:%s'", text);
        return -1;
    }
    if (flags & FD_CLOEXEC) {
        fail(error, VMM_ERROR_CONFIG,
             "'fd:%s': the process was not started with it: expected one that was, or the name "
             "of one that getfd passed",
             text);
        return -1;
    }
    copy = fcntl((int)number, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (copy < 0) {
        fail_errno(error, errno, "'fd:%s': duplicate", text);
    } else if (number > STDERR_FILENO) {
        int original = (int)number;

        fd_close(&original);
    }
    return copy;
}

static Channel *open_fd(const MigrationUri *uri, ChannelDirection direction,
                        const ChannelHost *host, GError **error)
{
    g_autofree char *name = g_strconcat("fd:", uri->text, NULL);
    int fd = -1;

    if (g_ascii_isdigit(uri->text[0])) {
        fd = take_inherited(uri->text, error);
        return fd >= 0 ? channel_new_take(fd, name, direction, error) : NULL;
    }
    if (host->take_fd) {
        fd = host->take_fd(host->opaque, uri->text);
    }
    if (fd < 0) {
        return fail_null(error, VMM_ERROR_STATE, "File descriptor named '%s' has not been found",
                         uri->text);
    }
    return channel_new_take(fd, name, direction, error);
}

static Channel *open_command(const MigrationUri *uri, ChannelDirection direction,
                             const ChannelHost *host, GError **error)
{
    if (!host->may_spawn) {
        return fail_null(error, VMM_ERROR_CONFIG,
                         "'exec:%s': the sandbox lets no program be started: pass a descriptor "
                         "with getfd and name it with fd:, or run with -sandbox off",
                         uri->text);
    }
    return channel_open_command(uri, direction, error);
}

Channel *channel_open(const MigrationUri *uri, ChannelDirection direction, const ChannelHost *host,
                      GError **error)
{
    switch (uri->kind) {
    case MIGRATION_URI_FD:
        return open_fd(uri, direction, host, error);
    case MIGRATION_URI_EXEC:
        return open_command(uri, direction, host, error);
    case MIGRATION_URI_FILE:
        break;
    }
    return channel_open_file(uri, direction, host, error);
}

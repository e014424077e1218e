/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream in a file.  What is written gets its name when it is whole:
 *
 *     .NAME.stencil-XXXXXX  --(sync, rename)-->  NAME
 *
 * so that a save that fails leaves the file that was there.  That cannot be where the file has more
 * in it than the stream (an offset), is not a regular one, or is a descriptor in disguise: then it
 * is written in place, and a failure cuts it off where the stream began.
 */
#include "migration/channel_place.h"
#include "util/error.h"
#include "util/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct FilePlace {
    ChannelPlace place;
    char *path;
    char *hidden;    /* NULL: in place */
    bool made;       /* in place, and it was not there before */
    bool cut;        /* in place, and a regular file */
    uint64_t offset; /* where the stream begins */
} FilePlace;

static bool sync_folder(const char *path, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(path);
    auto_fd int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return (fd >= 0 && fsync(fd) == 0) || fail_errno(error, errno, "'%s': sync the folder", folder);
}

static bool finish_file(ChannelPlace *place, Channel *channel, bool sync, GError **error)
{
    FilePlace *file = (FilePlace *)place;

    (void)channel;
    if (!file->hidden) {
        return true;
    }
    if (rename(file->hidden, file->path) < 0) {
        return fail_errno(error, errno, "cannot rename '%s' to '%s'", file->hidden, file->path);
    }
    g_clear_pointer(&file->hidden, g_free);
    if (sync && !sync_folder(file->path, error)) {
        g_prefix_error(error, "the file is in place, but: ");
        return false;
    }
    return true;
}

static void free_file(ChannelPlace *place, int fd, bool finished)
{
    FilePlace *file = (FilePlace *)place;

    if (!finished && file->hidden) {
        unlink(file->hidden);
    } else if (!finished && file->made) {
        unlink(file->path);
    } else if (!finished && file->cut && fd >= 0 && ftruncate(fd, (off_t)file->offset) < 0) {
        /* It is cut off where it is: a reader will say so. */
    }
    g_free(file->hidden);
    g_free(file->path);
    g_free(file);
}

static const ChannelPlaceOps file_ops = {.finish = finish_file, .free = free_file};

static bool seek(int fd, const MigrationUri *uri, GError **error)
{
    return uri->offset == 0 || lseek(fd, (off_t)uri->offset, SEEK_SET) >= 0 ||
           fail_errno(error, errno, "'%s': go to offset %" PRIu64, uri->text, uri->offset);
}

/* ---- writing -------------------------------------------------------------------------------- */

/* A name of its own that is nobody else's; links are followed by writing in place. */
static bool can_be_replaced(const MigrationUri *uri)
{
    struct stat st;

    if (uri->offset != 0 || g_str_has_prefix(uri->text, "/dev/fdset/")) {
        return false;
    }
    if (lstat(uri->text, &st) < 0) {
        return errno == ENOENT;
    }
    return S_ISREG(st.st_mode) && st.st_nlink == 1;
}

static int open_hidden(FilePlace *file, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(file->path);
    g_autofree char *name = g_path_get_basename(file->path);
    g_autofree char *pattern = g_strdup_printf("%s/.%s.stencil-XXXXXX", folder, name);
    int fd = mkostemp(pattern, O_CLOEXEC);

    if (fd < 0) {
        fail_errno(error, errno, "Could not create '%s'", file->path);
    } else {
        file->hidden = g_steal_pointer(&pattern);
    }
    return fd;
}

static int open_in_place(FilePlace *file, const ChannelHost *host, GError **error)
{
    const int flags = O_WRONLY | O_CREAT | O_NONBLOCK | O_NOCTTY;
    auto_fd int fd = fd_open(file->path, flags | O_EXCL, 0600, NULL);
    struct stat st;

    file->made = fd >= 0;
    if (fd < 0) {
        fd = fd_sets_open(host->fd_sets, file->path, flags, 0600, error);
    }
    if (fd < 0) {
        return -1;
    }
    if (fstat(fd, &st) < 0) {
        fail_errno(error, errno, "'%s'", file->path);
        return -1;
    }
    file->cut = S_ISREG(st.st_mode);
    if (file->cut && ftruncate(fd, (off_t)file->offset) < 0) {
        fail_errno(error, errno, "'%s': cut it off at offset %" PRIu64, file->path, file->offset);
        return -1;
    }
    return fd_steal(&fd);
}

static Channel *open_for_writing(const MigrationUri *uri, const ChannelHost *host, GError **error)
{
    FilePlace *file = g_new0(FilePlace, 1);
    int fd;

    file->place.ops = &file_ops;
    file->path = g_strdup(uri->text);
    file->offset = uri->offset;
    fd = can_be_replaced(uri) ? open_hidden(file, error) : open_in_place(file, host, error);
    if (fd < 0 || !seek(fd, uri, error)) {
        free_file(&file->place, fd, /* finished= */ false);
        fd_close(&fd);
        return NULL;
    }
    return channel_new_at(fd, &file->place, uri->text, CHANNEL_WRITE, error);
}

/* ---- reading -------------------------------------------------------------------------------- */

static Channel *open_for_reading(const MigrationUri *uri, const ChannelHost *host, GError **error)
{
    auto_fd int fd = fd_sets_open(host->fd_sets, uri->text, O_RDONLY | O_NONBLOCK | O_NOCTTY,
                                  /* mode= */ 0, error);
    struct stat st;

    if (fd < 0) {
        return NULL;
    }
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && uri->offset > (uint64_t)st.st_size) {
        return fail_null(error, VMM_ERROR_CONFIG,
                         "'%s': offset %" PRIu64 " is beyond its %" PRIu64 " bytes", uri->text,
                         uri->offset, (uint64_t)st.st_size);
    }
    if (!seek(fd, uri, error)) {
        return NULL;
    }
    return channel_new_take(fd_steal(&fd), uri->text, CHANNEL_READ, error);
}

Channel *channel_open_file(const MigrationUri *uri, ChannelDirection direction,
                           const ChannelHost *host, GError **error)
{
    return direction == CHANNEL_WRITE ? open_for_writing(uri, host, error)
                                      : open_for_reading(uri, host, error);
}

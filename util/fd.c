/* SPDX-License-Identifier: Apache-2.0 */
#include "util/fd.h"

#include "util/error.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

void fd_close(int *fd)
{
    int saved_errno = errno;

    if (*fd >= 0) {
        close(*fd);
    }
    *fd = -1;
    errno = saved_errno;
}

int fd_steal(int *fd)
{
    int owned = *fd;

    *fd = -1;
    return owned;
}

bool fd_read_all(int fd, const char *name, void *data, size_t len, GError **error)
{
    uint8_t *pos = data;

    while (len > 0) {
        ssize_t n = read(fd, pos, len);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return fail_errno(error, errno, "%s: read", name);
        }
        if (n == 0) {
            return fail(error, VMM_ERROR_WIRE, "%s: ends %zu bytes early", name, len);
        }
        pos += n;
        len -= (size_t)n;
    }
    return true;
}

bool fd_write_all(int fd, const char *name, const void *data, size_t len, GError **error)
{
    const uint8_t *pos = data;

    while (len > 0) {
        ssize_t n = write(fd, pos, len);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return fail_errno(error, errno, "%s: write", name);
        }
        pos += n;
        len -= (size_t)n;
    }
    return true;
}

bool fd_pread_all(int fd, const char *name, void *data, size_t len, uint64_t offset, GError **error)
{
    uint8_t *pos = data;

    while (len > 0) {
        ssize_t n = pread(fd, pos, len, (off_t)offset);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return fail_errno(error, errno, "%s: read %zu bytes at %" G_GUINT64_FORMAT, name, len,
                              offset);
        }
        if (n == 0) {
            return fail(error, VMM_ERROR_WIRE, "%s: ends at %" G_GUINT64_FORMAT ", %zu bytes early",
                        name, offset, len);
        }
        pos += n;
        offset += (uint64_t)n;
        len -= (size_t)n;
    }
    return true;
}

bool fd_pwrite_all(int fd, const char *name, const void *data, size_t len, uint64_t offset,
                   GError **error)
{
    const uint8_t *pos = data;

    while (len > 0) {
        ssize_t n = pwrite(fd, pos, len, (off_t)offset);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return fail_errno(error, errno, "%s: write %zu bytes at %" G_GUINT64_FORMAT, name, len,
                              offset);
        }
        pos += n;
        offset += (uint64_t)n;
        len -= (size_t)n;
    }
    return true;
}

int fd_open(const char *path, int flags, mode_t mode, GError **error)
{
    int fd;

    do {
        fd = open(path, flags | O_CLOEXEC, mode);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) {
        bool writes = (flags & O_ACCMODE) != O_RDONLY;

        fail_errno(error, errno, "cannot open '%s' for %s", path, writes ? "writing" : "reading");
    }
    return fd;
}

bool fd_set_nonblocking(int fd, bool on, GError **error)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK) < 0) {
        return fail_errno(error, errno, "set descriptor %d %sblocking", fd, on ? "non-" : "");
    }
    return true;
}

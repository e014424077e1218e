/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UTIL_FD_H
#define UTIL_FD_H

/*
 * File descriptors that own themselves: `auto_fd int fd = -1;` closes at the end of its scope.
 * Empty is -1 and valid is >= 0 everywhere; every descriptor is close-on-exec from birth.
 */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define auto_fd __attribute__((cleanup(fd_close)))

/* Closes *fd if it is valid and leaves -1; keeps errno. */
void fd_close(int *fd);

/* Hands the descriptor to the caller and leaves -1 behind. */
int fd_steal(int *fd);

/* Transfer all of len or fail; retry EINTR.  name is for the error message only. */
bool fd_read_all(int fd, const char *name, void *data, size_t len, GError **error);
bool fd_write_all(int fd, const char *name, const void *data, size_t len, GError **error);
bool fd_pread_all(int fd, const char *name, void *data, size_t len, uint64_t offset,
                  GError **error);
bool fd_pwrite_all(int fd, const char *name, const void *data, size_t len, uint64_t offset,
                   GError **error);

/* Opens with O_CLOEXEC added; the error names the path and what it was opened for. */
int fd_open(const char *path, int flags, mode_t mode, GError **error);

bool fd_set_nonblocking(int fd, bool on, GError **error);

#endif

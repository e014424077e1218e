/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UTIL_FD_SET_H
#define UTIL_FD_SET_H

/*
 * Descriptors that were handed to the process, in numbered sets, and the path that leads to them:
 * "/dev/fdset/2" wherever a user names a file means that member of set 2 which was opened as the
 * file would be.  A program without rights can be given files so.
 *
 *     set 2:  fd 9, read only      <- opened for reading only
 *             fd 11, read-write    <- opened for reading and writing
 *
 * What is opened so is a duplicate: it shares its position and its flags with the member, and
 * lives on when the member is removed.  One thread only.
 */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define FD_SETS_MAX_FDS 1024U /* in all sets together */

typedef struct FdSets FdSets;

typedef struct FdSetMember {
    int64_t set;
    int fd;
    char *opaque; /* what whoever added it calls it, or NULL */
} FdSetMember;

FdSets *fd_sets_new(void);

/* Accepts NULL.  Closes the members. */
void fd_sets_free(FdSets *sets);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FdSets, fd_sets_free)

/* Takes fd, also on failure.  set -1 is the lowest number that is free.  The new member. */
const FdSetMember *fd_sets_add(FdSets *sets, int64_t set, int fd, const char *opaque,
                               GError **error);

/* Adds a duplicate of a descriptor that the process was started with; fd itself stays open. */
bool fd_sets_add_inherited(FdSets *sets, int64_t set, int fd, const char *opaque, GError **error);

/* Closes one member, or with fd -1 all of the set.  False if there is none. */
bool fd_sets_remove(FdSets *sets, int64_t set, int fd);

/* The members, set by set, in the order they came. */
size_t fd_sets_count(const FdSets *sets);
const FdSetMember *fd_sets_get(const FdSets *sets, size_t index);

/* As fd_open in util/fd.h for a path that a user gave.  sets may be NULL. */
int fd_sets_open(const FdSets *sets, const char *path, int flags, mode_t mode, GError **error);

#endif

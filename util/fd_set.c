/* SPDX-License-Identifier: Apache-2.0 */
#include "util/fd_set.h"

#include "util/error.h"
#include "util/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define FD_SET_PATH "/dev/fdset/"

/* Of what open takes, that which a descriptor can still be told later. */
#define SETTABLE_FLAGS (O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME)

struct FdSets {
    GArray *members; /* of FdSetMember, by set */
};

static void clear_member(void *opaque)
{
    FdSetMember *member = opaque;

    fd_close(&member->fd);
    g_free(member->opaque);
}

FdSets *fd_sets_new(void)
{
    FdSets *sets = g_new(FdSets, 1);

    sets->members =
        g_array_new(/* zero_terminated= */ FALSE, /* clear_= */ FALSE, sizeof(FdSetMember));
    g_array_set_clear_func(sets->members, clear_member);
    return sets;
}

void fd_sets_free(FdSets *sets)
{
    if (!sets) {
        return;
    }
    g_array_unref(sets->members);
    g_free(sets);
}

size_t fd_sets_count(const FdSets *sets)
{
    return sets->members->len;
}

const FdSetMember *fd_sets_get(const FdSets *sets, size_t index)
{
    return &g_array_index(sets->members, FdSetMember, index);
}

/* ---- members ---- */

static int64_t lowest_free_set(const FdSets *sets)
{
    int64_t free_set = 0;

    for (size_t i = 0; i < fd_sets_count(sets) && fd_sets_get(sets, i)->set <= free_set; i++) {
        free_set = fd_sets_get(sets, i)->set + 1;
    }
    return free_set;
}

const FdSetMember *fd_sets_add(FdSets *sets, int64_t set, int fd, const char *opaque,
                               GError **error)
{
    auto_fd int owned = fd;
    FdSetMember member = {.set = set < 0 ? lowest_free_set(sets) : set};
    guint at = 0;

    if (sets->members->len >= FD_SETS_MAX_FDS) {
        return fail_null(error, VMM_ERROR_STATE, "the descriptor sets are full: %u descriptors",
                         FD_SETS_MAX_FDS);
    }
    member.fd = fd_steal(&owned);
    member.opaque = g_strdup(opaque);
    while (at < sets->members->len && fd_sets_get(sets, at)->set <= member.set) {
        at++;
    }
    g_array_insert_val(sets->members, at, member);
    return fd_sets_get(sets, at);
}

bool fd_sets_add_inherited(FdSets *sets, int64_t set, int fd, const char *opaque, GError **error)
{
    int flags = fcntl(fd, F_GETFD);
    int own;

    if (flags < 0) {
        return fail_errno(error, errno, "descriptor %d", fd);
    }
    /* Everything that the process has opened by itself is close-on-exec. */
    if (flags & FD_CLOEXEC) {
        return fail(error, VMM_ERROR_CONFIG,
                    "descriptor %d was not open when the program was started", fd);
    }
    own = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (own < 0) {
        return fail_errno(error, errno, "duplicate descriptor %d", fd);
    }
    return fd_sets_add(sets, set, own, opaque, error) != NULL;
}

bool fd_sets_remove(FdSets *sets, int64_t set, int fd)
{
    bool found = false;

    for (guint i = sets->members->len; i-- > 0;) {
        const FdSetMember *member = fd_sets_get(sets, i);

        if (member->set == set && (fd < 0 || member->fd == fd)) {
            g_array_remove_index(sets->members, i);
            found = true;
        }
    }
    return found;
}

/* ---- opening ---- */

/* What open would have done with the file. */
static bool apply_flags(int fd, int flags, GError **error)
{
    int now = fcntl(fd, F_GETFL);
    bool made_anew = (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL);

    if (now < 0 || fcntl(fd, F_SETFL, (now & ~SETTABLE_FLAGS) | (flags & SETTABLE_FLAGS)) < 0) {
        return fail_errno(error, errno, "set flags 0x%x", (unsigned)flags & SETTABLE_FLAGS);
    }
    if (((flags & O_TRUNC) || made_anew) && ftruncate(fd, 0) < 0) {
        return fail_errno(error, errno, "make it empty");
    }
    return true;
}

/* QEMU's words: management programs look for them. */
static const FdSetMember *find_member(const FdSets *sets, int64_t set, int flags, GError **error)
{
    bool exists = false;

    for (size_t i = 0; sets && i < fd_sets_count(sets); i++) {
        const FdSetMember *member = fd_sets_get(sets, i);

        if (member->set != set) {
            continue;
        }
        exists = true;
        if ((fcntl(member->fd, F_GETFL) & O_ACCMODE) == (flags & O_ACCMODE)) {
            return member;
        }
    }
    if (!exists) {
        return fail_null(error, VMM_ERROR_CONFIG, "there is no descriptor set %" PRId64, set);
    }
    return fail_null(error, VMM_ERROR_CONFIG,
                     "Failed to find file descriptor with matching flags=0x%x", (unsigned)flags);
}

static int open_member(const FdSets *sets, const char *number, int flags, GError **error)
{
    const FdSetMember *member;
    uint64_t set;
    auto_fd int fd = -1;

    if (!g_ascii_string_to_unsigned(number, 10, 0, INT64_MAX, &set, NULL)) {
        fail(error, VMM_ERROR_CONFIG, "expected the number of a descriptor set");
        return -1;
    }
    member = find_member(sets, (int64_t)set, flags, error);
    if (!member) {
        return -1;
    }
    fd = fcntl(member->fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (fd < 0) {
        fail_errno(error, errno, "duplicate descriptor %d", member->fd);
        return -1;
    }
    return apply_flags(fd, flags, error) ? fd_steal(&fd) : -1;
}

int fd_sets_open(const FdSets *sets, const char *path, int flags, mode_t mode, GError **error)
{
    int fd;

    if (!g_str_has_prefix(path, FD_SET_PATH)) {
        return fd_open(path, flags, mode, error);
    }
    fd = open_member(sets, path + sizeof(FD_SET_PATH) - 1, flags, error);
    if (fd < 0) {
        g_prefix_error(error, "cannot open '%s': ", path);
    }
    return fd;
}

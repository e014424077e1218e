/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/backend/block_lock.h"

#include "util/error.h"

#include <errno.h>
#include <fcntl.h>

#define LOCK_DOES_BASE    100
#define LOCK_REFUSES_BASE 200

#define ACT_READ          0
#define ACT_WRITE         1

/* The two things that can be done to an image, in the words of QEMU's messages. */
static const char *const lock_names[] = {
    [ACT_READ] = "consistent read",
    [ACT_WRITE] = "write",
};

/* What a user of the image does, and what it bears nobody else doing. */
typedef struct LockWish {
    bool does[G_N_ELEMENTS(lock_names)];
    bool refuses[G_N_ELEMENTS(lock_names)];
} LockWish;

static const LockWish wish_reader = {.does = {[ACT_READ] = true}, .refuses = {[ACT_WRITE] = true}};
static const LockWish wish_writer = {.does = {[ACT_READ] = true, [ACT_WRITE] = true},
                                     .refuses = {[ACT_WRITE] = true}};

static struct flock one_byte(short type, int at)
{
    return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = at, .l_len = 1};
}

static int hold(int fd, int at)
{
    struct flock lock = one_byte(F_RDLCK, at);

    return fcntl(fd, F_OFD_SETLK, &lock) < 0 ? errno : 0;
}

static bool held_by_others(int fd, int at)
{
    struct flock lock = one_byte(F_WRLCK, at);

    return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

/* Two that come at once each take first and look then, so that at least one of them sees the other. */
static int take_all(int fd, const LockWish *wish)
{
    int err = 0;

    for (int i = 0; i < (int)G_N_ELEMENTS(lock_names) && err == 0; i++) {
        if (wish->does[i]) {
            err = hold(fd, LOCK_DOES_BASE + i);
        }
        if (wish->refuses[i] && err == 0) {
            err = hold(fd, LOCK_REFUSES_BASE + i);
        }
    }
    return err;
}

bool block_lock_image(int fd, const char *path, bool writable, BlockLocking locking, GError **error)
{
    const LockWish *wish = writable ? &wish_writer : &wish_reader;

    if (locking == BLOCK_LOCKING_OFF) {
        return true;
    }

    int err = take_all(fd, wish);

    if (err != 0 && err != EAGAIN && err != EACCES) {
        return locking == BLOCK_LOCKING_AUTO ||
               fail_errno(error, err, "cannot lock image '%s' (locking=on)", path);
    }
    for (int i = 0; i < (int)G_N_ELEMENTS(lock_names); i++) {
        if (wish->does[i] && held_by_others(fd, LOCK_REFUSES_BASE + i)) {
            return fail(error, VMM_ERROR_HOST,
                        "Failed to get \"%s\" lock: is another process using the image '%s'?",
                        lock_names[i], path);
        }
        if (wish->refuses[i] && held_by_others(fd, LOCK_DOES_BASE + i)) {
            return fail(error, VMM_ERROR_HOST,
                        "Failed to get shared \"%s\" lock: is another process using the image "
                        "'%s'?",
                        lock_names[i], path);
        }
    }
    if (err != 0) {
        return fail_errno(error, err, "Failed to lock the image '%s'", path);
    }
    return true;
}

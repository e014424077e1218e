/* SPDX-License-Identifier: Apache-2.0 */
/* Locks between open files, which is all that another process is to them. */
#include "devices/backend/block_lock.h"

#include "tests/unit/suite.h"
#include "util/error.h"
#include "util/fd.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/wait.h>
#include <unistd.h>

static char *image_new(void)
{
    char *path = NULL;
    auto_fd int fd = g_file_open_tmp("stencil-lock-XXXXXX", &path, NULL);

    ck_assert_int_ge(fd, 0);
    return path;
}

static int open_image(const char *path)
{
    return open(path, O_RDWR | O_CLOEXEC);
}

START_TEST(readers_get_along)
{
    g_autofree char *path = image_new();
    auto_fd int one = open_image(path);
    auto_fd int two = open_image(path);

    ck_assert(block_lock_image(one, path, false, BLOCK_LOCKING_ON, NULL));
    ck_assert(block_lock_image(two, path, false, BLOCK_LOCKING_ON, NULL));
    g_unlink(path);
}
END_TEST

START_TEST(a_second_writer_is_refused_until_the_first_is_gone)
{
    g_autofree char *path = image_new();
    g_autofree char *expected = g_strdup_printf(
        "Failed to get \"write\" lock: is another process using the image '%s'?", path);
    g_autoptr(GError) error = NULL;
    auto_fd int one = open_image(path);
    auto_fd int two = open_image(path);

    ck_assert(block_lock_image(one, path, true, BLOCK_LOCKING_ON, NULL));
    ck_assert(!block_lock_image(two, path, true, BLOCK_LOCKING_AUTO, &error));
    ck_assert_str_eq(error->message, expected);
    fd_close(&one);
    fd_close(&two);
    two = open_image(path);
    ck_assert(block_lock_image(two, path, true, BLOCK_LOCKING_AUTO, NULL));
    g_unlink(path);
}
END_TEST

START_TEST(a_reader_keeps_writers_out_and_a_writer_readers)
{
    g_autofree char *path = image_new();
    g_autofree char *expected = g_strdup_printf(
        "Failed to get shared \"write\" lock: is another process using the image '%s'?", path);
    g_autoptr(GError) error = NULL;
    auto_fd int reader = open_image(path);
    auto_fd int writer = open_image(path);

    ck_assert(block_lock_image(reader, path, false, BLOCK_LOCKING_ON, NULL));
    ck_assert(!block_lock_image(writer, path, true, BLOCK_LOCKING_ON, NULL));
    fd_close(&reader);
    fd_close(&writer);
    reader = open_image(path);
    writer = open_image(path);
    ck_assert(block_lock_image(writer, path, true, BLOCK_LOCKING_ON, NULL));
    ck_assert(!block_lock_image(reader, path, false, BLOCK_LOCKING_ON, &error));
    ck_assert_str_eq(error->message, expected);
    g_unlink(path);
}
END_TEST

START_TEST(locking_off_neither_takes_nor_looks)
{
    g_autofree char *path = image_new();
    auto_fd int one = open_image(path);
    auto_fd int two = open_image(path);
    auto_fd int three = open_image(path);

    ck_assert(block_lock_image(one, path, true, BLOCK_LOCKING_ON, NULL));
    ck_assert(block_lock_image(two, path, true, BLOCK_LOCKING_OFF, NULL));
    fd_close(&one);
    ck_assert(block_lock_image(three, path, true, BLOCK_LOCKING_ON, NULL));
    g_unlink(path);
}
END_TEST

/* The bytes that QEMU takes for the same use, so that each respects the other. */
START_TEST(the_locked_bytes_are_those_of_qemu)
{
    static const int writer_bytes[] = {100, 101, 201};
    g_autofree char *path = image_new();
    auto_fd int one = open_image(path);
    auto_fd int two = open_image(path);
    unsigned locked = 0;

    ck_assert(block_lock_image(one, path, true, BLOCK_LOCKING_ON, NULL));
    for (int at = 0; at < 300; at++) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = at, .l_len = 1};

        ck_assert_int_eq(fcntl(two, F_OFD_GETLK, &lock), 0);
        if (lock.l_type != F_UNLCK) {
            ck_assert_uint_lt(locked, G_N_ELEMENTS(writer_bytes));
            ck_assert_int_eq(at, writer_bytes[locked]);
            ck_assert_int_eq(lock.l_type, F_RDLCK);
            locked++;
        }
    }
    ck_assert_uint_eq(locked, G_N_ELEMENTS(writer_bytes));
    g_unlink(path);
}
END_TEST

START_TEST(the_locks_of_a_killed_process_are_gone)
{
    g_autofree char *path = image_new();
    int ready[2];

    ck_assert_int_eq(pipe2(ready, O_CLOEXEC), 0);

    pid_t pid = fork();

    if (pid == 0) {
        int fd = open_image(path);
        bool locked = block_lock_image(fd, path, true, BLOCK_LOCKING_ON, NULL);

        (void)!write(ready[1], locked ? "y" : "n", 1);
        for (;;) {
            pause();
        }
    }

    char answer = 0;

    ck_assert_int_eq(read(ready[0], &answer, 1), 1);
    ck_assert_int_eq(answer, 'y');

    auto_fd int mine = open_image(path);

    ck_assert(!block_lock_image(mine, path, true, BLOCK_LOCKING_ON, NULL));
    kill(pid, SIGKILL);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    fd_close(&mine);
    mine = open_image(path);
    ck_assert(block_lock_image(mine, path, true, BLOCK_LOCKING_ON, NULL));
    g_unlink(path);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("block_lock");

    tcase_add_test(tc, readers_get_along);
    tcase_add_test(tc, a_second_writer_is_refused_until_the_first_is_gone);
    tcase_add_test(tc, a_reader_keeps_writers_out_and_a_writer_readers);
    tcase_add_test(tc, locking_off_neither_takes_nor_looks);
    tcase_add_test(tc, the_locked_bytes_are_those_of_qemu);
    tcase_add_test(tc, the_locks_of_a_killed_process_are_gone);
    return suite_run("block_lock", tc);
}

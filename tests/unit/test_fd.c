/* SPDX-License-Identifier: Apache-2.0 */
#include "util/fd.h"

#include "tests/unit/suite.h"
#include "util/error.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

START_TEST(owned_descriptor_closes_at_end_of_scope)
{
    int number;

    {
        auto_fd int fd = memfd_create("t", MFD_CLOEXEC);

        ck_assert_int_ge(fd, 0);
        number = fd;
    }
    ck_assert_int_eq(fcntl(number, F_GETFD), -1);
}
END_TEST

START_TEST(stolen_descriptor_stays_open)
{
    int number;

    {
        auto_fd int fd = memfd_create("t", MFD_CLOEXEC);

        number = fd_steal(&fd);
        ck_assert_int_eq(fd, -1);
    }
    ck_assert_int_ge(fcntl(number, F_GETFD), 0);
    close(number);
}
END_TEST

START_TEST(read_past_the_end_names_the_file_and_the_gap)
{
    auto_fd int fd = memfd_create("t", MFD_CLOEXEC);
    g_autoptr(GError) error = NULL;
    char data[8];

    ck_assert(fd_pwrite_all(fd, "blob", "abc", 3, 0, &error));
    ck_assert(!fd_pread_all(fd, "blob", data, sizeof(data), 0, &error));
    ck_assert_int_eq(error->code, VMM_ERROR_WIRE);
    ck_assert_str_eq(error->message, "blob: ends at 3, 5 bytes early");
}
END_TEST

START_TEST(open_of_a_missing_file_says_which_and_why)
{
    g_autoptr(GError) error = NULL;

    ck_assert_int_eq(fd_open("/no/such/file", O_RDONLY, 0, &error), -1);
    ck_assert_str_eq(error->message,
                     "cannot open '/no/such/file' for reading: No such file or directory");
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("fd");

    tcase_add_test(tc, owned_descriptor_closes_at_end_of_scope);
    tcase_add_test(tc, stolen_descriptor_stays_open);
    tcase_add_test(tc, read_past_the_end_names_the_file_and_the_gap);
    tcase_add_test(tc, open_of_a_missing_file_says_which_and_why);
    return suite_run("fd", tc);
}

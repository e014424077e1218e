/* SPDX-License-Identifier: Apache-2.0 */
#include "util/fd_set.h"

#include "tests/unit/suite.h"
#include "util/error.h"
#include "util/fd.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static FdSets *sets;

static void set_up(void)
{
    sets = fd_sets_new();
}

static void tear_down(void)
{
    fd_sets_free(sets);
}

static int open_null(int flags)
{
    int fd = open("/dev/null", flags | O_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    return fd;
}

static int make_file(const char *content)
{
    int fd = memfd_create("t", MFD_CLOEXEC);

    ck_assert(fd_write_all(fd, "t", content, strlen(content), NULL));
    ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

static void add(int64_t set, int fd)
{
    ck_assert_ptr_nonnull(fd_sets_add(sets, set, fd, NULL, NULL));
}

static void refuse(const char *path, int flags, const char *why)
{
    g_autoptr(GError) error = NULL;

    ck_assert_int_eq(fd_sets_open(sets, path, flags, 0, &error), -1);
    ck_assert_str_eq(error->message, why);
}

START_TEST(a_path_that_is_no_set_is_opened)
{
    auto_fd int fd = fd_sets_open(sets, "/dev/null", O_RDONLY, 0, NULL);
    auto_fd int without = fd_sets_open(NULL, "/dev/null", O_RDONLY, 0, NULL);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_ge(without, 0);
}
END_TEST

START_TEST(the_member_with_the_right_access_is_taken)
{
    int reads = open_null(O_RDONLY);
    int both = open_null(O_RDWR);

    add(1, reads);
    add(1, both);
    for (int access = O_RDONLY; access <= O_RDWR; access += O_RDWR) {
        auto_fd int fd = fd_sets_open(sets, "/dev/fdset/1", access, 0, NULL);

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(fcntl(fd, F_GETFL) & O_ACCMODE, access);
        ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
    }
    refuse("/dev/fdset/1", O_WRONLY | O_CREAT,
           "cannot open '/dev/fdset/1': Failed to find file descriptor with matching flags=0x41");
}
END_TEST

START_TEST(paths_that_lead_nowhere_are_refused)
{
    add(1, open_null(O_RDONLY));
    refuse("/dev/fdset/2", O_RDONLY, "cannot open '/dev/fdset/2': there is no descriptor set 2");
    refuse("/dev/fdset/1x", O_RDONLY,
           "cannot open '/dev/fdset/1x': expected the number of a descriptor set");
    refuse("/dev/fdset/", O_RDONLY,
           "cannot open '/dev/fdset/': expected the number of a descriptor set");
    refuse("/dev/fdset/-1", O_RDONLY,
           "cannot open '/dev/fdset/-1': expected the number of a descriptor set");
    refuse("/dev/fdset/99999999999999999999", O_RDONLY,
           "cannot open '/dev/fdset/99999999999999999999': expected the number of a descriptor "
           "set");
}
END_TEST

START_TEST(what_was_opened_shares_its_position_and_survives_its_member)
{
    auto_fd int fd = -1;
    char c = 0;

    add(0, make_file("abc"));
    fd = fd_sets_open(sets, "/dev/fdset/0", O_RDWR, 0, NULL);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(read(fd_sets_get(sets, 0)->fd, &c, 1), 1);
    ck_assert(fd_sets_remove(sets, 0, -1));
    ck_assert_int_eq(read(fd, &c, 1), 1);
    ck_assert_int_eq(c, 'b');
}
END_TEST

START_TEST(flags_do_what_they_do_to_a_file_that_is_opened)
{
    auto_fd int appends = -1;
    auto_fd int empties = -1;

    add(0, make_file("abc"));
    appends = fd_sets_open(sets, "/dev/fdset/0", O_RDWR | O_CREAT | O_APPEND | O_NONBLOCK, 0, NULL);
    ck_assert_int_eq(fcntl(appends, F_GETFL) & (O_APPEND | O_NONBLOCK), O_APPEND | O_NONBLOCK);
    ck_assert_int_eq(lseek(appends, 0, SEEK_END), 3);
    empties = fd_sets_open(sets, "/dev/fdset/0", O_RDWR | O_TRUNC, 0, NULL);
    ck_assert_int_eq(fcntl(empties, F_GETFL) & (O_APPEND | O_NONBLOCK), 0);
    ck_assert_int_eq(lseek(empties, 0, SEEK_END), 0);
}
END_TEST

START_TEST(a_new_set_gets_the_lowest_free_number)
{
    const FdSetMember *member;

    add(0, open_null(O_RDONLY));
    add(2, open_null(O_RDONLY));
    add(0, open_null(O_RDONLY));
    member = fd_sets_add(sets, -1, open_null(O_RDONLY), "here", NULL);
    ck_assert_int_eq(member->set, 1);
    ck_assert_str_eq(member->opaque, "here");
    ck_assert_uint_eq(fd_sets_count(sets), 4);
    for (size_t i = 1; i < 4; i++) {
        ck_assert_int_ge(fd_sets_get(sets, i)->set, fd_sets_get(sets, i - 1)->set);
    }
}
END_TEST

START_TEST(members_are_removed_one_by_one_or_all)
{
    int first = open_null(O_RDONLY);
    int second = open_null(O_RDONLY);

    add(3, first);
    add(3, second);
    ck_assert(!fd_sets_remove(sets, 3, 9999));
    ck_assert(!fd_sets_remove(sets, 4, first));
    ck_assert(fd_sets_remove(sets, 3, first));
    ck_assert_int_eq(fcntl(first, F_GETFD), -1);
    ck_assert(fd_sets_remove(sets, 3, -1));
    ck_assert_int_eq(fcntl(second, F_GETFD), -1);
    ck_assert(!fd_sets_remove(sets, 3, -1));
}
END_TEST

START_TEST(inherited_descriptors_are_told_from_our_own)
{
    g_autoptr(GError) error = NULL;
    auto_fd int own = open_null(O_RDONLY);
    auto_fd int inherited = fcntl(own, F_DUPFD, 10);

    ck_assert(!fd_sets_add_inherited(sets, 1, own, NULL, &error));
    ck_assert_ptr_nonnull(strstr(error->message, "was not open when the program was started"));
    g_clear_error(&error);
    ck_assert(!fd_sets_add_inherited(sets, 1, 987, NULL, &error));
    ck_assert_ptr_nonnull(strstr(error->message, "descriptor 987"));
    ck_assert(fd_sets_add_inherited(sets, 1, inherited, NULL, NULL));
    ck_assert_int_ne(fcntl(fd_sets_get(sets, 0)->fd, F_GETFD) & FD_CLOEXEC, 0);
}
END_TEST

START_TEST(there_is_an_end_to_how_many_there_can_be)
{
    g_autoptr(GError) error = NULL;
    int fd;

    for (unsigned i = 0; i < FD_SETS_MAX_FDS; i++) {
        add(i, -1);
    }
    fd = open_null(O_RDONLY);
    ck_assert_ptr_null(fd_sets_add(sets, 1, fd, NULL, &error));
    ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("fd_set");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_path_that_is_no_set_is_opened);
    tcase_add_test(tc, the_member_with_the_right_access_is_taken);
    tcase_add_test(tc, paths_that_lead_nowhere_are_refused);
    tcase_add_test(tc, what_was_opened_shares_its_position_and_survives_its_member);
    tcase_add_test(tc, flags_do_what_they_do_to_a_file_that_is_opened);
    tcase_add_test(tc, a_new_set_gets_the_lowest_free_number);
    tcase_add_test(tc, members_are_removed_one_by_one_or_all);
    tcase_add_test(tc, inherited_descriptors_are_told_from_our_own);
    tcase_add_test(tc, there_is_an_end_to_how_many_there_can_be);
    return suite_run("fd_set", tc);
}

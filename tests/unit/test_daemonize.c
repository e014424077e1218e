/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/daemonize.h"

#include "tests/unit/suite.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define RIVALS 3
#define TURNS  300

/* The process that a user starts, and the two pipes by which the test steers its daemon. */
typedef struct Launch {
    pid_t parent;
    int orders; /* one byte: 'r' become ready, anything else: the status to end with */
    int news;   /* one byte: 'b' begun, then 'q' quiet and at the root, or 'x' */
} Launch;

static bool let_go_of_the_terminal(void)
{
    struct stat null, out;
    char folder[8] = "";

    return stat("/dev/null", &null) == 0 && fstat(STDOUT_FILENO, &out) == 0 &&
           null.st_rdev == out.st_rdev && getcwd(folder, sizeof(folder)) != NULL &&
           g_str_equal(folder, "/") && getsid(0) == getpid();
}

static void live_as_daemon(int orders, int news)
{
    Daemon daemon;
    char order = 0;
    bool ok = daemon_begin(&daemon, true, NULL, NULL) && write(news, "b", 1) == 1 &&
              read(orders, &order, 1) == 1;

    if (!ok || order != 'r') {
        _exit(ok ? order : EXIT_FAILURE);
    }
    ok = daemon_ready(&daemon, NULL) && let_go_of_the_terminal();
    daemon_end(&daemon);
    _exit(write(news, ok ? "q" : "x", 1) == 1 ? EXIT_SUCCESS : EXIT_FAILURE);
}

static Launch launch(void)
{
    int orders[2], news[2];
    Launch l;

    ck_assert_int_eq(pipe2(orders, O_CLOEXEC), 0);
    ck_assert_int_eq(pipe2(news, O_CLOEXEC), 0);
    l = (Launch){.parent = fork(), .orders = orders[1], .news = news[0]};
    ck_assert_int_ge(l.parent, 0);
    if (l.parent == 0) {
        close(orders[1]);
        close(news[0]);
        live_as_daemon(orders[0], news[1]);
    }
    close(orders[0]);
    close(news[1]);
    return l;
}

static char hear(const Launch *l)
{
    char news = 0;

    ck_assert_int_eq(read(l->news, &news, 1), 1);
    return news;
}

static void land(Launch *l, int expected_status)
{
    int status = 0;

    ck_assert_int_eq(waitpid(l->parent, &status, 0), l->parent);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), expected_status);
    close(l->orders);
    close(l->news);
}

START_TEST(the_parent_ends_well_only_once_the_daemon_is_ready)
{
    Launch l = launch();
    int status;

    ck_assert_int_eq(hear(&l), 'b');
    ck_assert_int_eq(waitpid(l.parent, &status, WNOHANG), 0);
    ck_assert_int_eq(write(l.orders, "r", 1), 1);
    ck_assert_int_eq(hear(&l), 'q');
    land(&l, 0);
}
END_TEST

START_TEST(a_daemon_that_fails_passes_its_status_on)
{
    Launch l = launch();

    ck_assert_int_eq(hear(&l), 'b');
    ck_assert_int_eq(write(l.orders, "\7", 1), 1);
    land(&l, 7);
}
END_TEST

START_TEST(a_daemon_that_ends_without_being_ready_is_a_failure)
{
    Launch l = launch();

    ck_assert_int_eq(hear(&l), 'b');
    ck_assert_int_eq(write(l.orders, "\0", 1), 1);
    land(&l, EXIT_FAILURE);
}
END_TEST

START_TEST(the_pid_file_names_the_process_and_goes_with_it)
{
    g_autofree char *folder = g_dir_make_tmp("stencil-pid-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "vm.pid", NULL);
    g_autofree char *expected = g_strdup_printf("%d\n", getpid());
    g_autofree char *text = NULL;
    g_autoptr(GError) error = NULL;
    Daemon daemon;

    ck_assert(g_file_set_contents(path, "an older and longer text", -1, NULL));
    ck_assert(daemon_begin(&daemon, false, path, &error));
    ck_assert(daemon_ready(&daemon, &error));
    ck_assert(g_file_get_contents(path, &text, NULL, NULL));
    ck_assert_str_eq(text, expected);
    daemon_end(&daemon);
    ck_assert_int_ne(access(path, F_OK), 0);
    daemon_end(&daemon);
    rmdir(folder);
}
END_TEST

START_TEST(the_pid_file_of_a_living_process_is_left_alone)
{
    g_autofree char *folder = g_dir_make_tmp("stencil-pid-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "vm.pid", NULL);
    g_autofree char *expected = g_strdup_printf("%d\n", getpid());
    g_autofree char *text = NULL;
    g_autoptr(GError) error = NULL;
    Daemon first, second;

    ck_assert(daemon_begin(&first, false, path, NULL));
    ck_assert(!daemon_begin(&second, false, path, &error));
    ck_assert_ptr_nonnull(strstr(error->message, path));
    daemon_end(&second);
    ck_assert(g_file_get_contents(path, &text, NULL, NULL));
    ck_assert_str_eq(text, expected);
    daemon_end(&first);
    rmdir(folder);
}
END_TEST

START_TEST(the_pid_file_of_another_is_not_removed)
{
    g_autofree char *folder = g_dir_make_tmp("stencil-pid-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "vm.pid", NULL);
    Daemon first, second;

    ck_assert(daemon_begin(&first, false, path, NULL));
    ck_assert_int_eq(unlink(path), 0); /* somebody tidies up */
    ck_assert(daemon_begin(&second, false, path, NULL));
    daemon_end(&first);
    ck_assert_int_eq(access(path, F_OK), 0);
    daemon_end(&second);
    ck_assert_int_ne(access(path, F_OK), 0);
    rmdir(folder);
}
END_TEST

/* True if whenever this process had the pid file, it was there and named it. */
static bool come_and_go(const char *path)
{
    g_autofree char *expected = g_strdup_printf("%d\n", getpid());
    bool ok = true;

    for (unsigned had = 0; ok && had < TURNS;) {
        g_autofree char *text = NULL;
        Daemon daemon;

        if (daemon_begin(&daemon, false, path, NULL)) {
            ok = g_file_get_contents(path, &text, NULL, NULL) && g_str_equal(text, expected);
            had++;
        }
        daemon_end(&daemon);
    }
    return ok;
}

START_TEST(processes_that_come_and_go_each_have_the_pid_file_in_turn)
{
    g_autofree char *folder = g_dir_make_tmp("stencil-pid-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "vm.pid", NULL);
    pid_t children[RIVALS];

    for (unsigned i = 0; i < RIVALS; i++) {
        children[i] = fork();
        ck_assert_int_ge(children[i], 0);
        if (children[i] == 0) {
            _exit(come_and_go(path) ? EXIT_SUCCESS : EXIT_FAILURE);
        }
    }
    for (unsigned i = 0; i < RIVALS; i++) {
        int status = 0;

        ck_assert_int_eq(waitpid(children[i], &status, 0), children[i]);
        ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "rival %u", i);
    }
    ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

START_TEST(a_pid_file_in_no_folder_is_refused_by_name)
{
    g_autoptr(GError) error = NULL;
    Daemon daemon;

    ck_assert(!daemon_begin(&daemon, false, "/nonexistent/vm.pid", &error));
    ck_assert_ptr_nonnull(strstr(error->message, "/nonexistent/vm.pid"));
    daemon_end(&daemon);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("daemonize");

    tcase_add_test(tc, the_parent_ends_well_only_once_the_daemon_is_ready);
    tcase_add_test(tc, a_daemon_that_fails_passes_its_status_on);
    tcase_add_test(tc, a_daemon_that_ends_without_being_ready_is_a_failure);
    tcase_add_test(tc, the_pid_file_names_the_process_and_goes_with_it);
    tcase_add_test(tc, the_pid_file_of_a_living_process_is_left_alone);
    tcase_add_test(tc, the_pid_file_of_another_is_not_removed);
    tcase_add_test(tc, processes_that_come_and_go_each_have_the_pid_file_in_turn);
    tcase_add_test(tc, a_pid_file_in_no_folder_is_refused_by_name);
    return suite_run("daemonize", tc);
}

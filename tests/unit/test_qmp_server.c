/* SPDX-License-Identifier: Apache-2.0 */
/* Real sockets: who is accepted, who is cut off, what a client may do to its end. */
#include "qmp/server.h"

#include "tests/support/qmp_bench.h"
#include "tests/unit/suite.h"
#include "util/fd.h"
#include "util/socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static QmpBench bench;
static char *path;

static void add_monitor(VmConfig *config)
{
    PropBag *chardev = prop_bag_new("backend");
    PropBag *monitor = prop_bag_new(NULL);

    prop_bag_add(chardev, "backend", "socket");
    prop_bag_add(chardev, "id", "mon0");
    prop_bag_add(chardev, "path", path);
    prop_bag_add(chardev, "server", "on");
    prop_bag_add(chardev, "wait", "off");
    g_ptr_array_add(config->chardevs, chardev);
    prop_bag_add(monitor, "chardev", "mon0");
    prop_bag_add(monitor, "mode", "control");
    g_ptr_array_add(config->monitors, monitor);
}

static void set_up(void)
{
    path = g_strdup_printf("%s/qmp-test-%d.sock", g_get_tmp_dir(), getpid());
    qmp_bench_begin(&bench, add_monitor);
}

static void tear_down(void)
{
    qmp_bench_end(&bench);
    ck_assert_int_ne(access(path, F_OK), 0);
    g_free(path);
}

static int connect_client(void)
{
    g_auto(SocketAddress) address = {.kind = SOCKET_UNIX, .name = g_strdup(path), .fd = -1};
    int fd = socket_connect(&address, NULL);

    ck_assert_int_ge(fd, 0);
    return fd;
}

/* All that has come, after the server has had its turn; the caller frees it. */
static char *receive(int fd)
{
    GString *out = g_string_new(NULL);
    char data[4096];
    ssize_t n;

    qmp_bench_settle(&bench);
    while ((n = recv(fd, data, sizeof(data), MSG_DONTWAIT)) > 0) {
        g_string_append_len(out, data, n);
        qmp_bench_settle(&bench);
    }
    return g_string_free(out, FALSE);
}

static void send_text(int fd, const char *text)
{
    ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void expect(int fd, const char *end)
{
    g_autofree char *got = receive(fd);

    ck_assert_msg(g_str_has_suffix(got, end), "got: %s", got);
}

START_TEST(several_clients_are_served_at_once)
{
    auto_fd int a = connect_client();
    auto_fd int b = connect_client();

    expect(a, "[\"oob\"]}}\r\n");
    expect(b, "[\"oob\"]}}\r\n");
    send_text(b, "{\"execute\":\"qmp_capabilities\"}");
    send_text(a, "{\"execute\":\"query-name\"}");
    expect(b, "{\"return\": {}}\r\n");
    expect(a, "\"Expecting capabilities negotiation with 'qmp_capabilities'\"}}\r\n");
}
END_TEST

START_TEST(the_socket_is_its_owners_alone)
{
    struct stat st;

    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
}
END_TEST

START_TEST(a_half_closed_client_gets_its_answers_and_then_the_end)
{
    auto_fd int fd = connect_client();
    char byte;

    send_text(fd, "{\"execute\":\"qmp_capabilities\"}{\"execute\":\"query-name\",\"id\":1}");
    shutdown(fd, SHUT_WR);
    expect(fd, "{\"return\": {}, \"id\": 1}\r\n");
    ck_assert_int_eq(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
}
END_TEST

START_TEST(a_client_that_hangs_up_at_once_has_still_sent_its_commands)
{
    int fd = connect_client();

    send_text(fd, "{\"execute\":\"qmp_capabilities\"}{\"execute\":\"cont\"}");
    close(fd);
    qmp_bench_settle(&bench);
    qmp_bench_settle(&bench);
    ck_assert_int_eq(bench.vm->state, RUN_STATE_RUNNING);
}
END_TEST

START_TEST(clients_beyond_the_limit_wait_for_one_to_leave)
{
    int fds[QMP_MAX_CLIENTS];
    auto_fd int late = -1;

    for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
        fds[i] = connect_client();
        qmp_bench_settle(&bench);
    }
    late = connect_client();
    expect(late, "");
    for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
        fd_close(&fds[i]);
    }
    qmp_bench_settle(&bench);
    expect(late, "[\"oob\"]}}\r\n");
}
END_TEST

START_TEST(descriptors_come_with_the_bytes)
{
    auto_fd int fd = connect_client();
    auto_fd int passed = dup(0);
    static const char text[] = "{\"execute\":\"qmp_capabilities\"}";

    ck_assert_int_eq(socket_send_fds(fd, text, strlen(text), &passed, 1), (ssize_t)strlen(text));
    expect(fd, "{\"return\": {}}\r\n");
}
END_TEST

START_TEST(monitors_are_among_the_chardevs)
{
    auto_fd int fd = connect_client();
    g_autofree char *expected = g_strdup_printf(
        "{\"return\": [{\"frontend-open\": true, \"filename\": \"unix:%s,server=on\", "
        "\"label\": \"mon0\"}]}\r\n",
        path);

    send_text(fd, "{\"execute\":\"qmp_capabilities\"}{\"execute\":\"query-chardev\"}");
    expect(fd, expected);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("qmp_server");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, several_clients_are_served_at_once);
    tcase_add_test(tc, the_socket_is_its_owners_alone);
    tcase_add_test(tc, a_half_closed_client_gets_its_answers_and_then_the_end);
    tcase_add_test(tc, a_client_that_hangs_up_at_once_has_still_sent_its_commands);
    tcase_add_test(tc, clients_beyond_the_limit_wait_for_one_to_leave);
    tcase_add_test(tc, descriptors_come_with_the_bytes);
    tcase_add_test(tc, monitors_are_among_the_chardevs);
    return suite_run("qmp_server", tc);
}

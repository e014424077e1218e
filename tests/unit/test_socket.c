/* SPDX-License-Identifier: Apache-2.0 */
#include "util/socket.h"

#include "tests/unit/suite.h"
#include "util/error.h"
#include "util/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static char *folder;
static char *path;
static SocketAddress address;

static void setup(void)
{
    folder = g_dir_make_tmp("socket-XXXXXX", NULL);
    path = g_build_filename(folder, "s", NULL);
    address = (SocketAddress){.kind = SOCKET_UNIX, .name = g_strdup(path), .fd = -1};
}

static void teardown(void)
{
    unlink(path);
    rmdir(folder);
    g_free(path);
    g_free(folder);
    socket_address_clear(&address);
}

static void check_talk(int listener, const SocketAddress *to)
{
    auto_fd int client = socket_connect(to, NULL);
    auto_fd int server = socket_accept(listener, NULL);
    char data[3] = "";

    ck_assert_int_ge(client, 0);
    ck_assert_int_ge(server, 0);
    ck_assert_int_eq(send(client, "hi", 2, 0), 2);
    ck_assert_int_eq(recv(server, data, 2, MSG_WAITALL), 2);
    ck_assert_str_eq(data, "hi");
}

START_TEST(addresses_parse_and_format)
{
    static const char *const good[] = {"unix:/a/b",        "unix:a:b,c",      "abstract:x",
                                       "tcp:127.0.0.1:80", "tcp::5555",       "tcp:localhost:0",
                                       "tcp:[::1]:65535",  "tcp:[fe80::1]:1", "fd:17"};

    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        g_auto(SocketAddress) parsed = {0};
        g_autofree char *text = NULL;

        ck_assert_msg(socket_address_parse(good[i], &parsed, NULL), "%s", good[i]);
        text = socket_address_format(&parsed);
        ck_assert_str_eq(text, good[i]);
    }
}
END_TEST

START_TEST(wrong_addresses_are_named)
{
    static const char *const bad[] = {
        "",           "/a/b",      "unix:", "tcp:",  "tcp:1.2.3.4",     "tcp:x:-1",
        "tcp::65536", "tcp:h:80x", "fd:",   "fd:-1", "fd:999999999999", "vsock:1:2"};
    g_autofree char *longer = g_strdup_printf("unix:%0200d", 0);
    SocketAddress parsed = {.name = NULL};

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;

        ck_assert_msg(!socket_address_parse(bad[i], &parsed, &error), "%s", bad[i]);
        ck_assert_int_eq(error->code, VMM_ERROR_CONFIG);
    }
    ck_assert(!socket_address_parse(longer, &parsed, NULL));
    ck_assert_ptr_null(parsed.name);
}
END_TEST

START_TEST(a_unix_socket_is_for_its_owner_only)
{
    struct stat st;
    mode_t old = umask(0);
    auto_fd int listener = socket_listen(&address, NULL);

    umask(old);
    ck_assert_int_ge(listener, 0);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    ck_assert_int_eq(fcntl(listener, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    check_talk(listener, &address);
    fd_close(&listener);
    socket_remove_file(&address);
    ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

START_TEST(a_stale_socket_file_is_replaced)
{
    auto_fd int listener = socket_listen(&address, NULL);

    fd_close(&listener);
    ck_assert_int_eq(access(path, F_OK), 0);
    listener = socket_listen(&address, NULL);
    ck_assert_int_ge(listener, 0);
    check_talk(listener, &address);
}
END_TEST

START_TEST(a_live_socket_is_left_alone)
{
    g_autoptr(GError) error = NULL;
    auto_fd int first = socket_listen(&address, NULL);
    auto_fd int second = socket_listen(&address, &error);

    ck_assert_int_eq(second, -1);
    ck_assert_ptr_nonnull(strstr(error->message, path));
    ck_assert_ptr_nonnull(strstr(error->message, "in use"));
    while (true) {
        auto_fd int probe = socket_accept(first, NULL);

        if (probe < 0) {
            break;
        }
    }
    check_talk(first, &address);
}
END_TEST

START_TEST(a_file_that_is_no_socket_is_left_alone)
{
    auto_fd int file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    struct stat st;

    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(socket_listen(&address, NULL), -1);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert(S_ISREG(st.st_mode));
}
END_TEST

START_TEST(tcp_and_abstract_sockets_talk)
{
    static const char *const hosts[] = {"localhost", "", "127.0.0.1"};
    SocketAddress name = {.kind = SOCKET_ABSTRACT, .name = path};
    auto_fd int abstract = socket_listen(&name, NULL);

    ck_assert_int_ge(abstract, 0);
    check_talk(abstract, &name);
    for (size_t i = 0; i < G_N_ELEMENTS(hosts); i++) {
        g_autofree char *host = g_strdup(hosts[i]);
        SocketAddress tcp = {.kind = SOCKET_TCP, .name = host};
        auto_fd int listener = socket_listen(&tcp, NULL);

        ck_assert_int_ge(listener, 0);
        tcp.port = socket_local_port(listener);
        ck_assert_uint_ne(tcp.port, 0);
        check_talk(listener, &tcp);
    }
}
END_TEST

START_TEST(names_of_hosts_are_not_looked_up)
{
    g_autoptr(GError) error = NULL;
    char host[] = "example.org";
    const SocketAddress tcp = {.kind = SOCKET_TCP, .name = host, .port = 1};

    ck_assert_int_eq(socket_connect(&tcp, &error), -1);
    ck_assert_ptr_nonnull(strstr(error->message, "host 'example.org' is not an address"));
}
END_TEST

START_TEST(nobody_there_is_an_error_with_the_address)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *expected =
        g_strdup_printf("cannot connect to unix:%s: %s", path, g_strerror(ENOENT));

    ck_assert_int_eq(socket_connect(&address, &error), -1);
    ck_assert_str_eq(error->message, expected);
}
END_TEST

START_TEST(a_passed_descriptor_must_be_a_socket)
{
    auto_fd int file = memfd_create("t", MFD_CLOEXEC);
    auto_fd int listener = socket_listen(&address, NULL);
    const SocketAddress wrong = {.kind = SOCKET_FD, .fd = file};
    const SocketAddress right = {.kind = SOCKET_FD, .fd = listener};
    auto_fd int dup = socket_listen(&right, NULL);

    ck_assert_int_eq(socket_listen(&wrong, NULL), -1);
    ck_assert_int_ge(dup, 0);
    ck_assert_int_ne(dup, listener);
    check_talk(dup, &address);
}
END_TEST

START_TEST(descriptors_travel_with_bytes)
{
    int ends[2];
    auto_fd int file = memfd_create("t", MFD_CLOEXEC);
    int sent[2] = {file, file};
    int fds[SOCKET_MAX_FDS];
    size_t n;
    char data[8];
    struct stat a;
    struct stat b;

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    ck_assert_int_eq(socket_receive_fds(ends[1], data, sizeof(data), fds, &n), -1);
    ck_assert_int_eq(errno, EAGAIN);
    ck_assert_int_eq(socket_send_fds(ends[0], "xyz", 3, sent, 2), 3);
    ck_assert_int_eq(socket_receive_fds(ends[1], data, sizeof(data), fds, &n), 3);
    ck_assert_uint_eq(n, 2);
    ck_assert_int_eq(fcntl(fds[0], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    ck_assert_int_eq(fstat(file, &a), 0);
    ck_assert_int_eq(fstat(fds[1], &b), 0);
    ck_assert_uint_eq(a.st_ino, b.st_ino);
    close(fds[0]);
    close(fds[1]);
    ck_assert_int_eq(socket_send_fds(ends[0], "x", 1, sent, SOCKET_MAX_FDS + 1), -1);
    close(ends[0]);
    ck_assert_int_eq(socket_receive_fds(ends[1], data, sizeof(data), fds, &n), 0);
    close(ends[1]);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("socket");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, addresses_parse_and_format);
    tcase_add_test(tc, wrong_addresses_are_named);
    tcase_add_test(tc, a_unix_socket_is_for_its_owner_only);
    tcase_add_test(tc, a_stale_socket_file_is_replaced);
    tcase_add_test(tc, a_live_socket_is_left_alone);
    tcase_add_test(tc, a_file_that_is_no_socket_is_left_alone);
    tcase_add_test(tc, tcp_and_abstract_sockets_talk);
    tcase_add_test(tc, names_of_hosts_are_not_looked_up);
    tcase_add_test(tc, nobody_there_is_an_error_with_the_address);
    tcase_add_test(tc, a_passed_descriptor_must_be_a_socket);
    tcase_add_test(tc, descriptors_travel_with_bytes);
    return suite_run("socket", tc);
}

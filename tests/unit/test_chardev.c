/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/backend/chardev_kinds.h"

#include "tests/support/requests.h"
#include "tests/unit/suite.h"
#include "util/error.h"
#include "util/fd.h"
#include "util/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

/* A front end that keeps what it is given. */
typedef struct Front {
    size_t room;
    GString *input;
    unsigned opened;
    unsigned closed;
    unsigned breaks;
    unsigned writable;
} Front;

static Loop *loop;
static char *folder;
static Front front;

static size_t front_can_receive(void *opaque)
{
    const Front *f = opaque;

    return f->room;
}

static void front_receive(void *opaque, const uint8_t *data, size_t len)
{
    Front *f = opaque;

    ck_assert_uint_le(len, f->room);
    f->room -= len;
    g_string_append_len(f->input, (const char *)data, (gssize)len);
}

static void front_writable(void *opaque)
{
    ((Front *)opaque)->writable++;
}

static void front_event(void *opaque, ChardevEvent event)
{
    Front *f = opaque;

    f->opened += event == CHARDEV_OPENED;
    f->breaks += event == CHARDEV_BREAK;
    f->closed += event == CHARDEV_CLOSED;
}

static const ChardevFrontend front_ops = {
    .can_receive = front_can_receive,
    .receive = front_receive,
    .writable = front_writable,
    .event = front_event,
};

static void setup(void)
{
    signal(SIGPIPE, SIG_IGN);
    loop = loop_new("test");
    folder = g_dir_make_tmp("chardev-XXXXXX", NULL);
    front = (Front){.room = 1000, .input = g_string_new("")};
}

static void teardown(void)
{
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", folder);

    ck_assert_int_eq(system(command), 0);
    g_string_free(front.input, TRUE);
    g_free(folder);
    loop_free(loop);
}

static Chardev *try_open(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);
static Chardev *open_attached(const char *format, ...) G_GNUC_PRINTF(1, 2);

static Chardev *open_text(const char *text, GError **error)
{
    g_autoptr(PropBag) bag = props_parse(text, "type", error);

    ck_assert_ptr_nonnull(bag);
    return chardev_new(bag, "c0", loop, /* fd_sets= */ NULL, error);
}

static Chardev *try_open(GError **error, const char *format, ...)
{
    va_list args;
    g_autofree char *text = NULL;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    return open_text(text, error);
}

static Chardev *open_attached(const char *format, ...)
{
    va_list args;
    g_autofree char *text = NULL;
    g_autoptr(GError) error = NULL;
    Chardev *chr;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    chr = open_text(text, &error);
    ck_assert_msg(chr != NULL, "%s", error ? error->message : "");
    ck_assert(chardev_attach(chr, &front_ops, &front, NULL));
    return chr;
}

static void close_attached(Chardev *chr)
{
    chardev_detach(chr);
    chardev_free(chr);
}

static void quit(void *opaque)
{
    loop_quit(opaque);
}

static void settle(int ms)
{
    LoopTimer *timer = loop_timer_new(loop, quit, loop);

    loop_timer_arm(timer, loop_now_ns() + (int64_t)ms * 1000000);
    loop_run(loop);
    loop_timer_free(timer);
}

/* Runs the loop until the condition holds; the test's time limit is the limit. */
#define WAIT_FOR(condition) \
    while (!(condition)) {  \
        settle(1);          \
    }

static void check_read(int fd, const char *expected)
{
    char text[512];
    size_t len = 0;

    while (len < strlen(expected)) {
        struct pollfd ask = {.fd = fd, .events = POLLIN};

        settle(1);
        if (poll(&ask, 1, 0) == 1) {
            ssize_t n = read(fd, text + len, sizeof(text) - 1 - len);

            ck_assert_int_gt(n, 0);
            len += (size_t)n;
        }
    }
    text[len] = '\0';
    ck_assert_str_eq(text, expected);
}

static void check_file(const char *path, const char *expected)
{
    g_autofree char *text = NULL;

    ck_assert(g_file_get_contents(path, &text, NULL, NULL));
    ck_assert_str_eq(text, expected);
}

START_TEST(unknown_kinds_and_missing_properties_are_named)
{
    g_autoptr(GError) kind = NULL;
    g_autoptr(GError) path = NULL;
    g_autoptr(GError) both = NULL;

    ck_assert_ptr_null(try_open(&kind, "telepathy"));
    ck_assert_ptr_nonnull(strstr(kind->message, "telepathy"));
    ck_assert_ptr_null(try_open(&path, "file"));
    ck_assert_ptr_nonnull(strstr(path->message, "path"));
    ck_assert_ptr_null(try_open(&both, "socket,path=/x,host=localhost,port=1"));
    ck_assert_ptr_nonnull(strstr(both->message, "exactly one"));
}
END_TEST

START_TEST(only_one_front_end_attaches)
{
    Chardev *chr = open_attached("null");
    g_autoptr(GError) error = NULL;

    ck_assert_uint_eq(front.opened, 1);
    ck_assert(!chardev_attach(chr, &front_ops, &front, &error));
    ck_assert_str_eq(error->message, "chardev 'c0' is in use by another device");
    close_attached(chr);
}
END_TEST

START_TEST(file_truncates_or_appends_and_logs)
{
    g_autofree char *path = g_build_filename(folder, "out", NULL);
    g_autofree char *log = g_build_filename(folder, "log", NULL);
    Chardev *chr = open_attached("file,path=%s,logfile=%s", path, log);

    ck_assert_uint_eq(chardev_write(chr, "one", 3), 3);
    close_attached(chr);
    chr = open_attached("file,path=%s,append=on,logfile=%s,logappend=on", path, log);
    ck_assert_uint_eq(chardev_write(chr, "two", 3), 3);
    close_attached(chr);
    check_file(path, "onetwo");
    check_file(log, "onetwo");
    chr = open_attached("file,path=%s", path);
    close_attached(chr);
    check_file(path, "");
}
END_TEST

START_TEST(file_reads_its_input_to_the_end)
{
    g_autofree char *path = g_build_filename(folder, "out", NULL);
    g_autofree char *input = g_build_filename(folder, "in", NULL);
    Chardev *chr;

    ck_assert(g_file_set_contents(input, "typed", -1, NULL));
    chr = open_attached("file,path=%s,input-path=%s", path, input);
    WAIT_FOR(front.input->len == 5);
    settle(5);
    ck_assert_str_eq(front.input->str, "typed");
    ck_assert_uint_eq(front.closed, 0);
    ck_assert_uint_eq(chardev_write(chr, "x", 1), 1);
    close_attached(chr);
    check_file(path, "x");
}
END_TEST

START_TEST(ringbuf_keeps_the_last_bytes)
{
    Chardev *chr = open_attached("ringbuf,size=8");
    uint8_t data[16];

    ck_assert(chardev_is_ringbuf(chr));
    ck_assert_uint_eq(chardev_write(chr, "abcdef", 6), 6);
    ck_assert_uint_eq(chardev_ringbuf_read(chr, data, 2), 2);
    ck_assert_uint_eq(chardev_write(chr, "ghijkl", 6), 6);
    ck_assert_uint_eq(chardev_ringbuf_read(chr, data, 16), 8);
    ck_assert_mem_eq(data, "efghijkl", 8);
    ck_assert_uint_eq(chardev_write(chr, "0123456789", 10), 10);
    ck_assert_uint_eq(chardev_ringbuf_read(chr, data, 16), 8);
    ck_assert_mem_eq(data, "23456789", 8);
    close_attached(chr);
}
END_TEST

START_TEST(pipe_pair_carries_both_directions)
{
    g_autofree char *in_path = g_build_filename(folder, "p.in", NULL);
    g_autofree char *out_path = g_build_filename(folder, "p.out", NULL);
    auto_fd int in = -1;
    auto_fd int out = -1;
    Chardev *chr;

    ck_assert_int_eq(mkfifo(in_path, 0600), 0);
    ck_assert_int_eq(mkfifo(out_path, 0600), 0);
    chr = open_attached("pipe,path=%s/p", folder);
    in = open(in_path, O_WRONLY | O_CLOEXEC);
    out = open(out_path, O_RDONLY | O_CLOEXEC);
    ck_assert_int_eq(write(in, "to guest", 8), 8);
    WAIT_FOR(front.input->len == 8);
    ck_assert_uint_eq(chardev_write(chr, "to host", 7), 7);
    check_read(out, "to host");
    close_attached(chr);
}
END_TEST

START_TEST(input_stops_without_room_and_goes_on)
{
    int ends[2];
    Chardev *chr;

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    front.room = 3;
    chr = open_attached("socket,fd=%d", ends[1]);
    ck_assert_int_eq(write(ends[0], "abcdefgh", 8), 8);
    WAIT_FOR(front.input->len == 3);
    settle(5);
    ck_assert_uint_eq(front.input->len, 3);
    front.room = 100;
    chardev_accept_input(chr);
    WAIT_FOR(front.input->len == 8);
    close_attached(chr);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

START_TEST(escape_keys_work_while_the_guest_takes_none)
{
    int ends[2];
    RequestCount quits = {0};
    const Request quit = request_counter(&quits);
    Chardev *chr;

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    front.room = 2;
    chr = open_attached("socket,fd=%d,mux=on", ends[1]);
    chardev_set_quit(chr, &quit);
    ck_assert_int_eq(write(ends[0], "ab\001zcd\001", 7), 7);
    WAIT_FOR(front.input->len == 2);
    ck_assert_int_eq(write(ends[0], "\001e\001b\001x", 6), 6);
    WAIT_FOR(quits.count == 1);
    ck_assert_uint_eq(front.breaks, 1);
    ck_assert_uint_eq(front.input->len, 2);
    ck_assert_int_eq(write(ends[0], "\001h", 2), 2);
    check_read(ends[0], escape_help);
    front.room = 100;
    chardev_accept_input(chr);
    WAIT_FOR(front.input->len == 6);
    ck_assert_str_eq(front.input->str, "abcd\001e");
    close_attached(chr);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

START_TEST(typing_ahead_of_a_deaf_guest_is_bounded)
{
    int ends[2];
    char keys[1024];
    Chardev *chr;

    memset(keys, 'k', sizeof(keys));
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    front.room = 0;
    chr = open_attached("socket,fd=%d,mux=on", ends[1]);
    ck_assert_int_eq(write(ends[0], keys, sizeof(keys)), sizeof(keys));
    ck_assert_int_eq(write(ends[0], "\001h", 2), 2);
    check_read(ends[0], escape_help);
    front.room = 5000;
    chardev_accept_input(chr);
    WAIT_FOR(front.input->len == ESCAPE_HELD);
    close_attached(chr);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

START_TEST(a_short_write_is_followed_by_writable)
{
    static const uint8_t block[65536];
    uint8_t sink[65536];
    int ends[2];
    Chardev *chr;
    size_t n;

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    chr = open_attached("socket,fd=%d", ends[1]);
    do {
        n = chardev_write(chr, block, sizeof(block));
    } while (n == sizeof(block));
    settle(5);
    ck_assert_uint_eq(front.writable, 0);
    ck_assert(!chardev_wait_writable(chr, 1));
    while (front.writable == 0) {
        ck_assert_int_gt(read(ends[0], sink, sizeof(sink)), 0);
        settle(1);
    }
    ck_assert(chardev_wait_writable(chr, 0));
    close_attached(chr);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

static void check_description(const Chardev *chr, const char *prefix, const char *path)
{
    g_autofree char *expected = g_strdup_printf("%sunix:%s,server=on", prefix, path);
    g_autofree char *description = chardev_describe(chr);

    ck_assert_str_eq(description, expected);
}

START_TEST(server_takes_one_client_after_the_other)
{
    g_autofree char *path = g_build_filename(folder, "s", NULL);
    const SocketAddress address = {.kind = SOCKET_UNIX, .name = path};
    Chardev *chr = open_attached("socket,path=%s,server=on,wait=off", path);

    ck_assert_uint_eq(front.opened, 0);
    ck_assert_uint_eq(chardev_write(chr, "nobody", 6), 6);
    for (unsigned i = 1; i <= 3; i++) {
        auto_fd int client = -1;

        check_description(chr, "disconnected:", path);
        client = socket_connect(&address, NULL);
        WAIT_FOR(front.opened == i);
        check_description(chr, "", path);
        ck_assert_uint_eq(chardev_write(chr, "hello", 5), 5);
        check_read(client, "hello");
        fd_close(&client);
        WAIT_FOR(front.closed == i);
    }
    close_attached(chr);
    ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

START_TEST(client_comes_back_when_told_to)
{
    g_autofree char *path = g_build_filename(folder, "s", NULL);
    const SocketAddress address = {.kind = SOCKET_UNIX, .name = path};
    g_autoptr(GError) error = NULL;
    auto_fd int listener = -1;
    auto_fd int peer = -1;
    Chardev *chr;

    ck_assert_ptr_null(try_open(&error, "socket,path=%s", path));
    ck_assert_ptr_nonnull(strstr(error->message, path));
    chr = open_attached("socket,path=%s,reconnect=1", path);
    listener = socket_listen(&address, NULL);
    WAIT_FOR(front.opened == 1);
    peer = socket_accept(listener, NULL);
    fd_close(&peer);
    WAIT_FOR(front.closed == 1 && front.opened == 2);
    peer = socket_accept(listener, NULL);
    ck_assert_uint_eq(chardev_write(chr, "again", 5), 5);
    check_read(peer, "again");
    close_attached(chr);
}
END_TEST

START_TEST(pty_drops_output_until_somebody_opens_it)
{
    g_autofree char *link = g_build_filename(folder, "tty", NULL);
    Chardev *chr = open_attached("pty,path=%s", link);

    for (unsigned i = 1; i <= 2; i++) {
        auto_fd int terminal = -1;

        settle(5);
        ck_assert_uint_eq(front.opened, i - 1);
        ck_assert_uint_eq(chardev_write(chr, "early", 5), 5);
        terminal = open(link, O_RDWR | O_NOCTTY | O_CLOEXEC);
        ck_assert_int_ge(terminal, 0);
        WAIT_FOR(front.opened == i);
        ck_assert_uint_eq(chardev_write(chr, "a\nb", 3), 3);
        check_read(terminal, "a\nb");
        ck_assert_int_eq(write(terminal, "k\r", 2), 2);
        WAIT_FOR(front.input->len == (size_t)2 * i);
        fd_close(&terminal);
        WAIT_FOR(front.closed == i);
    }
    ck_assert_str_eq(front.input->str, "k\rk\r");
    close_attached(chr);
    ck_assert_int_ne(access(link, F_OK), 0);
}
END_TEST

/* Runs stdio in a child whose descriptors 0 and 1 are in and out; it echoes until told to end. */
static pid_t run_stdio(int in, int out)
{
    pid_t pid = fork();
    Chardev *chr;

    ck_assert_int_ge(pid, 0);
    if (pid > 0) {
        return pid;
    }
    dup2(in, 0);
    dup2(out, 1);
    loop = loop_new("child");
    chr = open_text("stdio,signal=off", NULL);
    if (!chr || !chardev_attach(chr, &front_ops, &front, NULL)) {
        _exit(1);
    }
    (void)chardev_write(chr, "ready ", 6);
    while (!strchr(front.input->str, 'q')) {
        settle(1);
    }
    chardev_write_all(chr, front.input->str, front.input->len, 1000);
    close_attached(chr);
    _exit(0);
}

static void check_terminal(const char *last_words)
{
    auto_fd int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    auto_fd int tty = -1;
    struct termios before;
    struct termios now;
    int status;
    pid_t pid;

    ck_assert_int_eq(unlockpt(master), 0);
    tty = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    ck_assert_int_eq(tcgetattr(tty, &before), 0);
    pid = run_stdio(tty, tty);
    check_read(master, "ready ");
    ck_assert_int_eq(tcgetattr(tty, &now), 0);
    ck_assert_uint_eq(now.c_lflag & (ICANON | ECHO | ISIG), 0);
    ck_assert_int_eq(fcntl(tty, F_GETFL) & O_NONBLOCK, 0);
    if (last_words) {
        ck_assert_int_eq(write(master, last_words, strlen(last_words)), strlen(last_words));
        check_read(master, last_words);
    } else {
        kill(pid, SIGKILL);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    do {
        settle(1);
        ck_assert_int_eq(tcgetattr(tty, &now), 0);
    } while (now.c_lflag != before.c_lflag);
    ck_assert_uint_eq(now.c_iflag, before.c_iflag);
}

START_TEST(stdio_gives_the_terminal_back)
{
    check_terminal("\003q");
}
END_TEST

START_TEST(stdio_gives_the_terminal_back_when_killed)
{
    check_terminal(NULL);
}
END_TEST

START_TEST(stdio_works_with_pipes)
{
    int to[2];
    int from[2];
    int status;
    pid_t pid;

    ck_assert_int_eq(pipe2(to, O_CLOEXEC), 0);
    ck_assert_int_eq(pipe2(from, O_CLOEXEC), 0);
    ck_assert_int_eq(write(to[1], "abq", 3), 3);
    close(to[1]);
    pid = run_stdio(to[0], from[1]);
    check_read(from[0], "ready abq");
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    close(to[0]);
    close(from[0]);
    close(from[1]);
}
END_TEST

START_TEST(stdio_works_with_everything_closed)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        Chardev *chr;

        close(0);
        close(1);
        loop = loop_new("child");
        chr = open_text("stdio", NULL);
        if (!chr || !chardev_attach(chr, &front_ops, &front, NULL)) {
            _exit(1);
        }
        settle(5);
        status = chardev_write(chr, "x", 1) == 1 ? 0 : 2;
        close_attached(chr);
        _exit(status);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
}
END_TEST

/* For the thread sanitizer: one thread writes while the loop reads and clients come and go. */
static void *write_much(void *opaque)
{
    for (unsigned i = 0; i < 20000; i++) {
        (void)chardev_write(opaque, "0123456789abcdef", 16);
        chardev_accept_input(opaque);
    }
    return NULL;
}

START_TEST(threads_may_write_while_clients_come_and_go)
{
    g_autofree char *path = g_build_filename(folder, "s", NULL);
    const SocketAddress address = {.kind = SOCKET_UNIX, .name = path};
    Chardev *chr = open_attached("socket,path=%s,server=on,wait=off", path);
    GThread *writer = g_thread_new("writer", write_much, chr);
    uint8_t data[4096];

    for (unsigned i = 1; i <= 10; i++) {
        auto_fd int client = socket_connect(&address, NULL);

        WAIT_FOR(front.opened == i);
        ck_assert_int_eq(write(client, "x", 1), 1);
        (void)recv(client, data, sizeof(data), MSG_DONTWAIT);
        WAIT_FOR(front.input->len == i);
        fd_close(&client);
        WAIT_FOR(front.closed == i);
    }
    g_thread_join(writer);
    close_attached(chr);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("chardev");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, unknown_kinds_and_missing_properties_are_named);
    tcase_add_test(tc, only_one_front_end_attaches);
    tcase_add_test(tc, file_truncates_or_appends_and_logs);
    tcase_add_test(tc, file_reads_its_input_to_the_end);
    tcase_add_test(tc, ringbuf_keeps_the_last_bytes);
    tcase_add_test(tc, pipe_pair_carries_both_directions);
    tcase_add_test(tc, input_stops_without_room_and_goes_on);
    tcase_add_test(tc, escape_keys_work_while_the_guest_takes_none);
    tcase_add_test(tc, typing_ahead_of_a_deaf_guest_is_bounded);
    tcase_add_test(tc, a_short_write_is_followed_by_writable);
    tcase_add_test(tc, server_takes_one_client_after_the_other);
    tcase_add_test(tc, client_comes_back_when_told_to);
    tcase_add_test(tc, pty_drops_output_until_somebody_opens_it);
    tcase_add_test(tc, stdio_gives_the_terminal_back);
    tcase_add_test(tc, stdio_gives_the_terminal_back_when_killed);
    tcase_add_test(tc, stdio_works_with_pipes);
    tcase_add_test(tc, stdio_works_with_everything_closed);
    tcase_add_test(tc, threads_may_write_while_clients_come_and_go);
    return suite_run("chardev", tc);
}

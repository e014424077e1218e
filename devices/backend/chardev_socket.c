/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream socket: a server that has one client at a time, or a client that comes back.
 *
 *      server:  listening --accept--> connected --hang-up--> listening
 *      client:  connecting ---------> connected --hang-up--> (reconnect) waiting --> connecting
 */
#include "devices/backend/chardev_kinds.h"

#include "util/error.h"
#include "util/fd.h"
#include "util/socket.h"

#include <errno.h>
#include <poll.h>

typedef struct ChardevSocket {
    Chardev base;

    /* fixed after creation */
    SocketAddress address;
    bool server;
    int64_t reconnect_ns; /* 0: never */

    /* loop thread only */
    int listen_fd;
    LoopWatch *listen_watch;
    int connecting_fd;
    LoopWatch *connecting_watch;
    LoopTimer *retry;
} ChardevSocket;

static void chardev_socket_connected(ChardevSocket *s, int fd)
{
    loop_unwatch(s->listen_watch);
    s->listen_watch = NULL;
    chardev_set_fds(&s->base, fd, CHARDEV_FD_SOCKET, fd, CHARDEV_FD_SOCKET);
}

/* ---- server ---- */

static void chardev_socket_accept(void *opaque, int fd, GIOCondition events)
{
    ChardevSocket *s = opaque;
    int client = socket_accept(fd, NULL);

    (void)events;
    if (client >= 0) {
        chardev_socket_connected(s, client);
    }
}

static void chardev_socket_listen(ChardevSocket *s)
{
    s->listen_watch = loop_watch_fd(s->base.loop, s->listen_fd, G_IO_IN, chardev_socket_accept, s);
}

static bool chardev_socket_wait_for_client(ChardevSocket *s, GError **error)
{
    struct pollfd ask = {.fd = s->listen_fd, .events = POLLIN};
    g_autoptr(GError) local = NULL;
    int client = -1;

    while (client < 0 && !local) {
        if (poll(&ask, 1, -1) == 1) {
            client = socket_accept(s->listen_fd, &local);
        }
    }
    if (client < 0) {
        g_propagate_error(error, g_steal_pointer(&local));
        return false;
    }
    chardev_socket_connected(s, client);
    return true;
}

static bool chardev_socket_serve(ChardevSocket *s, bool wait, GError **error)
{
    s->listen_fd = socket_listen(&s->address, error);
    if (s->listen_fd < 0) {
        return false;
    }
    if (wait) {
        return chardev_socket_wait_for_client(s, error);
    }
    chardev_socket_listen(s);
    return true;
}

/* ---- client ---- */

static void chardev_socket_retry_later(ChardevSocket *s)
{
    if (s->reconnect_ns > 0) {
        loop_timer_arm(s->retry, loop_now_ns() + s->reconnect_ns);
    }
}

static void chardev_socket_connect_done(void *opaque, int fd, GIOCondition events)
{
    ChardevSocket *s = opaque;

    (void)events;
    loop_unwatch(s->connecting_watch);
    s->connecting_watch = NULL;
    if (socket_finish_connect(fd, &s->address, NULL)) {
        chardev_socket_connected(s, fd_steal(&s->connecting_fd));
        return;
    }
    fd_close(&s->connecting_fd);
    chardev_socket_retry_later(s);
}

static void chardev_socket_connect(void *opaque)
{
    ChardevSocket *s = opaque;
    bool pending;
    int fd = socket_connect_start(&s->address, &pending, NULL);

    if (fd < 0) {
        chardev_socket_retry_later(s);
    } else if (pending) {
        s->connecting_fd = fd;
        s->connecting_watch = loop_watch_fd(s->base.loop, fd, G_IO_OUT | G_IO_ERR | G_IO_HUP,
                                            chardev_socket_connect_done, s);
    } else {
        chardev_socket_connected(s, fd);
    }
}

/* Without reconnect a server that is not there is the user's mistake. */
static bool chardev_socket_call(ChardevSocket *s, GError **error)
{
    if (s->reconnect_ns > 0) {
        chardev_socket_connect(s);
        return true;
    }

    int fd = socket_connect(&s->address, error);

    if (fd < 0) {
        return false;
    }
    chardev_socket_connected(s, fd);
    return true;
}

/* ---- both ---- */

static void chardev_socket_hangup(Chardev *chr)
{
    ChardevSocket *s = (ChardevSocket *)chr;

    if (s->server) {
        chardev_socket_listen(s);
    } else {
        chardev_socket_retry_later(s);
    }
}

static void chardev_socket_close(Chardev *chr)
{
    ChardevSocket *s = (ChardevSocket *)chr;

    loop_unwatch(s->listen_watch);
    loop_unwatch(s->connecting_watch);
    loop_timer_free(s->retry);
    if (s->listen_fd >= 0) {
        fd_close(&s->listen_fd);
        socket_remove_file(&s->address);
    }
    fd_close(&s->connecting_fd);
    socket_address_clear(&s->address);
}

/* QEMU's words: clients tell by them whether somebody is there. */
static char *chardev_socket_describe(const Chardev *chr)
{
    const ChardevSocket *s = (const ChardevSocket *)chr;
    g_autofree char *address = socket_address_format(&s->address);

    return g_strconcat(chardev_is_open(chr) ? "" : "disconnected:", address,
                       s->server ? ",server=on" : "", NULL);
}

static const ChardevOps chardev_socket_ops = {
    .name = "socket",
    .hangup = chardev_socket_hangup,
    .close = chardev_socket_close,
    .describe = chardev_socket_describe,
};

bool chardev_socket_address(const ChardevSocketConfig *c, SocketAddress *ret_address,
                            GError **error)
{
    g_autofree char *text = NULL;
    bool tcp = c->host || c->port;

    if ((c->path != NULL) + tcp + (c->fd != NULL) != 1) {
        return fail(error, VMM_ERROR_CONFIG,
                    "expected exactly one of path=, fd= and host= with port=");
    }
    if (tcp) {
        const char *host = c->host ? c->host : "";

        text = g_strdup_printf(strchr(host, ':') ? "tcp:[%s]:%s" : "tcp:%s:%s", host,
                               c->port ? c->port : "");
    } else if (c->path) {
        text = g_strconcat(c->abstract ? "abstract:" : "unix:", c->path, NULL);
    } else {
        text = g_strconcat("fd:", c->fd, NULL);
    }
    return socket_address_parse(text, ret_address, error);
}

Chardev *chardev_socket_new(const char *id, const void *config, Loop *loop, GError **error)
{
    const ChardevSocketConfig *c = config;
    ChardevSocket *s = chardev_alloc(&chardev_socket_ops, id, loop, sizeof(*s));
    g_autoptr(Chardev) chr = &s->base;

    s->address.fd = -1;
    s->listen_fd = -1;
    s->connecting_fd = -1;
    s->server = c->server;
    s->reconnect_ns = (int64_t)c->reconnect * 1000000000;
    s->retry = loop_timer_new(loop, chardev_socket_connect, s);
    if (c->server && c->reconnect > 0) {
        return fail_null(error, VMM_ERROR_CONFIG, "reconnect= is for clients, not with server=on");
    }
    if (!chardev_apply_common(chr, &c->common, error) ||
        !chardev_socket_address(c, &s->address, error)) {
        return NULL;
    }
    if (!(s->server ? chardev_socket_serve(s, c->wait, error) : chardev_socket_call(s, error))) {
        return NULL;
    }
    return g_steal_pointer(&chr);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client on a socket.  One that hangs up without reading its answers has still sent commands:
 * they are executed, and the answers thrown away.
 */
#include "qmp/link.h"
#include "util/fd.h"
#include "util/socket.h"

#include <errno.h>
#include <poll.h>

struct QmpSocketLink {
    /* fixed after creation */
    QmpSession *session;
    Loop *loop;
    QmpLinkOver over;
    void *opaque;
    LoopTimer *wake;

    /* main loop only */
    int fd;
    bool deaf; /* the client takes no answers any more */
    LoopWatch *in;
    LoopWatch *out;
};

static void wake_up(void *opaque)
{
    QmpSocketLink *link = opaque;

    loop_timer_arm(link->wake, 0);
}

static void service(void *opaque)
{
    qmp_socket_link_service(opaque);
}

QmpSocketLink *qmp_socket_link_new(QmpServer *server, Loop *loop, int fd, bool pretty,
                                   QmpLinkOver over, void *opaque)
{
    QmpSocketLink *link = g_new0(QmpSocketLink, 1);

    link->fd = fd;
    link->loop = loop;
    link->over = over;
    link->opaque = opaque;
    link->wake = loop_timer_new(loop, service, link);
    link->session = qmp_session_new(server, pretty, wake_up, link);
    return link;
}

void qmp_socket_link_free(QmpSocketLink *link)
{
    if (!link) {
        return;
    }
    loop_unwatch(link->in);
    loop_unwatch(link->out);
    loop_timer_free(link->wake);
    qmp_session_free(link->session);
    fd_close(&link->fd);
    g_free(link);
}

/* True if all is sent. */
static bool send_output(QmpSocketLink *link)
{
    size_t len;
    const char *data = qmp_session_output(link->session, &len);

    while (len > 0) {
        ssize_t n = link->deaf ? (ssize_t)len : socket_send_fds(link->fd, data, len, NULL, 0);

        if (n >= 0) {
            qmp_session_sent(link->session, (size_t)n);
        } else if (errno == EAGAIN) {
            return false;
        } else if (errno != EINTR) {
            link->deaf = true;
        }
        data = qmp_session_output(link->session, &len);
    }
    return true;
}

static void receive(void *opaque, int fd, GIOCondition events)
{
    QmpSocketLink *link = opaque;
    char data[SESSION_INPUT_CHUNK];
    size_t room = qmp_session_room(link->session);
    int fds[SOCKET_MAX_FDS];
    size_t n_fds = 0;
    ssize_t n;

    (void)events;
    n = room > 0 ? socket_receive_fds(fd, data, room, fds, &n_fds) : -1;
    if (n > 0) {
        qmp_session_receive_fds(link->session, fds, n_fds);
        qmp_session_receive(link->session, data, (size_t)n);
    } else if (n == 0 || (room > 0 && errno != EAGAIN && errno != EINTR)) {
        qmp_session_end_input(link->session);
    }
    qmp_socket_link_service(link);
}

static void writable(void *opaque, int fd, GIOCondition events)
{
    (void)fd;
    (void)events;
    qmp_socket_link_service(opaque);
}

static void watch(QmpSocketLink *link, LoopWatch **slot, bool wanted, GIOCondition events,
                  LoopFdFn fn)
{
    if (wanted && !*slot) {
        *slot = loop_watch_fd(link->loop, link->fd, events, fn, link);
    } else if (!wanted && *slot) {
        loop_unwatch(*slot);
        *slot = NULL;
    }
}

void qmp_socket_link_service(QmpSocketLink *link)
{
    bool sent;

    qmp_session_run(link->session);
    sent = send_output(link);
    if (qmp_session_is_over(link->session)) {
        link->over(link->opaque, link);
        return;
    }
    if (qmp_session_is_ready(link->session)) {
        wake_up(link);
    }
    watch(link, &link->in, qmp_session_room(link->session) > 0, G_IO_IN | G_IO_HUP | G_IO_ERR,
          receive);
    watch(link, &link->out, !sent, G_IO_OUT | G_IO_HUP | G_IO_ERR, writable);
}

void qmp_socket_link_drain(QmpSocketLink *link, int64_t deadline_ns)
{
    struct pollfd ask = {.fd = link->fd, .events = POLLOUT};

    while (!send_output(link)) {
        int64_t left_ms = (deadline_ns - loop_now_ns()) / 1000000;

        if (left_ms <= 0 || poll(&ask, 1, (int)left_ms) == 0) {
            return;
        }
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A monitor on a chardev: stdio, a terminal, a socket that reconnects.  One client at a time. */
#include "qmp/link.h"

struct QmpChardevLink {
    /* fixed after creation */
    QmpServer *server;
    Chardev *chr;
    bool pretty;
    LoopTimer *wake;

    /* main loop only */
    QmpSession *session; /* NULL: nobody is there */
};

static void wake_up(void *opaque)
{
    QmpChardevLink *link = opaque;

    loop_timer_arm(link->wake, 0);
}

static void service(void *opaque)
{
    qmp_chardev_link_service(opaque);
}

static size_t can_receive(void *opaque)
{
    const QmpChardevLink *link = opaque;

    return link->session ? qmp_session_room(link->session) : 0;
}

static void receive(void *opaque, const uint8_t *data, size_t len)
{
    QmpChardevLink *link = opaque;

    qmp_session_receive(link->session, (const char *)data, len);
    qmp_chardev_link_service(link);
}

static void event(void *opaque, ChardevEvent what)
{
    QmpChardevLink *link = opaque;

    if (what == CHARDEV_BREAK) {
        return;
    }
    g_clear_pointer(&link->session, qmp_session_free);
    if (what == CHARDEV_OPENED) {
        link->session = qmp_session_new(link->server, link->pretty, wake_up, link);
        wake_up(link);
    }
}

static const ChardevFrontend frontend = {
    .can_receive = can_receive,
    .receive = receive,
    .writable = service,
    .event = event,
};

QmpChardevLink *qmp_chardev_link_new(QmpServer *server, Loop *loop, Chardev *chr, bool pretty,
                                     GError **error)
{
    QmpChardevLink *link = g_new0(QmpChardevLink, 1);

    link->server = server;
    link->pretty = pretty;
    link->wake = loop_timer_new(loop, service, link);
    link->chr = chr;
    if (!chardev_attach(chr, &frontend, link, error)) {
        link->chr = NULL;
        qmp_chardev_link_free(link);
        return NULL;
    }
    return link;
}

void qmp_chardev_link_free(QmpChardevLink *link)
{
    if (!link) {
        return;
    }
    if (link->chr) {
        chardev_detach(link->chr);
    }
    qmp_session_free(link->session);
    loop_timer_free(link->wake);
    g_free(link);
}

static void send_output(QmpChardevLink *link)
{
    size_t len;
    const char *data = qmp_session_output(link->session, &len);

    qmp_session_sent(link->session, chardev_write(link->chr, data, len));
}

void qmp_chardev_link_service(QmpChardevLink *link)
{
    if (!link->session) {
        return;
    }
    qmp_session_run(link->session);
    send_output(link);
    if (qmp_session_is_ready(link->session)) {
        wake_up(link);
    }
    chardev_accept_input(link->chr);
}

static bool has_output(const QmpChardevLink *link)
{
    size_t len = 0;

    if (link->session) {
        qmp_session_output(link->session, &len);
    }
    return len > 0;
}

void qmp_chardev_link_drain(QmpChardevLink *link, int64_t deadline_ns)
{
    while (has_output(link)) {
        int64_t left_ms = (deadline_ns - loop_now_ns()) / 1000000;

        if (left_ms <= 0 || !chardev_wait_writable(link->chr, (int)left_ms)) {
            return;
        }
        send_output(link);
    }
}

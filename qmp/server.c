/* SPDX-License-Identifier: Apache-2.0 */
#include "qmp/server.h"

#include "machine/monitors.h"
#include "qmp/event.h"
#include "qmp/link.h"
#include "qmp/work.h"
#include "util/error.h"
#include "util/fd.h"
#include "util/log.h"

#include <errno.h>
#include <poll.h>

/* How long the last answers of a VM that ends may take to be read. */
#define LAST_WORDS_NS (INT64_C(500000000))

/* After accept has failed for want of descriptors or memory. */
#define ACCEPT_RETRY_NS (INT64_C(100000000))

typedef struct Monitor {
    QmpServer *server;
    MonitorConfig config;

    int listen_fd; /* -1: no server */
    LoopWatch *listen_watch;
    LoopTimer *retry;
    GPtrArray *clients; /* of QmpSocketLink */
    QmpChardevLink *chardev;
} Monitor;

struct QmpServer {
    /* fixed after creation */
    const VmConfig *config;
    Loop *loop;
    QmpEvents *events;
    VmEventSink sink;
    GPtrArray *monitors; /* of Monitor */

    /* main loop only */
    GPtrArray *sessions; /* of QmpSession, not owned */
    GPtrArray *works;    /* of QmpWork, not owned until the end */
    Vm *vm;
};

/* ---- sessions and events ---- */

Vm *qmp_server_vm(const QmpServer *server)
{
    return server->vm;
}

void qmp_server_add_session(QmpServer *server, QmpSession *session)
{
    g_ptr_array_add(server->sessions, session);
}

void qmp_server_remove_session(QmpServer *server, QmpSession *session)
{
    g_ptr_array_remove_fast(server->sessions, session);
}

void qmp_server_add_work(QmpServer *server, QmpWork *work)
{
    g_ptr_array_add(server->works, work);
}

void qmp_server_remove_work(QmpServer *server, QmpWork *work)
{
    g_ptr_array_remove_fast(server->works, work);
}

/* All are told before any is waited for. */
static void end_works(QmpServer *server)
{
    for (guint i = 0; i < server->works->len; i++) {
        qmp_work_abandon(server->works->pdata[i]);
    }
    while (server->works->len > 0) {
        qmp_work_free(g_ptr_array_steal_index_fast(server->works, server->works->len - 1));
    }
}

static void deliver_event(void *opaque, const char *name, int64_t time_us, json_object *data)
{
    const QmpServer *server = opaque;

    for (guint i = 0; i < server->sessions->len; i++) {
        qmp_session_event(server->sessions->pdata[i], name, time_us, data);
    }
}

const VmEventSink *qmp_server_events(const QmpServer *server)
{
    return &server->sink;
}

/* ---- sockets ---- */

static void accept_clients(Monitor *monitor);

static void listen_ready(void *opaque, int fd, GIOCondition events)
{
    (void)fd;
    (void)events;
    accept_clients(opaque);
}

static void retry_accept(void *opaque)
{
    accept_clients(opaque);
}

static void set_listening(Monitor *monitor, bool on)
{
    if (on && !monitor->listen_watch) {
        monitor->listen_watch = loop_watch_fd(monitor->server->loop, monitor->listen_fd, G_IO_IN,
                                              listen_ready, monitor);
    } else if (!on) {
        loop_unwatch(monitor->listen_watch);
        monitor->listen_watch = NULL;
    }
}

static void client_over(void *opaque, QmpSocketLink *link)
{
    Monitor *monitor = opaque;

    g_ptr_array_remove_fast(monitor->clients, link);
    if (monitor->listen_fd >= 0) {
        loop_timer_arm(monitor->retry, 0);
    }
}

static void add_client(Monitor *monitor, int fd)
{
    QmpServer *server = monitor->server;
    QmpSocketLink *link =
        qmp_socket_link_new(server, server->loop, fd, monitor->config.pretty, client_over, monitor);

    g_ptr_array_add(monitor->clients, link);
    qmp_socket_link_service(link);
}

/*
 * A socket that cannot be accepted from now would keep the loop awake: it is not watched until a
 * client has gone or some time has passed.
 */
static void accept_clients(Monitor *monitor)
{
    g_autoptr(GError) error = NULL;

    while (monitor->clients->len < QMP_MAX_CLIENTS) {
        int fd = socket_accept(monitor->listen_fd, &error);

        if (fd >= 0) {
            add_client(monitor, fd);
            continue;
        }
        if (error) {
            set_listening(monitor, false);
            loop_timer_arm(monitor->retry, loop_now_ns() + ACCEPT_RETRY_NS);
        } else {
            set_listening(monitor, true);
        }
        return;
    }
    set_listening(monitor, false);
}

static void wait_for_client(Monitor *monitor)
{
    struct pollfd ask = {.fd = monitor->listen_fd, .events = POLLIN};

    while (poll(&ask, 1, -1) < 0 && errno == EINTR) {
    }
}

static bool open_socket(Monitor *monitor, GError **error)
{
    const MonitorConfig *config = &monitor->config;
    int fd;

    if (!config->server) {
        fd = socket_connect(&config->address, error);
        if (fd >= 0) {
            add_client(monitor, fd);
        }
        return fd >= 0;
    }
    fd = socket_listen(&config->address, error);
    if (fd < 0) {
        return false;
    }
    monitor->listen_fd = fd;
    if (!fd_set_nonblocking(fd, true, error)) {
        return false;
    }
    if (config->wait) {
        wait_for_client(monitor);
    }
    return true;
}

/* ---- monitors ---- */

static void monitor_free(void *opaque)
{
    Monitor *monitor = opaque;

    g_ptr_array_unref(monitor->clients);
    qmp_chardev_link_free(monitor->chardev);
    set_listening(monitor, false);
    loop_timer_free(monitor->retry);
    if (monitor->listen_fd >= 0) {
        fd_close(&monitor->listen_fd);
        socket_remove_file(&monitor->config.address);
    }
    monitor_clear(&monitor->config);
    g_free(monitor);
}

static bool add_monitor(QmpServer *server, const PropBag *bag, GError **error)
{
    Monitor *monitor = g_new0(Monitor, 1);

    monitor->server = server;
    monitor->config.address.fd = -1;
    monitor->listen_fd = -1;
    monitor->clients = g_ptr_array_new_with_free_func((GDestroyNotify)qmp_socket_link_free);
    monitor->retry = loop_timer_new(server->loop, retry_accept, monitor);
    g_ptr_array_add(server->monitors, monitor);
    if (!monitor_parse(server->config, bag, &monitor->config, error)) {
        return false;
    }
    if (monitor->config.is_socket && !open_socket(monitor, error)) {
        g_prefix_error(error, "chardev '%s': ", monitor->config.chardev);
        return false;
    }
    return true;
}

static bool start_monitor(Monitor *monitor, GError **error)
{
    QmpServer *server = monitor->server;
    const MonitorConfig *config = &monitor->config;

    if (config->is_socket) {
        if (monitor->listen_fd >= 0) {
            accept_clients(monitor);
        }
        for (guint i = monitor->clients->len; i-- > 0;) {
            qmp_socket_link_service(monitor->clients->pdata[i]);
        }
        return true;
    }

    Chardev *chr = backends_find_chardev(server->vm->backends, config->chardev, error);

    if (chr) {
        monitor->chardev = qmp_chardev_link_new(server, server->loop, chr, config->pretty, error);
    }
    return monitor->chardev != NULL;
}

/* ---- the server ---- */

QmpServer *qmp_server_new(const VmConfig *config, Loop *loop, GError **error)
{
    g_autoptr(QmpServer) server = g_new0(QmpServer, 1);

    server->config = config;
    server->loop = loop;
    server->monitors = g_ptr_array_new_with_free_func(monitor_free);
    server->sessions = g_ptr_array_new();
    server->works = g_ptr_array_new();
    server->events = qmp_events_new(loop, deliver_event, server);
    server->sink = (VmEventSink){.raise = qmp_events_raise, .opaque = server->events};
    for (guint i = 0; i < config->monitors->len; i++) {
        if (!add_monitor(server, config->monitors->pdata[i], error)) {
            return NULL;
        }
    }
    return g_steal_pointer(&server);
}

void qmp_server_free(QmpServer *server)
{
    if (!server) {
        return;
    }
    g_ptr_array_unref(server->monitors);
    qmp_events_free(server->events);
    g_ptr_array_unref(server->sessions);
    g_ptr_array_unref(server->works);
    g_free(server);
}

bool qmp_server_start(QmpServer *server, Vm *vm, GError **error)
{
    server->vm = vm;
    for (guint i = 0; i < server->monitors->len; i++) {
        if (!start_monitor(server->monitors->pdata[i], error)) {
            return false;
        }
    }
    return true;
}

void qmp_server_stop(QmpServer *server)
{
    int64_t deadline = loop_now_ns() + LAST_WORDS_NS;

    for (guint i = 0; i < server->monitors->len; i++) {
        Monitor *monitor = server->monitors->pdata[i];

        for (guint j = 0; j < monitor->clients->len; j++) {
            qmp_socket_link_drain(monitor->clients->pdata[j], deadline);
        }
        if (monitor->chardev) {
            qmp_chardev_link_drain(monitor->chardev, deadline);
        }
        g_clear_pointer(&monitor->chardev, qmp_chardev_link_free);
    }
    g_ptr_array_set_size(server->monitors, 0);
    end_works(server);
    server->vm = NULL;
}

char *qmp_server_describe(const QmpServer *server, const char *chardev)
{
    for (guint i = 0; i < server->monitors->len; i++) {
        const Monitor *monitor = server->monitors->pdata[i];

        if (monitor->config.is_socket && g_strcmp0(monitor->config.chardev, chardev) == 0) {
            g_autofree char *address = socket_address_format(&monitor->config.address);

            return g_strconcat(address, monitor->config.server ? ",server=on" : "", NULL);
        }
    }
    return NULL;
}

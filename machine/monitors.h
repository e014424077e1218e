/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_MONITORS_H
#define MACHINE_MONITORS_H

/*
 * Where control channels are.  A monitor refers to a chardev; when that is a plain socket, the QMP
 * server opens it itself, so that it can serve several clients at once and be given descriptors,
 * and backends.c leaves it alone.  All other kinds (stdio, pty, a client that reconnects) stay
 * chardevs with a monitor as their front end.
 */

#include "machine/config.h"
#include "util/socket.h"

typedef struct MonitorConfig {
    char *chardev; /* its id */
    bool pretty;
    bool is_socket; /* the rest is set, and backends.c does not know the chardev */
    SocketAddress address;
    bool server;
    bool wait; /* server: nothing goes on before a client is there */
} MonitorConfig;

/* One of config->monitors. */
bool monitor_parse(const VmConfig *config, const PropBag *monitor, MonitorConfig *ret_monitor,
                   GError **error) G_GNUC_WARN_UNUSED_RESULT;
void monitor_clear(MonitorConfig *monitor);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(MonitorConfig, monitor_clear)

/* True if a monitor opens this chardev itself. */
bool monitor_owns_chardev(const VmConfig *config, const PropBag *chardev);

#endif

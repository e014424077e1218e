/* SPDX-License-Identifier: Apache-2.0 */
#ifndef QMP_SERVER_H
#define QMP_SERVER_H

/*
 * All control channels of a process, and the sessions on them.
 *
 *     qmp_server_new     sockets listen; clients may connect, nobody is answered yet
 *     qmp_server_start   there is a VM: greetings, commands
 *     qmp_server_stop    what is unsent is sent if the clients are quick; sessions end
 *
 * A listening socket serves up to QMP_MAX_CLIENTS at once; the others wait in its backlog.
 * Everything belongs to the main loop's thread, but for the event sink.
 */

#include "machine/config.h"
#include "machine/vm.h"
#include "qmp/reply.h"
#include "util/event.h"
#include "util/loop.h"

#define QMP_MAX_CLIENTS 128 /* of one socket */

/* config and loop stay the caller's and outlive the server.  With wait=on it waits here. */
QmpServer *qmp_server_new(const VmConfig *config, Loop *loop, GError **error);

/* Accepts NULL. */
void qmp_server_free(QmpServer *server);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QmpServer, qmp_server_free)

/* What a VM raises events through, before and after qmp_server_start. */
const VmEventSink *qmp_server_events(const QmpServer *server);

/* vm stays the caller's, who calls qmp_server_stop before it goes. */
bool qmp_server_start(QmpServer *server, Vm *vm, GError **error);

/* Harmless when it was not started. */
void qmp_server_stop(QmpServer *server);

/* ---- for sessions and commands ---- */

/* NULL before qmp_server_start. */
Vm *qmp_server_vm(const QmpServer *server);

/* Sessions announce themselves: they are whom events go to. */
void qmp_server_add_session(QmpServer *server, QmpSession *session);
void qmp_server_remove_session(QmpServer *server, QmpSession *session);

/* Work that is under way; the server waits for it in the end. */
void qmp_server_add_work(QmpServer *server, QmpWork *work);
void qmp_server_remove_work(QmpServer *server, QmpWork *work);

/* What is at the far end of a monitor that opened its own socket; NULL if it did not. */
char *qmp_server_describe(const QmpServer *server, const char *chardev);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef QMP_LINK_H
#define QMP_LINK_H

/* Carries the bytes of sessions: over a socket of our own, or over somebody's chardev. */

#include "machine/backends.h"
#include "qmp/session.h"
#include "util/loop.h"

typedef struct QmpSocketLink QmpSocketLink;
typedef struct QmpChardevLink QmpChardevLink;

/* over is called from the loop once the link has ended, and frees it. */
typedef void (*QmpLinkOver)(void *opaque, QmpSocketLink *link);

/* Takes fd, a connected socket.  The caller has it serviced for the first time. */
QmpSocketLink *qmp_socket_link_new(QmpServer *server, Loop *loop, int fd, bool pretty,
                                   QmpLinkOver over, void *opaque);
void qmp_socket_link_free(QmpSocketLink *link); /* accepts NULL */

/* Executes and sends what it can now; may end the link. */
void qmp_socket_link_service(QmpSocketLink *link);

/* Sends what is left, waiting until deadline_ns for a client that does not read. */
void qmp_socket_link_drain(QmpSocketLink *link, int64_t deadline_ns);

/* A session each time somebody is at the far end.  chr outlives the link. */
QmpChardevLink *qmp_chardev_link_new(QmpServer *server, Loop *loop, Chardev *chr, bool pretty,
                                     GError **error);
void qmp_chardev_link_free(QmpChardevLink *link); /* accepts NULL */
void qmp_chardev_link_service(QmpChardevLink *link);
void qmp_chardev_link_drain(QmpChardevLink *link, int64_t deadline_ns);

#endif

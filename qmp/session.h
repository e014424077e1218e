/* SPDX-License-Identifier: Apache-2.0 */
#ifndef QMP_SESSION_H
#define QMP_SESSION_H

/*
 * One conversation: bytes in, bytes out, nothing about where they come from.
 *
 *     link -- receive --> input -> JSON values -> dispatch -> output -- send --> link
 *                                                    ^
 *                                        events -----'  (also those that a command causes)
 *
 * Nobody is made to wait for a client.  While more than SESSION_OUTPUT_SOFT bytes wait to be read
 * by the client, its further commands are not executed and, soon, not even read: a client that
 * floods is slowed down, and nothing it sent is lost.  Events cannot wait: a client that lets
 * SESSION_OUTPUT_HARD bytes of them pile up is cut off.  Commands are executed for a millisecond
 * at a time, then the loop gets its turn.
 *
 * A command that takes long (work.h) holds up those behind it.  With `oob` the session reads on and
 * executes what is sent out of band at once; up to SESSION_MAX_QUEUED others are kept meanwhile.
 *
 * Main loop's thread only.
 */

#include "qmp/json_stream.h"
#include "qmp/reply.h"

#include <stdbool.h>
#include <stddef.h>

#define SESSION_INPUT_CHUNK 16384U
#define SESSION_OUTPUT_SOFT (256U << 10)
#define SESSION_OUTPUT_HARD (8U << 20)
#define SESSION_MAX_QUEUED  8U
#define SESSION_MAX_FDS     64U /* that came and were not asked for by name yet */

/* Asks the link to look, from the loop: there may be output, room for input, or an end. */
typedef void (*QmpSessionWake)(void *opaque);

/* Begins with the greeting.  server outlives the session. */
QmpSession *qmp_session_new(QmpServer *server, bool pretty, QmpSessionWake wake, void *opaque);

/* Accepts NULL. */
void qmp_session_free(QmpSession *session);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QmpSession, qmp_session_free)

/* How many bytes receive takes now; 0: none until the next wake. */
size_t qmp_session_room(const QmpSession *session);
void qmp_session_receive(QmpSession *session, const char *data, size_t len);

/* Descriptors that came with the bytes that receive is called with next.  Takes them. */
void qmp_session_receive_fds(QmpSession *session, const int *fds, size_t count);

/* The client will send nothing more; what it has sent is still executed and answered. */
void qmp_session_end_input(QmpSession *session);

/* True if there are commands that run would execute now. */
bool qmp_session_is_ready(const QmpSession *session);

/* Executes commands that have come, for a while. */
void qmp_session_run(QmpSession *session);

/* What is to be sent, and that count bytes of it have been. */
const char *qmp_session_output(const QmpSession *session, size_t *ret_len);
void qmp_session_sent(QmpSession *session, size_t count);

/* True once the link should close: everything is answered and sent, or the client is cut off. */
bool qmp_session_is_over(const QmpSession *session);

/* Queues an event, if the session has negotiated.  data may be NULL and stays the caller's. */
void qmp_session_event(QmpSession *session, const char *name, int64_t time_us, json_object *data);

/* ---- for commands ---- */

bool qmp_session_negotiated(const QmpSession *session);
void qmp_session_negotiate(QmpSession *session, bool oob);

/* The client just begins, as those of StratoVirt do; it may still negotiate, once. */
void qmp_session_begin_early(QmpSession *session);
bool qmp_session_may_negotiate(const QmpSession *session);
bool qmp_session_has_oob(const QmpSession *session);

/* request is answered by end_work: as done, or with the error. */
void qmp_session_begin_work(QmpSession *session, QmpWork *work, json_object *request);
void qmp_session_end_work(QmpSession *session, const GError *error);

/* NULL if no command is under way. */
QmpWork *qmp_session_work(const QmpSession *session);

/* The oldest descriptor that came and is still unnamed, now the caller's; -1 if there is none. */
int qmp_session_take_fd(QmpSession *session);

/* Names a descriptor, and takes it; one that has the name is closed. */
void qmp_session_name_fd(QmpSession *session, const char *name, int fd);

/* The descriptor of that name, now the caller's, and without the name; -1 if there is none. */
int qmp_session_take_named_fd(QmpSession *session, const char *name);

/* False if there is none of that name. */
bool qmp_session_close_fd(QmpSession *session, const char *name);

#endif

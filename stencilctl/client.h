/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STENCILCTL_CLIENT_H
#define STENCILCTL_CLIENT_H

/*
 * The caller's side of QMP: connect, negotiate, send one command, wait for its answer.  Events
 * that come in between go to whoever listens.
 *
 * Nothing here waits beyond the client's deadline.  An error of code VMM_ERROR_STATE says that a
 * deadline has passed; any other that there is no VM to talk to, or no longer.
 */

#include "stencilctl/json.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Client Client;

/* Borrows event. */
typedef void (*ClientEventFn)(void *opaque, json_object *event);

#define CLIENT_NO_DEADLINE INT64_MAX

/*
 * address is "unix:PATH", "tcp:HOST:PORT", or a bare path.  Negotiated on return.  The deadline,
 * in nanoseconds of CLOCK_MONOTONIC, stays for whatever is done later.
 */
Client *client_connect(const char *address, int64_t deadline_ns, GError **error);
void client_free(Client *client); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Client, client_free)

/* Optional; NULL drops events. */
void client_set_listener(Client *client, ClientEventFn fn, void *opaque);

/*
 * Sends command, which has an "execute" (borrowed), and returns what the server answered to it:
 * an object with "return" or "error".  NULL if none came.  The caller puts it.
 */
json_object *client_call(Client *client, json_object *command, GError **error);

/* Waits for the next event, until the earlier of both deadlines.  The caller puts it. */
json_object *client_next_event(Client *client, int64_t deadline_ns, GError **error);

/* Readable when there may be an event. */
int client_fd(const Client *client);
int64_t client_deadline_ns(const Client *client);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STENCILCTL_CLIENT_H
#define STENCILCTL_CLIENT_H

/*
 * The caller's side of QMP: connect, negotiate, send one command, wait for its answer.  Events
 * that come in between go to whoever listens.
 */

#include <glib.h>
#include <stdbool.h>

typedef struct json_object json_object;
typedef struct Client Client;

/* Borrows event. */
typedef void (*ClientEventFn)(void *opaque, json_object *event);

/* address is "unix:PATH", "tcp:HOST:PORT", or a bare path.  Negotiated on return. */
Client *client_connect(const char *address, GError **error);
void client_free(Client *client); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Client, client_free)

/* Optional; NULL drops events. */
void client_set_listener(Client *client, ClientEventFn fn, void *opaque);

/*
 * Sends command, which has an "execute" (borrowed), and returns what the server answered to it:
 * an object with "return" or "error".  NULL if the connection broke.  The caller puts it.
 */
json_object *client_call(Client *client, json_object *command, GError **error);

/* Waits for the next event.  The caller puts it; NULL with an error at the end of the stream. */
json_object *client_next_event(Client *client, GError **error);

#endif

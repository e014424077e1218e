/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STENCILCTL_CALL_H
#define STENCILCTL_CALL_H

/*
 * What a verb is given, and how it asks the VM: an answer, or a message on standard error and the
 * status that the tool then ends with.
 */

#include "stencilctl/client.h"
#include "stencilctl/render.h"

/* The exit status; part of the interface, told by stencilctl(1). */
typedef enum {
    STATUS_OK = 0,
    STATUS_REFUSED = 1, /* the VM answered with an error, or what it was asked to do failed */
    STATUS_USAGE = 2,   /* the command line is wrong */
    STATUS_NO_VM = 3,   /* nobody to talk to, or no longer */
    STATUS_TIMEOUT = 4, /* --timeout is over */
} Status;

typedef struct Call {
    const Render *render;
    Client *client;     /* NULL for a verb that needs none */
    char **words;       /* what follows the verb; NULL-terminated */
    const char *socket; /* where client leads; NULL without one */
    const char *escape; /* --escape, or NULL */
    bool in_shell;
} Call;

/* For an error of the client: tells it and says what it means. */
Status call_broken(const Call *call, const GError *error);

/* Sends a whole command (borrowed).  *ret_answer has "return" or "error" and is the caller's. */
Status call_send(const Call *call, json_object *command, json_object **ret_answer);

/*
 * Runs a command; takes arguments, which may be NULL.  On success *ret_value is what it returned,
 * and the caller's.
 */
Status call_execute(const Call *call, const char *name, json_object *arguments,
                    json_object **ret_value);

/* The same for a question that not every VM knows: then *ret_value is NULL, and that is no error. */
Status call_ask(const Call *call, const char *name, json_object *arguments,
                json_object **ret_value);

#endif

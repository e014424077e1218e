/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEVICES_BACKEND_CHARDEV_KINDS_H
#define DEVICES_BACKEND_CHARDEV_KINDS_H

/*
 * The kinds of back end, each with what a user may say about it, in one const table.
 *
 * A back end opens what it needs in its constructor, on the loop's thread.
 */

#include "devices/backend/chardev_impl.h"
#include "util/props.h"
#include "util/socket.h"

/* Each begins with what is common to all. */
typedef struct ChardevNullConfig {
    ChardevCommon common;
} ChardevNullConfig;

typedef struct ChardevStdioConfig {
    ChardevCommon common;
    bool signal; /* Ctrl-C and friends reach us instead of the guest */
} ChardevStdioConfig;

typedef struct ChardevFileConfig {
    ChardevCommon common;
    char *path;
    char *input_path;
    bool append;
} ChardevFileConfig;

typedef struct ChardevSocketConfig {
    ChardevCommon common;
    char *path;
    char *host;
    char *port;
    char *fd;
    bool abstract;
    bool server;
    bool wait;          /* server: the constructor returns once a client is there */
    uint64_t reconnect; /* client: seconds between attempts; 0 = none after the first */
} ChardevSocketConfig;

typedef struct ChardevPtyConfig {
    ChardevCommon common;
    char *path; /* a link to the terminal; NULL = none */
} ChardevPtyConfig;

typedef struct ChardevPipeConfig {
    ChardevCommon common;
    char *path;
} ChardevPipeConfig;

typedef struct ChardevRingbufConfig {
    ChardevCommon common;
    uint64_t size; /* a power of two */
} ChardevRingbufConfig;

typedef struct ChardevKind {
    const char *name;
    const PropTable *props;
    Chardev *(*create)(const char *id, const void *config, Loop *loop, GError **error);
} ChardevKind;

extern const ChardevKind chardev_kinds[];
extern const size_t chardev_n_kinds;

/* NULL if there is none of that name. */
const ChardevKind *chardev_kind_find(const char *name);

/*
 * "socket,id=c0,path=/run/c0.sock,server=on,wait=off".  id is used where the bag has none; fd_sets
 * is what paths may name, or NULL.
 */
Chardev *chardev_new(const PropBag *bag, const char *id, Loop *loop, const FdSets *fd_sets,
                     GError **error);

/* Where the socket is; the error says what is missing or too much. */
bool chardev_socket_address(const ChardevSocketConfig *config, SocketAddress *ret_address,
                            GError **error);

Chardev *chardev_null_new(const char *id, const void *config, Loop *loop, GError **error);
Chardev *chardev_stdio_new(const char *id, const void *config, Loop *loop, GError **error);
Chardev *chardev_file_new(const char *id, const void *config, Loop *loop, GError **error);
Chardev *chardev_socket_new(const char *id, const void *config, Loop *loop, GError **error);
Chardev *chardev_pty_new(const char *id, const void *config, Loop *loop, GError **error);
Chardev *chardev_pipe_new(const char *id, const void *config, Loop *loop, GError **error);
Chardev *chardev_ringbuf_new(const char *id, const void *config, Loop *loop, GError **error);

#endif

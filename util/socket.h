/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UTIL_SOCKET_H
#define UTIL_SOCKET_H

/*
 * Stream sockets for those who serve or call a control channel: addresses as people write them,
 * listening, connecting, and descriptors passed along with bytes.
 *
 *     unix:PATH          a socket file, made with mode 0600
 *     abstract:NAME      a name without a file
 *     tcp:HOST:PORT      HOST is a number, [number], "localhost" or empty; never looked up by name
 *     fd:N               a descriptor that is connected or listening already
 *
 * A socket file that a dead process left behind is replaced; one that somebody answers on, or
 * something that is no socket, is never touched.
 */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef enum {
    SOCKET_UNIX,
    SOCKET_ABSTRACT,
    SOCKET_TCP,
    SOCKET_FD,
} SocketKind;

typedef struct SocketAddress {
    SocketKind kind;
    char *name; /* path, abstract name or host */
    uint16_t port;
    int fd; /* SOCKET_FD: the user's; what is returned for it is a duplicate */
} SocketAddress;

bool socket_address_parse(const char *text, SocketAddress *ret_address, GError **error);

/* Frees what the address holds, and empties it. */
void socket_address_clear(SocketAddress *address);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(SocketAddress, socket_address_clear)

/* The text that parses to it. */
char *socket_address_format(const SocketAddress *address);

/* All return a close-on-exec descriptor, or -1. */
int socket_listen(const SocketAddress *address, GError **error);
int socket_connect(const SocketAddress *address, GError **error);

/*
 * Begins to connect and does not wait.  When *ret_pending is set, the descriptor becomes writable
 * once the outcome is known; socket_finish_connect then tells it.
 */
int socket_connect_start(const SocketAddress *address, bool *ret_pending, GError **error);
bool socket_finish_connect(int fd, const SocketAddress *address, GError **error);

/* -1 without an error set if there is nobody to accept now. */
int socket_accept(int listen_fd, GError **error);

/* After closing a listening socket: removes its file. */
void socket_remove_file(const SocketAddress *address);

/* The address that a listening TCP socket got; for port 0. */
uint16_t socket_local_port(int fd);

#define SOCKET_MAX_FDS 16 /* in one message */

/*
 * One sendmsg or recvmsg that never waits: bytes moved, 0 at the end of the stream, -1 with errno
 * (EAGAIN, ...).  Received descriptors are the caller's and close-on-exec.
 */
ssize_t socket_send_fds(int fd, const void *data, size_t len, const int *fds, size_t n_fds);
ssize_t socket_receive_fds(int fd, void *data, size_t len, int fds[SOCKET_MAX_FDS],
                           size_t *ret_n_fds);

#endif

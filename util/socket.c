/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No getaddrinfo: a static binary has no name service, and a monitor that is started by the
 * hundred should not ask one.
 */
#include "util/socket.h"

#include "util/error.h"
#include "util/fd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 16

typedef union AnyAddress {
    struct sockaddr any;
    struct sockaddr_un un;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
} AnyAddress;

/* ---- addresses ---- */

void socket_address_clear(SocketAddress *address)
{
    g_free(address->name);
    *address = (SocketAddress){.fd = -1};
}

static bool parse_number(const char *text, uint64_t max, uint64_t *ret_value)
{
    return g_ascii_string_to_unsigned(text, 10, 0, max, ret_value, NULL);
}

static bool parse_name(const char *rest, SocketAddress *ret_address, GError **error)
{
    size_t max = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;

    if (*rest == '\0') {
        return fail(error, VMM_ERROR_CONFIG, "socket address has an empty path");
    }
    if (strlen(rest) > max) {
        return fail(error, VMM_ERROR_CONFIG, "socket path '%s' is longer than %zu bytes", rest,
                    max);
    }
    ret_address->name = g_strdup(rest);
    return true;
}

static bool parse_tcp(const char *rest, SocketAddress *ret_address, GError **error)
{
    const char *colon = strrchr(rest, ':');
    uint64_t port;

    if (!colon || !parse_number(colon + 1, UINT16_MAX, &port)) {
        return fail(error, VMM_ERROR_CONFIG,
                    "socket address 'tcp:%s': expected tcp:HOST:PORT with a port of 0 to 65535",
                    rest);
    }
    if (*rest == '[' && colon > rest + 1 && colon[-1] == ']') {
        ret_address->name = g_strndup(rest + 1, (gsize)(colon - rest - 2));
    } else {
        ret_address->name = g_strndup(rest, (gsize)(colon - rest));
    }
    ret_address->port = (uint16_t)port;
    return true;
}

static bool parse_fd(const char *rest, SocketAddress *ret_address, GError **error)
{
    uint64_t fd;

    if (!parse_number(rest, INT32_MAX, &fd)) {
        return fail(error, VMM_ERROR_CONFIG, "socket address 'fd:%s': expected fd:NUMBER", rest);
    }
    ret_address->fd = (int)fd;
    return true;
}

typedef struct Scheme {
    const char *prefix;
    SocketKind kind;
    bool (*parse)(const char *rest, SocketAddress *ret_address, GError **error);
} Scheme;

static const Scheme schemes[] = {
    {"unix:", SOCKET_UNIX, parse_name},
    {"abstract:", SOCKET_ABSTRACT, parse_name},
    {"tcp:", SOCKET_TCP, parse_tcp},
    {"fd:", SOCKET_FD, parse_fd},
};

bool socket_address_parse(const char *text, SocketAddress *ret_address, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(schemes); i++) {
        if (g_str_has_prefix(text, schemes[i].prefix)) {
            g_auto(SocketAddress) address = {.kind = schemes[i].kind, .fd = -1};

            if (!schemes[i].parse(text + strlen(schemes[i].prefix), &address, error)) {
                return false;
            }
            *ret_address = address;
            address.name = NULL;
            return true;
        }
    }
    return fail(error, VMM_ERROR_CONFIG,
                "socket address '%s': expected unix:PATH, abstract:NAME, tcp:HOST:PORT or fd:N",
                text);
}

char *socket_address_format(const SocketAddress *address)
{
    switch (address->kind) {
    case SOCKET_UNIX:
        return g_strdup_printf("unix:%s", address->name);
    case SOCKET_ABSTRACT:
        return g_strdup_printf("abstract:%s", address->name);
    case SOCKET_TCP:
        return g_strdup_printf(strchr(address->name, ':') ? "tcp:[%s]:%u" : "tcp:%s:%u",
                               address->name, address->port);
    case SOCKET_FD:
    default:
        return g_strdup_printf("fd:%d", address->fd);
    }
}

static socklen_t fill_unix(const SocketAddress *address, AnyAddress *ret_any)
{
    bool abstract = address->kind == SOCKET_ABSTRACT;
    size_t len = strlen(address->name);

    ret_any->un.sun_family = AF_UNIX;
    memcpy(ret_any->un.sun_path + (abstract ? 1 : 0), address->name, len);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
}

/* "fe80::1%eth0" */
static bool parse_in6(const char *host, struct sockaddr_in6 *ret_in6)
{
    g_auto(GStrv) parts = g_strsplit(host, "%", 2);

    if (!parts[0] || inet_pton(AF_INET6, parts[0], &ret_in6->sin6_addr) != 1) {
        return false;
    }
    if (parts[1]) {
        ret_in6->sin6_scope_id = if_nametoindex(parts[1]);
    }
    return true;
}

/* An empty host is every address to a server and this machine to a client. */
static socklen_t fill_tcp(const SocketAddress *address, bool listens, AnyAddress *ret_any,
                          GError **error)
{
    const char *host = address->name;

    if (*host == '\0') {
        host = listens ? "0.0.0.0" : "127.0.0.1";
    } else if (strcmp(host, "localhost") == 0) {
        host = "127.0.0.1";
    }
    if (inet_pton(AF_INET, host, &ret_any->in.sin_addr) == 1) {
        ret_any->in.sin_family = AF_INET;
        ret_any->in.sin_port = htons(address->port);
        return sizeof(ret_any->in);
    }
    if (parse_in6(host, &ret_any->in6)) {
        ret_any->in6.sin6_family = AF_INET6;
        ret_any->in6.sin6_port = htons(address->port);
        return sizeof(ret_any->in6);
    }
    fail(error, VMM_ERROR_CONFIG,
         "host '%s' is not an address: expected a numeric one, 'localhost' or nothing", host);
    return 0;
}

static socklen_t fill_address(const SocketAddress *address, bool listens, AnyAddress *ret_any,
                              GError **error)
{
    memset(ret_any, 0, sizeof(*ret_any));
    return address->kind == SOCKET_TCP ? fill_tcp(address, listens, ret_any, error)
                                       : fill_unix(address, ret_any);
}

static int fail_address(GError **error, int err, const char *what, const SocketAddress *address)
{
    g_autofree char *text = socket_address_format(address);

    fail_errno(error, err, "cannot %s %s", what, text);
    return -1;
}

static int dup_socket(const SocketAddress *address, GError **error)
{
    int type;
    socklen_t len = sizeof(type);

    if (getsockopt(address->fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0) {
        return fail_address(error, errno, "use", address);
    }

    int fd = fcntl(address->fd, F_DUPFD_CLOEXEC, 3);

    return fd >= 0 ? fd : fail_address(error, errno, "duplicate", address);
}

/* ---- servers ---- */

/* True if the file at the address is a socket that nobody listens on any more. */
static bool is_stale(const AnyAddress *any, socklen_t len)
{
    struct stat st;
    auto_fd int probe = -1;

    if (lstat(any->un.sun_path, &st) < 0 || !S_ISSOCK(st.st_mode)) {
        return false;
    }
    probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return probe >= 0 && connect(probe, &any->any, len) < 0 && errno == ECONNREFUSED;
}

static bool bind_socket(int fd, const SocketAddress *address, const AnyAddress *any, socklen_t len)
{
    if (bind(fd, &any->any, len) == 0) {
        return true;
    }
    if (errno != EADDRINUSE || address->kind != SOCKET_UNIX) {
        return false;
    }
    if (!is_stale(any, len)) {
        errno = EADDRINUSE;
        return false;
    }
    unlink(any->un.sun_path);
    return bind(fd, &any->any, len) == 0;
}

int socket_listen(const SocketAddress *address, GError **error)
{
    const int on = 1;
    AnyAddress any;
    socklen_t len;
    auto_fd int fd = -1;

    if (address->kind == SOCKET_FD) {
        return dup_socket(address, error);
    }
    len = fill_address(address, /* listens= */ true, &any, error);
    if (len == 0) {
        return -1;
    }
    fd = socket(any.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return fail_address(error, errno, "listen on", address);
    }
    if (address->kind == SOCKET_TCP) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    } else if (address->kind == SOCKET_UNIX) {
        /* bind gives the file the mode that the socket has: it is never open to others */
        fchmod(fd, 0600);
    }
    if (!bind_socket(fd, address, &any, len) || listen(fd, BACKLOG) < 0) {
        return fail_address(error, errno, "listen on", address);
    }
    return fd_steal(&fd);
}

void socket_remove_file(const SocketAddress *address)
{
    if (address->kind == SOCKET_UNIX) {
        unlink(address->name);
    }
}

int socket_accept(int listen_fd, GError **error)
{
    const int on = 1;
    int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0) {
        if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
            fail_errno(error, errno, "cannot accept a connection");
        }
        return -1;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* other families refuse it */
    return fd;
}

uint16_t socket_local_port(int fd)
{
    AnyAddress any = {0};
    socklen_t len = sizeof(any);

    if (getsockname(fd, &any.any, &len) < 0) {
        return 0;
    }
    return ntohs(any.any.sa_family == AF_INET6 ? any.in6.sin6_port : any.in.sin_port);
}

/* ---- clients ---- */

int socket_connect_start(const SocketAddress *address, bool *ret_pending, GError **error)
{
    const int on = 1;
    AnyAddress any;
    socklen_t len;
    auto_fd int fd = -1;

    *ret_pending = false;
    if (address->kind == SOCKET_FD) {
        return dup_socket(address, error);
    }
    len = fill_address(address, /* listens= */ false, &any, error);
    if (len == 0) {
        return -1;
    }
    fd = socket(any.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return fail_address(error, errno, "connect to", address);
    }
    if (address->kind == SOCKET_TCP) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    }
    if (connect(fd, &any.any, len) < 0) {
        if (errno != EINPROGRESS) {
            return fail_address(error, errno, "connect to", address);
        }
        *ret_pending = true;
    }
    return fd_steal(&fd);
}

bool socket_finish_connect(int fd, const SocketAddress *address, GError **error)
{
    int err = 0;
    socklen_t len = sizeof(err);

    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0) {
        err = errno;
    }
    if (err != 0) {
        fail_address(error, err, "connect to", address);
    }
    return err == 0;
}

int socket_connect(const SocketAddress *address, GError **error)
{
    bool pending;
    auto_fd int fd = socket_connect_start(address, &pending, error);

    if (fd < 0) {
        return -1;
    }
    if (pending) {
        struct pollfd ask = {.fd = fd, .events = POLLOUT};

        while (poll(&ask, 1, -1) < 0 && errno == EINTR) {
        }
        if (!socket_finish_connect(fd, address, error)) {
            return -1;
        }
    }
    return fd_steal(&fd);
}

/* ---- descriptors beside bytes ---- */

typedef union FdMessage {
    char space[CMSG_SPACE(sizeof(int) * SOCKET_MAX_FDS)];
    struct cmsghdr align;
} FdMessage;

ssize_t socket_send_fds(int fd, const void *data, size_t len, const int *fds, size_t n_fds)
{
    FdMessage control = {.space = {0}};
    struct iovec iov = {.iov_len = len};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    memcpy(&iov.iov_base, &data, sizeof(data)); /* not written through; its type cannot say so */
    if (n_fds > SOCKET_MAX_FDS) {
        errno = EINVAL;
        return -1;
    }
    if (n_fds > 0) {
        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);

        struct cmsghdr *header = CMSG_FIRSTHDR(&msg);

        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
        memcpy(CMSG_DATA(header), fds, sizeof(int) * n_fds);
    }
    return sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

ssize_t socket_receive_fds(int fd, void *data, size_t len, int fds[SOCKET_MAX_FDS],
                           size_t *ret_n_fds)
{
    FdMessage control;
    struct iovec iov = {.iov_base = data, .iov_len = len};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = &control,
                         .msg_controllen = sizeof(control)};
    ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    *ret_n_fds = 0;
    if (n < 0) {
        return n;
    }
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&msg); header; header = CMSG_NXTHDR(&msg, header)) {
        if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
            size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);

            count = MIN(count, SOCKET_MAX_FDS - *ret_n_fds);
            memcpy(fds + *ret_n_fds, CMSG_DATA(header), count * sizeof(int));
            *ret_n_fds += count;
        }
    }
    return n;
}

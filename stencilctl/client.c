/* SPDX-License-Identifier: Apache-2.0 */
#include "stencilctl/client.h"

#include "util/error.h"
#include "util/fd.h"
#include "util/socket.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_ANSWER (256 * 1024 * 1024)

struct Client {
    int fd; /* never blocks */
    int64_t deadline_ns;
    json_tokener *tokener;
    GByteArray *input; /* received and not parsed yet */
    ClientEventFn listener;
    void *listener_opaque;
};

void client_free(Client *client)
{
    if (!client) {
        return;
    }
    fd_close(&client->fd);
    json_tokener_free(client->tokener);
    g_byte_array_unref(client->input);
    g_free(client);
}

static int64_t now_ns(void)
{
    return g_get_monotonic_time() * 1000;
}

/* Milliseconds for poll, rounded up: -1 is for ever. */
static int poll_time(int64_t deadline_ns)
{
    int64_t left;

    if (deadline_ns == CLIENT_NO_DEADLINE) {
        return -1;
    }
    left = (deadline_ns - now_ns() + 999999) / 1000000;
    return (int)CLAMP(left, 0, G_MAXINT);
}

static bool wait_for(int fd, short events, int64_t deadline_ns, GError **error)
{
    struct pollfd ask = {.fd = fd, .events = events};
    int n;

    do {
        n = poll(&ask, 1, poll_time(deadline_ns));
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        return fail_errno(error, errno, "wait for the VM");
    }
    return n > 0 || fail(error, VMM_ERROR_STATE, "the time is up, and the VM has not answered");
}

static bool receive(Client *client, int64_t deadline_ns, GError **error)
{
    uint8_t data[65536];
    ssize_t n;

    do {
        if (!wait_for(client->fd, POLLIN, deadline_ns, error)) {
            return false;
        }
        n = read(client->fd, data, sizeof(data));
    } while (n < 0 && (errno == EINTR || errno == EAGAIN));
    if (n < 0) {
        return fail_errno(error, errno, "read from the VM");
    }
    if (n == 0) {
        return fail(error, VMM_ERROR_HOST, "the VM closed the connection");
    }
    if (client->input->len > MAX_ANSWER) {
        return fail(error, VMM_ERROR_WIRE, "the VM's answer does not end");
    }
    g_byte_array_append(client->input, data, (guint)n);
    return true;
}

static bool send_all(Client *client, const char *text, GError **error)
{
    size_t left = strlen(text);

    while (left > 0) {
        ssize_t n;

        if (!wait_for(client->fd, POLLOUT, client->deadline_ns, error)) {
            return false;
        }
        n = send(client->fd, text, left, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR && errno != EAGAIN) {
            return fail_errno(error, errno, "write to the VM");
        }
        text += MAX(n, 0);
        left -= (size_t)MAX(n, 0);
    }
    return true;
}

/* The next JSON value of the stream; blank space between values is skipped by the parser. */
static json_object *next_value(Client *client, int64_t deadline_ns, GError **error)
{
    for (;;) {
        const char *text = (const char *)client->input->data;
        json_object *value = NULL;

        if (client->input->len > 0) {
            value = json_tokener_parse_ex(client->tokener, text, (int)client->input->len);

            enum json_tokener_error state = json_tokener_get_error(client->tokener);
            guint used = (guint)json_tokener_get_parse_end(client->tokener);

            g_byte_array_remove_range(client->input, 0, MIN(used, client->input->len));
            if (value) {
                return value;
            }
            if (state != json_tokener_continue && state != json_tokener_success) {
                return fail_null(error, VMM_ERROR_WIRE, "the VM sent no JSON: %s",
                                 json_tokener_error_desc(state));
            }
        }
        if (!receive(client, deadline_ns, error)) {
            return NULL;
        }
    }
}

static bool is_answer(json_object *message)
{
    return json_at(message, "return") || json_at(message, "error");
}

json_object *client_call(Client *client, json_object *command, GError **error)
{
    g_autofree char *line =
        g_strdup_printf("%s\n", json_object_to_json_string_ext(command, JSON_C_TO_STRING_PLAIN));

    if (!send_all(client, line, error)) {
        return NULL;
    }
    for (;;) {
        json_object *message = next_value(client, client->deadline_ns, error);

        if (!message || is_answer(message)) {
            return message;
        }
        if (client->listener) {
            client->listener(client->listener_opaque, message);
        }
        json_object_put(message);
    }
}

json_object *client_next_event(Client *client, int64_t deadline_ns, GError **error)
{
    for (;;) {
        json_object *message = next_value(client, MIN(deadline_ns, client->deadline_ns), error);

        if (!message || json_at(message, "event")) {
            return message;
        }
        json_object_put(message);
    }
}

void client_set_listener(Client *client, ClientEventFn fn, void *opaque)
{
    client->listener = fn;
    client->listener_opaque = opaque;
}

int client_fd(const Client *client)
{
    return client->fd;
}

int64_t client_deadline_ns(const Client *client)
{
    return client->deadline_ns;
}

static bool negotiate(Client *client, GError **error)
{
    g_autoptr(json_object) greeting = next_value(client, client->deadline_ns, error);
    g_autoptr(json_object) command = NULL;
    g_autoptr(json_object) answer = NULL;

    if (!greeting) {
        return false;
    }
    if (!json_at(greeting, "QMP")) {
        return fail(error, VMM_ERROR_WIRE, "what answers there does not greet as QMP does");
    }
    command = json_object_new_object();
    json_object_object_add(command, "execute", json_object_new_string("qmp_capabilities"));
    answer = client_call(client, command, error);
    return answer != NULL;
}

static bool parse_address(const char *text, SocketAddress *ret_address, GError **error)
{
    bool bare = strchr(text, '/') && !g_str_has_prefix(text, "unix:");
    g_autofree char *full = g_strdup_printf("%s%s", bare ? "unix:" : "", text);

    return socket_address_parse(full, ret_address, error);
}

static bool reach(Client *client, const SocketAddress *address, GError **error)
{
    bool pending = false;

    client->fd = socket_connect_start(address, &pending, error);
    if (client->fd < 0 || !fd_set_nonblocking(client->fd, true, error)) {
        return false;
    }
    return !pending || (wait_for(client->fd, POLLOUT, client->deadline_ns, error) &&
                        socket_finish_connect(client->fd, address, error));
}

Client *client_connect(const char *address, int64_t deadline_ns, GError **error)
{
    g_auto(SocketAddress) parsed = {.fd = -1};
    g_autoptr(Client) client = g_new0(Client, 1);

    client->fd = -1;
    client->deadline_ns = deadline_ns;
    client->tokener = json_tokener_new();
    client->input = g_byte_array_new();
    if (!parse_address(address, &parsed, error) || !reach(client, &parsed, error) ||
        !negotiate(client, error)) {
        return NULL;
    }
    return g_steal_pointer(&client);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "stencilctl/client.h"

#include "util/error.h"
#include "util/fd.h"
#include "util/socket.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>
#include <unistd.h>

#define MAX_ANSWER (256 * 1024 * 1024)

struct Client {
    int fd;
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

static bool receive(Client *client, GError **error)
{
    uint8_t data[65536];
    ssize_t n;

    do {
        n = read(client->fd, data, sizeof(data));
    } while (n < 0 && errno == EINTR);
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

/* The next JSON value of the stream; blank space between values is skipped by the parser. */
static json_object *next_value(Client *client, GError **error)
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
        if (!receive(client, error)) {
            return NULL;
        }
    }
}

static bool is_answer(json_object *message)
{
    return json_object_object_get_ex(message, "return", NULL) ||
           json_object_object_get_ex(message, "error", NULL);
}

json_object *client_call(Client *client, json_object *command, GError **error)
{
    g_autofree char *line =
        g_strdup_printf("%s\n", json_object_to_json_string_ext(command, JSON_C_TO_STRING_PLAIN));

    if (!fd_write_all(client->fd, "the VM", line, strlen(line), error)) {
        return NULL;
    }
    for (;;) {
        json_object *message = next_value(client, error);

        if (!message || is_answer(message)) {
            return message;
        }
        if (client->listener) {
            client->listener(client->listener_opaque, message);
        }
        json_object_put(message);
    }
}

json_object *client_next_event(Client *client, GError **error)
{
    for (;;) {
        json_object *message = next_value(client, error);

        if (!message || json_object_object_get_ex(message, "event", NULL)) {
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

static bool negotiate(Client *client, GError **error)
{
    json_object *greeting = next_value(client, error);
    json_object *command = NULL;
    json_object *answer = NULL;
    bool is_qmp;

    if (!greeting) {
        return false;
    }
    is_qmp = json_object_object_get_ex(greeting, "QMP", NULL);
    json_object_put(greeting);
    if (!is_qmp) {
        return fail(error, VMM_ERROR_WIRE, "what answers there does not greet as QMP does");
    }
    command = json_object_new_object();
    json_object_object_add(command, "execute", json_object_new_string("qmp_capabilities"));
    answer = client_call(client, command, error);
    json_object_put(command);
    json_object_put(answer);
    return answer != NULL;
}

static bool parse_address(const char *text, SocketAddress *ret_address, GError **error)
{
    bool bare = strchr(text, '/') && !g_str_has_prefix(text, "unix:");
    g_autofree char *full = g_strdup_printf("%s%s", bare ? "unix:" : "", text);

    return socket_address_parse(full, ret_address, error);
}

Client *client_connect(const char *address, GError **error)
{
    g_auto(SocketAddress) parsed = {.fd = -1};
    g_autoptr(Client) client = g_new0(Client, 1);

    client->fd = -1;
    client->tokener = json_tokener_new();
    client->input = g_byte_array_new();
    if (!parse_address(address, &parsed, error)) {
        return NULL;
    }
    client->fd = socket_connect(&parsed, error);
    if (client->fd < 0 || !fd_set_nonblocking(client->fd, false, error) ||
        !negotiate(client, error)) {
        return NULL;
    }
    return g_steal_pointer(&client);
}

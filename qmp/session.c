/* SPDX-License-Identifier: Apache-2.0 */
#include "qmp/session.h"

#include "qmp/dispatch.h"
#include "qmp/json_text.h"
#include "qmp/server.h"
#include "qmp/work.h"
#include "util/fd.h"
#include "util/log.h"

/* How long commands of one session are executed in a row. */
#define TURN_NS 1000000

struct QmpSession {
    /* fixed after creation */
    QmpServer *server;
    bool pretty;
    QmpSessionWake wake;
    void *opaque;

    JsonStream *stream;
    GByteArray *input; /* received and not read yet, from input_done on */
    size_t input_done;
    bool input_ended;
    GString *output; /* not sent yet, from output_done on */
    size_t output_done;
    bool cut_off;
    bool negotiated;
    bool early; /* negotiated, but not in so many words */
    bool oob;
    QmpWork *work;             /* of the command under way, or NULL */
    json_object *work_request; /* its request */
    GQueue queued;             /* of Received: what came behind it */
    size_t queued_bytes;       /* as text */
    size_t value_bytes;        /* of the text that is being read */
    GArray *fds;               /* of int */
    GHashTable *named_fds;     /* name, of int * */
};

/* What was read: a request (NULL is JSON's null), or what was wrong with the text. */
typedef struct Received {
    json_object *value;
    GError *error;
} Received;

static void received_clear(Received *received)
{
    json_object_put(received->value);
    g_clear_error(&received->error);
}

static void received_free(void *opaque)
{
    received_clear(opaque);
    g_free(opaque);
}

static void close_fd(void *opaque)
{
    fd_close(opaque);
}

static void free_fd(void *opaque)
{
    fd_close(opaque);
    g_free(opaque);
}

QmpSession *qmp_session_new(QmpServer *server, bool pretty, QmpSessionWake wake, void *opaque)
{
    QmpSession *session = g_new0(QmpSession, 1);

    session->server = server;
    session->pretty = pretty;
    session->wake = wake;
    session->opaque = opaque;
    session->stream = json_stream_new();
    session->input = g_byte_array_new();
    session->output = g_string_new(NULL);
    session->fds = g_array_new(/* zero_terminated= */ FALSE, /* clear_= */ FALSE, sizeof(int));
    g_array_set_clear_func(session->fds, close_fd);
    session->named_fds = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_fd);
    qmp_append_greeting(session->output, pretty);
    qmp_server_add_session(server, session);
    return session;
}

void qmp_session_free(QmpSession *session)
{
    if (!session) {
        return;
    }
    qmp_server_remove_session(session->server, session);
    if (session->work) {
        qmp_work_abandon(session->work);
    }
    json_object_put(session->work_request);
    g_queue_clear_full(&session->queued, received_free);
    json_stream_free(session->stream);
    g_byte_array_unref(session->input);
    g_string_free(session->output, /* free_segment= */ TRUE);
    g_array_unref(session->fds);
    g_hash_table_unref(session->named_fds);
    g_free(session);
}

/* ---- input ---- */

static size_t output_waiting(const QmpSession *session)
{
    return session->output->len - session->output_done;
}

static bool has_input(const QmpSession *session)
{
    return session->input_done < session->input->len;
}

/* Before there is a VM, and while the client does not read its answers, commands wait. */
static bool may_execute(const QmpSession *session)
{
    return qmp_server_vm(session->server) && !session->cut_off &&
           output_waiting(session) <= SESSION_OUTPUT_SOFT;
}

/* Behind a command under way only what is out of band is executed, and only so much is kept. */
static bool may_read(const QmpSession *session)
{
    return !session->work || (session->oob && session->queued.length < SESSION_MAX_QUEUED &&
                              session->queued_bytes <= SESSION_OUTPUT_SOFT);
}

size_t qmp_session_room(const QmpSession *session)
{
    size_t waiting = session->input->len - session->input_done;

    return session->input_ended || session->cut_off ? 0 : SESSION_INPUT_CHUNK - waiting;
}

void qmp_session_receive(QmpSession *session, const char *data, size_t len)
{
    g_byte_array_remove_range(session->input, 0, (unsigned)session->input_done);
    session->input_done = 0;
    g_byte_array_append(session->input, (const uint8_t *)data, (unsigned)len);
    qmp_session_run(session);
}

void qmp_session_receive_fds(QmpSession *session, const int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int fd = fds[i];

        if (session->fds->len < SESSION_MAX_FDS) {
            g_array_append_val(session->fds, fd);
        } else {
            fd_close(&fd);
        }
    }
}

void qmp_session_end_input(QmpSession *session)
{
    session->input_ended = true;
}

static void execute(QmpSession *session, const Received *received)
{
    QmpCall call = {
        .server = session->server,
        .session = session,
        .vm = qmp_server_vm(session->server),
    };

    if (received->error) {
        qmp_append_error(session->output, received->error, &(QmpId){0}, session->pretty);
    } else {
        qmp_dispatch(&call, received->value, session->output, session->pretty);
    }
}

/* In order, but for what is out of band. */
static void read_one(QmpSession *session)
{
    Received received = {0};
    size_t used;
    JsonStreamResult result = json_stream_read(
        session->stream, (const char *)session->input->data + session->input_done,
        session->input->len - session->input_done, &used, &received.value, &received.error);

    session->input_done += used;
    session->value_bytes += used;
    if (result == JSON_STREAM_MORE) {
        return;
    }
    used = session->value_bytes;
    session->value_bytes = 0;
    if (session->work && !qmp_dispatch_is_oob(received.value)) {
        session->queued_bytes += used;
        g_queue_push_tail(&session->queued, g_memdup2(&received, sizeof(received)));
        return;
    }
    execute(session, &received);
    received_clear(&received);
}

static void execute_one(QmpSession *session)
{
    g_autofree Received *queued = session->work ? NULL : g_queue_pop_head(&session->queued);

    if (queued) {
        execute(session, queued);
        received_clear(queued);
    } else {
        read_one(session);
    }
}

bool qmp_session_is_ready(const QmpSession *session)
{
    bool queued = !session->work && session->queued.length > 0;

    return may_execute(session) && (queued || (has_input(session) && may_read(session)));
}

void qmp_session_run(QmpSession *session)
{
    int64_t end = loop_now_ns() + TURN_NS;

    while (qmp_session_is_ready(session)) {
        execute_one(session);
        if (loop_now_ns() >= end) {
            return;
        }
    }
}

/* ---- output ---- */

const char *qmp_session_output(const QmpSession *session, size_t *ret_len)
{
    *ret_len = session->cut_off ? 0 : output_waiting(session);
    return session->output->str + session->output_done;
}

void qmp_session_sent(QmpSession *session, size_t count)
{
    session->output_done += count;
    if (session->output_done == session->output->len) {
        g_string_truncate(session->output, 0);
        session->output_done = 0;
        /* One large reply should not keep its memory for as long as the client stays. */
        if (session->output->allocated_len > SESSION_OUTPUT_SOFT) {
            g_string_free(session->output, /* free_segment= */ TRUE);
            session->output = g_string_new(NULL);
        }
    } else if (session->output_done > SESSION_OUTPUT_SOFT) {
        g_string_erase(session->output, 0, (gssize)session->output_done);
        session->output_done = 0;
    }
}

bool qmp_session_is_over(const QmpSession *session)
{
    return session->cut_off || (session->input_ended && !has_input(session) && !session->work &&
                                session->queued.length == 0 && output_waiting(session) == 0);
}

void qmp_session_event(QmpSession *session, const char *name, int64_t time_us, json_object *data)
{
    if (!session->negotiated || session->cut_off) {
        return;
    }
    if (output_waiting(session) > SESSION_OUTPUT_HARD) {
        log_line(LOG_LEVEL_WARNING, "a QMP client does not read its events and is cut off");
        session->cut_off = true;
    } else {
        qmp_append_event(session->output, name, time_us, data, session->pretty);
    }
    session->wake(session->opaque);
}

/* ---- for commands ---- */

bool qmp_session_negotiated(const QmpSession *session)
{
    return session->negotiated;
}

void qmp_session_negotiate(QmpSession *session, bool oob)
{
    session->negotiated = true;
    session->early = false;
    session->oob = oob;
}

void qmp_session_begin_early(QmpSession *session)
{
    session->negotiated = true;
    session->early = true;
}

bool qmp_session_may_negotiate(const QmpSession *session)
{
    return !session->negotiated || session->early;
}

bool qmp_session_has_oob(const QmpSession *session)
{
    return session->oob;
}

void qmp_session_begin_work(QmpSession *session, QmpWork *work, json_object *request)
{
    session->work = work;
    session->work_request = json_object_get(request);
}

void qmp_session_end_work(QmpSession *session, const GError *error)
{
    g_autoptr(json_object) request = g_steal_pointer(&session->work_request);
    QmpId id = {0};

    session->work = NULL;
    session->queued_bytes = 0;
    id.given = json_object_object_get_ex(request, "id", &id.value);
    if (error) {
        qmp_append_error(session->output, error, &id, session->pretty);
    } else {
        qmp_append_return(session->output, &(QmpReply){0}, &id, session->pretty);
    }
    session->wake(session->opaque);
}

QmpWork *qmp_session_work(const QmpSession *session)
{
    return session->work;
}

int qmp_session_take_fd(QmpSession *session)
{
    int fd = -1;

    if (session->fds->len > 0) {
        int *slot = &g_array_index(session->fds, int, 0);

        fd = fd_steal(slot);
        g_array_remove_index(session->fds, 0);
    }
    return fd;
}

void qmp_session_name_fd(QmpSession *session, const char *name, int fd)
{
    int *slot = g_new(int, 1);

    *slot = fd;
    g_hash_table_replace(session->named_fds, g_strdup(name), slot);
}

int qmp_session_take_named_fd(QmpSession *session, const char *name)
{
    int *slot = g_hash_table_lookup(session->named_fds, name);
    int fd = slot ? fd_steal(slot) : -1;

    g_hash_table_remove(session->named_fds, name);
    return fd;
}

bool qmp_session_close_fd(QmpSession *session, const char *name)
{
    return g_hash_table_remove(session->named_fds, name);
}

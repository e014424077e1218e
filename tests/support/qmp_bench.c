/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/qmp_bench.h"

#include <string.h>

void qmp_bench_begin(QmpBench *bench, void (*prepare)(VmConfig *config))
{
    g_autoptr(GError) error = NULL;
    bool ok;

    bench->config = vm_config_new();
    bench->config->machine.type = MACHINE_NONE;
    bench->config->accel = ACCEL_QTEST;
    bench->config->memory.size = 1 << 20;
    bench->config->memory.max_size = 1 << 20;
    if (prepare) {
        prepare(bench->config);
    }
    bench->loop = loop_new("test");
    bench->server = qmp_server_new(bench->config, bench->loop, &error);
    g_assert_no_error(error);
    bench->vm = vm_new(bench->config, bench->loop, qmp_server_events(bench->server), NULL, &error);
    g_assert_no_error(error);
    ok = qmp_server_start(bench->server, bench->vm, &error);
    g_assert_no_error(error);
    g_assert(ok);
}

void qmp_bench_end(QmpBench *bench)
{
    qmp_server_stop(bench->server);
    vm_free(bench->vm);
    qmp_server_free(bench->server);
    loop_free(bench->loop);
    vm_config_free(bench->config);
}

static void quit_loop(void *opaque)
{
    loop_quit(opaque);
}

/* Posted work runs in order, so two rounds see what the first one posted. */
void qmp_bench_settle(QmpBench *bench)
{
    for (int i = 0; i < 3; i++) {
        loop_post(bench->loop, quit_loop, bench->loop);
        loop_run(bench->loop);
    }
}

static void ignore_wake(void *opaque)
{
    (void)opaque;
}

QmpSession *qmp_bench_session(QmpBench *bench, bool negotiated, bool oob)
{
    QmpSession *session =
        qmp_session_new(bench->server, /* pretty= */ false, ignore_wake, /* opaque= */ NULL);

    g_free(qmp_bench_read(session));
    if (negotiated) {
        g_free(qmp_bench_ask(session, oob ? "{\"execute\":\"qmp_capabilities\",\"arguments\":"
                                            "{\"enable\":[\"oob\"]}}"
                                          : "{\"execute\":\"qmp_capabilities\"}"));
    }
    return session;
}

char *qmp_bench_read(QmpSession *session)
{
    size_t len;
    const char *data = qmp_session_output(session, &len);
    char *copy = g_strndup(data, len);

    qmp_session_sent(session, len);
    return copy;
}

char *qmp_bench_talk(QmpSession *session, const char *data, size_t len, size_t piece)
{
    GString *out = g_string_new(NULL);

    for (size_t i = 0; i < len;) {
        size_t n = MIN(MIN(piece, len - i), qmp_session_room(session));

        qmp_session_receive(session, data + i, n);
        i += n;
        do {
            g_autofree char *text = NULL;

            qmp_session_run(session);
            text = qmp_bench_read(session);
            g_string_append(out, text);
        } while (qmp_session_is_ready(session));
    }
    return g_string_free(out, /* free_segment= */ FALSE);
}

char *qmp_bench_ask(QmpSession *session, const char *text)
{
    return qmp_bench_talk(session, text, strlen(text), SIZE_MAX);
}

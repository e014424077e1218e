/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/qmp_work_bench.h"

#include "util/fd.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void qmp_work_bench_begin(QmpWorkBench *work, void (*prepare)(VmConfig *config))
{
    signal(SIGPIPE, SIG_IGN); /* as main does */
    qmp_bench_begin(&work->bench, prepare);
    work->session = NULL;
    work->folder = g_dir_make_tmp("stencil-work-XXXXXX", NULL);
    work->path = g_build_filename(work->folder, "out", NULL);
}

void qmp_work_bench_end(QmpWorkBench *work)
{
    qmp_session_free(work->session);
    work->session = NULL;
    qmp_bench_end(&work->bench);
    unlink(work->path);
    rmdir(work->folder);
    g_free(work->path);
    g_free(work->folder);
}

static void woken(void *opaque)
{
    loop_quit(opaque);
}

void qmp_work_bench_connect(QmpWorkBench *work, bool oob)
{
    work->session =
        qmp_session_new(work->bench.server, /* pretty= */ false, woken, work->bench.loop);
    g_free(qmp_bench_read(work->session));
    g_free(qmp_bench_ask(work->session, oob ? "{\"execute\":\"qmp_capabilities\",\"arguments\":"
                                              "{\"enable\":[\"oob\"]}}"
                                            : "{\"execute\":\"qmp_capabilities\"}"));
}

void qmp_work_bench_expect(QmpWorkBench *work, const char *command, const char *answer)
{
    g_autofree char *got = qmp_bench_ask(work->session, command);

    g_assert_cmpstr(got, ==, answer);
}

void qmp_work_bench_hear(QmpWorkBench *work, GString *said)
{
    loop_run(work->bench.loop);
    do {
        g_autofree char *text = NULL;

        qmp_session_run(work->session);
        text = qmp_bench_read(work->session);
        g_string_append(said, text);
    } while (qmp_session_is_ready(work->session)); /* a turn of its has an end */
}

void qmp_work_bench_expect_later(QmpWorkBench *work, const char *answer)
{
    g_autoptr(GString) got = g_string_new(NULL);

    while (!strchr(got->str, '\n')) {
        qmp_work_bench_hear(work, got);
    }
    g_assert_cmpstr(got->str, ==, answer);
}

int qmp_work_bench_open_pipe(QmpWorkBench *work)
{
    int fd;

    g_assert_cmpint(mkfifo(work->path, 0600), ==, 0);
    fd = open(work->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    g_assert_cmpint(fd, >=, 0);
    return fd;
}

uint8_t *qmp_work_bench_read_pipe(int fd, size_t size)
{
    g_autofree uint8_t *data = g_malloc(size);
    bool ok = fd_set_nonblocking(fd, false, NULL) && fd_read_all(fd, "pipe", data, size, NULL);

    g_assert(ok);
    return g_steal_pointer(&data);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Named pipes that somebody made: PATH.in and PATH.out, one for each direction, or PATH alone for
 * both.  They are opened for reading and writing, so that nobody needs to be there yet and the
 * others may come and go.
 */
#include "devices/backend/chardev_kinds.h"

#include "util/fd.h"

#include <fcntl.h>
#include <unistd.h>

typedef struct ChardevPipe {
    Chardev base;
    char *path;
} ChardevPipe;

static void chardev_pipe_close(Chardev *chr)
{
    g_free(((ChardevPipe *)chr)->path);
}

static char *chardev_pipe_describe(const Chardev *chr)
{
    return g_strdup_printf("pipe:%s", ((const ChardevPipe *)chr)->path);
}

static const ChardevOps chardev_pipe_ops = {
    .name = "pipe",
    .close = chardev_pipe_close,
    .describe = chardev_pipe_describe,
};

Chardev *chardev_pipe_new(const char *id, const void *config, Loop *loop, GError **error)
{
    const ChardevPipeConfig *c = config;
    ChardevPipe *s = chardev_alloc(&chardev_pipe_ops, id, loop, sizeof(*s));
    g_autoptr(Chardev) chr = &s->base;
    g_autofree char *in_path = g_strconcat(c->path, ".in", NULL);
    g_autofree char *out_path = g_strconcat(c->path, ".out", NULL);
    bool pair = access(in_path, F_OK) == 0;
    auto_fd int in = -1;
    auto_fd int out = -1;
    ChardevFdMode in_mode;
    ChardevFdMode out_mode;

    s->path = g_strdup(c->path);
    if (!chardev_apply_common(chr, &c->common, error)) {
        return NULL;
    }
    in = fd_sets_open(c->common.fd_sets, pair ? in_path : c->path, O_RDWR | O_NONBLOCK, 0, error);
    if (in < 0 || !chardev_classify_fd(in, &in_mode, error)) {
        return NULL;
    }
    out = fd_sets_open(c->common.fd_sets, pair ? out_path : c->path, O_RDWR | O_NONBLOCK, 0, error);
    if (out < 0 || !chardev_classify_fd(out, &out_mode, error)) {
        return NULL;
    }
    chardev_set_fds(chr, fd_steal(&in), in_mode, fd_steal(&out), out_mode);
    return g_steal_pointer(&chr);
}

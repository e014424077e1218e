/* SPDX-License-Identifier: Apache-2.0 */
/* Output to a file or whatever else a path opens; input from another one, if asked for. */
#include "devices/backend/chardev_kinds.h"

#include "util/fd.h"

#include <fcntl.h>

typedef struct ChardevFile {
    Chardev base;
    char *path;
} ChardevFile;

static void chardev_file_close(Chardev *chr)
{
    g_free(((ChardevFile *)chr)->path);
}

static char *chardev_file_describe(const Chardev *chr)
{
    return g_strdup_printf("file:%s", ((const ChardevFile *)chr)->path);
}

static const ChardevOps chardev_file_ops = {
    .name = "file",
    .close = chardev_file_close,
    .describe = chardev_file_describe,
};

Chardev *chardev_file_new(const char *id, const void *config, Loop *loop, GError **error)
{
    const ChardevFileConfig *c = config;
    ChardevFile *s = chardev_alloc(&chardev_file_ops, id, loop, sizeof(*s));
    g_autoptr(Chardev) chr = &s->base;
    ChardevFdMode out_mode;
    ChardevFdMode in_mode = CHARDEV_FD_PLAIN;
    auto_fd int out = -1;
    auto_fd int in = -1;

    s->path = g_strdup(c->path);
    if (!chardev_apply_common(chr, &c->common, error)) {
        return NULL;
    }
    out = fd_sets_open(c->common.fd_sets, c->path,
                       O_WRONLY | O_CREAT | (c->append ? O_APPEND : O_TRUNC), 0600, error);
    if (out < 0 || !chardev_classify_fd(out, &out_mode, error)) {
        return NULL;
    }
    if (c->input_path) {
        in = fd_sets_open(c->common.fd_sets, c->input_path, O_RDONLY | O_NONBLOCK, 0, error);
        if (in < 0 || !chardev_classify_fd(in, &in_mode, error)) {
            return NULL;
        }
    }
    chardev_set_fds(chr, fd_steal(&in), in_mode, fd_steal(&out), out_mode);
    return g_steal_pointer(&chr);
}

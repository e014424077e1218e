/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process's own input and output.  Works with either of them closed, /dev/null, a pipe or a
 * file: the end of input (a script) is not the end of output.
 */
#include "devices/backend/chardev_kinds.h"
#include "devices/backend/terminal.h"

#include "util/fd.h"

#include <fcntl.h>
#include <unistd.h>

typedef struct ChardevStdio {
    Chardev base;
    Terminal *terminal;
} ChardevStdio;

static void chardev_stdio_close(Chardev *chr)
{
    terminal_return(((ChardevStdio *)chr)->terminal);
}

static const ChardevOps chardev_stdio_ops = {.name = "stdio", .close = chardev_stdio_close};

/* -1 without an error if the shell gave us none. */
static int chardev_stdio_open(int fd, int access, ChardevFdMode *ret_mode)
{
    *ret_mode = CHARDEV_FD_PLAIN;
    return fcntl(fd, F_GETFD) < 0 ? -1 : chardev_dup_fd(fd, access, ret_mode, NULL);
}

Chardev *chardev_stdio_new(const char *id, const void *config, Loop *loop, GError **error)
{
    const ChardevStdioConfig *c = config;
    ChardevStdio *s = chardev_alloc(&chardev_stdio_ops, id, loop, sizeof(*s));
    g_autoptr(Chardev) chr = &s->base;
    ChardevFdMode in_mode;
    ChardevFdMode out_mode;

    if (!chardev_apply_common(chr, &c->common, error)) {
        return NULL;
    }
    if (isatty(STDIN_FILENO)) {
        s->terminal = terminal_borrow(STDIN_FILENO, c->signal, error);
        if (!s->terminal) {
            return NULL;
        }
    }

    int in = chardev_stdio_open(STDIN_FILENO, O_RDONLY, &in_mode);
    int out = chardev_stdio_open(STDOUT_FILENO, O_WRONLY, &out_mode);

    chardev_set_fds(chr, in, in_mode, out, out_mode);
    return g_steal_pointer(&chr);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pseudo-terminal that a person attaches to with screen or minicom; path= makes a link to it.
 *
 * The master reports a hang-up while nobody has the terminal open.  Then the chardev is closed and
 * output goes nowhere; inotify tells when somebody opens the terminal.
 */
#include "devices/backend/chardev_kinds.h"

#include "util/error.h"
#include "util/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

typedef struct ChardevPty {
    Chardev base;

    /* fixed after creation */
    char *name;
    char *link; /* NULL: none */
    int master;
    int inotify;
    LoopWatch *open_watch;
} ChardevPty;

static void chardev_pty_look(ChardevPty *s)
{
    struct pollfd ask = {.fd = s->master};

    if (chardev_is_open(&s->base) || (poll(&ask, 1, 0) == 1 && (ask.revents & POLLHUP))) {
        return;
    }

    int fd = fcntl(s->master, F_DUPFD_CLOEXEC, 3);

    if (fd >= 0) {
        chardev_set_fds(&s->base, fd, CHARDEV_FD_NONBLOCKING, fd, CHARDEV_FD_NONBLOCKING);
    }
}

static void chardev_pty_opened(void *opaque, int fd, GIOCondition events)
{
    union {
        struct inotify_event event;
        char space[4096];
    } buffer;

    (void)events;
    while (read(fd, &buffer, sizeof(buffer)) > 0) {
    }
    chardev_pty_look(opaque);
}

static void chardev_pty_hangup(Chardev *chr)
{
    chardev_pty_look((ChardevPty *)chr);
}

static void chardev_pty_close(Chardev *chr)
{
    ChardevPty *s = (ChardevPty *)chr;

    loop_unwatch(s->open_watch);
    if (s->link) {
        unlink(s->link);
    }
    fd_close(&s->inotify);
    fd_close(&s->master);
    g_free(s->link);
    g_free(s->name);
}

static char *chardev_pty_describe(const Chardev *chr)
{
    return g_strdup_printf("pty:%s", ((const ChardevPty *)chr)->name);
}

static const ChardevOps chardev_pty_ops = {
    .name = "pty",
    .hangup = chardev_pty_hangup,
    .close = chardev_pty_close,
    .describe = chardev_pty_describe,
};

/* The terminal's settings last as long as the master is open. */
static bool chardev_pty_make_raw(int master, GError **error)
{
    struct termios raw;
    auto_fd int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);

    if (slave < 0 || tcgetattr(slave, &raw) < 0) {
        return fail_errno(error, errno, "cannot open a pseudo-terminal");
    }
    cfmakeraw(&raw);
    if (tcsetattr(slave, TCSANOW, &raw) < 0) {
        return fail_errno(error, errno, "cannot set up a pseudo-terminal");
    }
    return true;
}

static bool chardev_pty_make(ChardevPty *s, GError **error)
{
    char name[64];

    s->master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (s->master < 0 || unlockpt(s->master) < 0) {
        return fail_errno(error, errno, "cannot make a pseudo-terminal");
    }
    if (!chardev_pty_make_raw(s->master, error)) {
        return false;
    }
    if (ptsname_r(s->master, name, sizeof(name)) != 0) {
        return fail_errno(error, errno, "cannot name a pseudo-terminal");
    }
    s->name = g_strdup(name);
    s->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (s->inotify < 0 || inotify_add_watch(s->inotify, name, IN_OPEN) < 0) {
        return fail_errno(error, errno, "cannot watch %s", name);
    }
    return true;
}

Chardev *chardev_pty_new(const char *id, const void *config, Loop *loop, GError **error)
{
    const ChardevPtyConfig *c = config;
    ChardevPty *s = chardev_alloc(&chardev_pty_ops, id, loop, sizeof(*s));
    g_autoptr(Chardev) chr = &s->base;

    s->master = -1;
    s->inotify = -1;
    if (!chardev_apply_common(chr, &c->common, error) || !chardev_pty_make(s, error)) {
        return NULL;
    }
    if (c->path) {
        if (symlink(s->name, c->path) < 0) {
            return fail_errno_null(error, errno, "cannot make the link '%s'", c->path);
        }
        s->link = g_strdup(c->path);
    }
    s->open_watch = loop_watch_fd(loop, s->inotify, G_IO_IN, chardev_pty_opened, s);
    return g_steal_pointer(&chr);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moves bytes between a front end and a pair of descriptors.
 *
 * Watches are made and dropped on the loop thread only.  Another thread that needs one (a write
 * was cut short, there is room for input again) leaves a flag and arms the service timer.
 */
#include "devices/backend/chardev_impl.h"

#include "util/error.h"
#include "util/fd.h"
#include "util/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define INPUT_CHUNK 4096

static void chardev_service(void *opaque);

void *chardev_alloc(const ChardevOps *ops, const char *id, Loop *loop, size_t size)
{
    Chardev *chr = g_malloc0(size);

    chr->ops = ops;
    chr->id = g_strdup(id);
    chr->loop = loop;
    chr->log_fd = -1;
    chr->in_fd = -1;
    chr->out_fd = -1;
    mutex_init(&chr->lock);
    chr->service = loop_timer_new(loop, chardev_service, chr);
    return chr;
}

bool chardev_apply_common(Chardev *chr, const ChardevCommon *common, GError **error)
{
    if (common->mux) {
        chr->escapes = g_new0(EscapeFilter, 1);
    }
    if (!common->logfile) {
        return true;
    }
    chr->log_fd =
        fd_sets_open(common->fd_sets, common->logfile,
                     O_WRONLY | O_CREAT | (common->logappend ? O_APPEND : O_TRUNC), 0600, error);
    return chr->log_fd >= 0;
}

void chardev_free(Chardev *chr)
{
    if (!chr) {
        return;
    }
    chr->frontend = NULL;
    if (chr->ops->close) {
        chr->ops->close(chr);
    }
    chardev_drop_fds(chr);
    loop_timer_free(chr->service);
    fd_close(&chr->log_fd);
    mutex_fini(&chr->lock);
    g_free(chr->escapes);
    g_free(chr->id);
    g_free(chr);
}

const char *chardev_id(const Chardev *chr)
{
    return chr->id;
}

char *chardev_describe(const Chardev *chr)
{
    return chr->ops->describe ? chr->ops->describe(chr) : g_strdup(chr->ops->name);
}

static void chardev_notify(Chardev *chr, ChardevEvent event)
{
    if (event == CHARDEV_OPENED) {
        TRACE(chardev_open, "%s", chr->id);
    } else if (event == CHARDEV_CLOSED) {
        TRACE(chardev_close, "%s", chr->id);
    }
    if (chr->frontend && chr->frontend->event) {
        chr->frontend->event(chr->frontend_opaque, event);
    }
}

bool chardev_attach(Chardev *chr, const ChardevFrontend *frontend, void *opaque, GError **error)
{
    if (chr->frontend) {
        return fail(error, VMM_ERROR_CONFIG, "chardev '%s' is in use by another device", chr->id);
    }
    chr->frontend = frontend;
    chr->frontend_opaque = opaque;
    if (chr->is_open) {
        chardev_notify(chr, CHARDEV_OPENED);
    }
    loop_timer_arm(chr->service, 0);
    return true;
}

void chardev_detach(Chardev *chr)
{
    chr->frontend = NULL;
    chr->frontend_opaque = NULL;
    chardev_service(chr);
}

bool chardev_is_attached(const Chardev *chr)
{
    return chr->frontend != NULL;
}

bool chardev_is_open(const Chardev *chr)
{
    return chr->is_open;
}

void chardev_set_quit(Chardev *chr, const Request *quit)
{
    if (chr->escapes) {
        chr->escapes->quit = *quit;
    }
}

/* ---- input ---- */

size_t chardev_room(Chardev *chr)
{
    return chr->frontend ? chr->frontend->can_receive(chr->frontend_opaque) : 0;
}

void chardev_deliver(Chardev *chr, const uint8_t *data, size_t len)
{
    if (chr->frontend && len > 0) {
        chr->frontend->receive(chr->frontend_opaque, data, len);
    }
}

void chardev_accept_input(Chardev *chr)
{
    if (atomic_exchange(&chr->input_paused, false)) {
        loop_timer_arm(chr->service, 0);
    }
}

static void chardev_hangup(Chardev *chr)
{
    chardev_drop_fds(chr);
    if (chr->ops->hangup) {
        chr->ops->hangup(chr);
    }
}

/* Input may end (a script on stdin) and output go on; then the far end is still there. */
static void chardev_end_of_input(Chardev *chr)
{
    bool separate;

    mutex_lock(&chr->lock);
    separate = chr->out_fd >= 0 && chr->out_fd != chr->in_fd;
    mutex_unlock(&chr->lock);
    if (!separate) {
        chardev_hangup(chr);
        return;
    }
    loop_unwatch(chr->in_watch);
    chr->in_watch = NULL;
    fd_close(&chr->in_fd);
}

static void chardev_deliver_held(Chardev *chr)
{
    EscapeFilter *escapes = chr->escapes;
    size_t room = chardev_room(chr);
    size_t n = MIN(room, escapes->n_held);
    uint8_t keys[ESCAPE_HELD];

    memcpy(keys, escapes->held, n);
    escape_filter_drop(escapes, n);
    chardev_deliver(chr, keys, n);
}

static void chardev_take_keys(Chardev *chr, const uint8_t *keys, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        switch (escape_filter_key(chr->escapes, keys[i])) {
        case ESCAPE_QUIT:
            request_make(&chr->escapes->quit, 0);
            break;
        case ESCAPE_BREAK:
            chardev_notify(chr, CHARDEV_BREAK);
            break;
        case ESCAPE_HELP:
            (void)chardev_write(chr, escape_help, strlen(escape_help));
            break;
        case ESCAPE_NOTHING:
            break;
        }
    }
    chardev_service(chr);
}

static void chardev_input(void *opaque, int fd, GIOCondition events)
{
    Chardev *chr = opaque;
    uint8_t data[INPUT_CHUNK];
    size_t room = chr->escapes ? sizeof(data) : chardev_room(chr);
    ssize_t n;

    (void)events;
    if (room == 0) {
        chardev_service(chr);
        return;
    }
    room = MIN(room, sizeof(data));
    n = chr->in_mode == CHARDEV_FD_SOCKET ? recv(fd, data, room, MSG_DONTWAIT)
                                          : read(fd, data, room);
    if (n > 0 && chr->escapes) {
        chardev_take_keys(chr, data, (size_t)n);
    } else if (n > 0) {
        chardev_deliver(chr, data, (size_t)n);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        chardev_end_of_input(chr);
    }
}

/* The pause is announced before the front end is asked again, so that no room goes unnoticed. */
static bool chardev_wants_input(Chardev *chr)
{
    if (!chr->frontend) {
        return false;
    }
    if (chardev_room(chr) > 0) {
        return true;
    }
    atomic_store(&chr->input_paused, true);
    if (chardev_room(chr) > 0) {
        atomic_store(&chr->input_paused, false);
        return true;
    }
    return false;
}

static void chardev_watch_input(Chardev *chr)
{
    bool wanted = chardev_wants_input(chr);

    if (wanted && chr->ops->accept_input) {
        chr->ops->accept_input(chr);
    }
    if (wanted && chr->escapes) {
        chardev_deliver_held(chr);
    }
    wanted = (wanted || chr->escapes) && chr->in_fd >= 0;
    if (wanted && !chr->in_watch) {
        chr->in_watch =
            loop_watch_fd(chr->loop, chr->in_fd, G_IO_IN | G_IO_HUP | G_IO_ERR, chardev_input, chr);
    } else if (!wanted && chr->in_watch) {
        loop_unwatch(chr->in_watch);
        chr->in_watch = NULL;
    }
}

/* ---- output ---- */

static ssize_t chardev_write_fd(int fd, ChardevFdMode mode, const uint8_t *data, size_t len)
{
    struct pollfd ask = {.fd = fd, .events = POLLOUT};

    switch (mode) {
    case CHARDEV_FD_SOCKET:
        return send(fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    case CHARDEV_FD_SHARED:
        if (poll(&ask, 1, 0) != 1) {
            errno = EAGAIN;
            return -1;
        }
        return write(fd, data, MIN(len, PIPE_BUF));
    case CHARDEV_FD_NONBLOCKING:
    case CHARDEV_FD_PLAIN:
    default:
        return write(fd, data, len);
    }
}

static size_t chardev_write_locked(Chardev *chr, const uint8_t *data, size_t len)
    REQUIRES(chr->lock)
{
    size_t done = 0;

    while (done < len && chr->out_fd >= 0 && !chr->output_failed) {
        ssize_t n = chardev_write_fd(chr->out_fd, chr->out_mode, data + done, len - done);

        if (n > 0) {
            done += (size_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            return done;
        } else if (n == 0 || errno != EINTR) {
            chr->output_failed = true;
            loop_timer_arm(chr->service, 0);
        }
    }
    return len;
}

/* A log that cannot be written any more (disk full) must not take the console with it. */
static void chardev_log_locked(Chardev *chr, const uint8_t *data, size_t len) REQUIRES(chr->lock)
{
    if (chr->log_fd >= 0 && !fd_write_all(chr->log_fd, "log", data, len, NULL)) {
        fd_close(&chr->log_fd);
    }
}

size_t chardev_write(Chardev *chr, const void *data, size_t len)
{
    size_t done;

    mutex_lock(&chr->lock);
    done = chr->ops->write ? chr->ops->write(chr, data, len) : chardev_write_locked(chr, data, len);
    chardev_log_locked(chr, data, done);
    if (done < len && !chr->output_waits) {
        chr->output_waits = true;
        loop_timer_arm(chr->service, 0);
    }
    mutex_unlock(&chr->lock);
    return done;
}

bool chardev_wait_writable(Chardev *chr, int timeout_ms)
{
    bool ready;

    mutex_lock(&chr->lock);

    struct pollfd ask = {.fd = chr->out_fd, .events = POLLOUT};

    ready = chr->out_fd < 0 || poll(&ask, 1, timeout_ms) == 1;
    mutex_unlock(&chr->lock);
    return ready;
}

size_t chardev_write_all(Chardev *chr, const void *data, size_t len, int timeout_ms)
{
    const uint8_t *bytes = data;
    size_t done = 0;

    for (;;) {
        done += chardev_write(chr, bytes + done, len - done);
        if (done == len || !chardev_wait_writable(chr, timeout_ms)) {
            return done;
        }
    }
}

static void chardev_writable(void *opaque, int fd, GIOCondition events)
{
    Chardev *chr = opaque;

    (void)fd;
    (void)events;
    loop_unwatch(chr->out_watch);
    chr->out_watch = NULL;
    mutex_lock(&chr->lock);
    chr->output_waits = false;
    mutex_unlock(&chr->lock);
    if (chr->frontend && chr->frontend->writable) {
        chr->frontend->writable(chr->frontend_opaque);
    }
}

/* ---- the far end ---- */

bool chardev_can_hang_up(const Chardev *chr)
{
    return chr->ops->hangup != NULL;
}

void chardev_hang_up(Chardev *chr)
{
    mutex_lock(&chr->lock);
    chr->output_failed = true;
    mutex_unlock(&chr->lock);
    loop_timer_arm(chr->service, 0);
}

static void chardev_service(void *opaque)
{
    Chardev *chr = opaque;
    bool failed;
    bool waits;
    int fd;

    mutex_lock(&chr->lock);
    failed = chr->output_failed;
    waits = chr->output_waits;
    fd = chr->out_fd;
    mutex_unlock(&chr->lock);
    if (failed) {
        chardev_hangup(chr);
        return;
    }
    if (waits && fd >= 0 && !chr->out_watch) {
        chr->out_watch =
            loop_watch_fd(chr->loop, fd, G_IO_OUT | G_IO_ERR | G_IO_HUP, chardev_writable, chr);
    }
    chardev_watch_input(chr);
}

void chardev_set_open(Chardev *chr, bool open)
{
    if (chr->is_open != open) {
        chr->is_open = open;
        chardev_notify(chr, open ? CHARDEV_OPENED : CHARDEV_CLOSED);
    }
}

void chardev_set_fds(Chardev *chr, int in_fd, ChardevFdMode in_mode, int out_fd,
                     ChardevFdMode out_mode)
{
    chr->in_fd = in_fd;
    chr->in_mode = in_mode;
    mutex_lock(&chr->lock);
    chr->out_fd = out_fd;
    chr->out_mode = out_mode;
    chr->output_failed = false;
    mutex_unlock(&chr->lock);
    chardev_set_open(chr, true);
    loop_timer_arm(chr->service, 0);
}

void chardev_drop_fds(Chardev *chr)
{
    bool owed;

    loop_unwatch(chr->in_watch);
    chr->in_watch = NULL;
    loop_unwatch(chr->out_watch);
    chr->out_watch = NULL;
    mutex_lock(&chr->lock);
    if (chr->out_fd == chr->in_fd) {
        chr->out_fd = -1;
    }
    fd_close(&chr->out_fd);
    fd_close(&chr->in_fd);
    chr->output_failed = false;
    owed = chr->output_waits;
    chr->output_waits = false;
    mutex_unlock(&chr->lock);
    chardev_set_open(chr, false);
    /* What the front end still holds goes where output goes with nobody there. */
    if (owed && chr->frontend && chr->frontend->writable) {
        chr->frontend->writable(chr->frontend_opaque);
    }
}

bool chardev_classify_fd(int fd, ChardevFdMode *ret_mode, GError **error)
{
    struct stat st;

    if (fstat(fd, &st) < 0) {
        return fail_errno(error, errno, "cannot use file descriptor %d", fd);
    }
    if (S_ISREG(st.st_mode) || S_ISSOCK(st.st_mode)) {
        *ret_mode = S_ISREG(st.st_mode) ? CHARDEV_FD_PLAIN : CHARDEV_FD_SOCKET;
        return true;
    }
    *ret_mode = CHARDEV_FD_NONBLOCKING;
    return fd_set_nonblocking(fd, true, error);
}

int chardev_dup_fd(int fd, int access, ChardevFdMode *ret_mode, GError **error)
{
    g_autofree char *self = g_strdup_printf("/proc/self/fd/%d", fd);
    struct stat st;
    int own = -1;

    if (fstat(fd, &st) < 0) {
        fail_errno(error, errno, "cannot use file descriptor %d", fd);
        return -1;
    }
    *ret_mode = S_ISREG(st.st_mode) ? CHARDEV_FD_PLAIN : CHARDEV_FD_SOCKET;
    if (S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode)) {
        own = open(self, access | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        *ret_mode = own >= 0 ? CHARDEV_FD_NONBLOCKING : CHARDEV_FD_SHARED;
    }
    if (own < 0) {
        own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    }
    if (own < 0) {
        fail_errno(error, errno, "cannot duplicate file descriptor %d", fd);
    }
    return own;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guard is forked, not spawned: it must not need a file that could be missing, and it does
 * nothing but read, tcsetattr and _exit, which a child of a threaded process may do.
 */
#include "devices/backend/terminal.h"

#include "util/error.h"
#include "util/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

/* A sanitizer keeps its own books in large mappings: it has to live with the copies. */
#if defined(__has_feature)
#define HAS_FEATURE(name) __has_feature(name)
#else
#define HAS_FEATURE(name) 0
#endif
#if HAS_FEATURE(thread_sanitizer) || defined(__SANITIZE_THREAD__)
#define LARGE_MAPPING UINTPTR_MAX
#else
#define LARGE_MAPPING ((uintptr_t)16 << 20)
#endif

struct Terminal {
    int fd;
    struct termios before;
    int guard_pipe; /* the guard acts when this breaks */
    pid_t guard;
};

/* Where a line of /proc/self/maps has got to: "start-end ...". */
typedef struct MapsLine {
    uintptr_t range[2];
    unsigned field;
} MapsLine;

static void guard_read_maps(MapsLine *line, char c)
{
    if (c == '\n') {
        void *start;

        memcpy(&start, &line->range[0], sizeof(start)); /* only the kernel looks at it */
        if (line->range[1] - line->range[0] >= LARGE_MAPPING) {
            madvise(start, line->range[1] - line->range[0], MADV_DONTNEED);
        }
        *line = (MapsLine){.field = 0};
    } else if (line->field < G_N_ELEMENTS(line->range) && g_ascii_isxdigit(c)) {
        line->range[line->field] =
            line->range[line->field] << 4 | (uintptr_t)g_ascii_xdigit_value(c);
    } else {
        line->field++;
    }
}

/*
 * The guard's copy of our memory would make us copy every page that we or the guest write: it lets
 * go of what is large.  No allocation here.
 */
static void guard_forget_memory(void)
{
    auto_fd int maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    MapsLine line = {.field = 0};
    char text[1024];
    ssize_t n;

    while ((n = read(maps, text, sizeof(text))) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            guard_read_maps(&line, text[i]);
        }
    }
}

static void guard_main(int pipe_fd, int tty, struct termios before) G_GNUC_NORETURN;

static void guard_main(int pipe_fd, int tty, struct termios before)
{
    char byte;
    ssize_t n;
    sigset_t all;

    setsid(); /* what ends our job must not end the guard first */
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    guard_forget_memory();
    dup2(tty, 0);
    dup2(pipe_fd, 1);
    close_range(2, ~0u, 0);
    do {
        n = read(1, &byte, 1);
    } while (n < 0 && errno == EINTR);
    if (n <= 0) {
        tcsetattr(0, TCSANOW, &before);
    }
    _exit(0);
}

static bool terminal_start_guard(Terminal *terminal, GError **error)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0) {
        return fail_errno(error, errno, "cannot make a pipe");
    }
    terminal->guard = fork();
    if (terminal->guard == 0) {
        close(ends[1]);
        guard_main(ends[0], terminal->fd, terminal->before);
    }
    close(ends[0]);
    terminal->guard_pipe = ends[1];
    if (terminal->guard < 0) {
        return fail_errno(error, errno, "cannot start the terminal's guard");
    }
    return true;
}

Terminal *terminal_borrow(int fd, bool signals, GError **error)
{
    g_autoptr(Terminal) terminal = g_new0(Terminal, 1);
    struct termios raw;

    terminal->guard_pipe = -1;
    terminal->guard = -1;
    terminal->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (terminal->fd < 0 || tcgetattr(terminal->fd, &terminal->before) < 0) {
        return fail_errno_null(error, errno, "cannot use the terminal");
    }
    if (!terminal_start_guard(terminal, error)) {
        return NULL;
    }
    raw = terminal->before;
    raw.c_iflag &= ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
    raw.c_oflag |= OPOST; /* the guest's own newlines are complete; ours and others' are not */
    raw.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | IEXTEN | (signals ? 0 : ISIG));
    raw.c_cflag = (raw.c_cflag & ~(tcflag_t)(CSIZE | PARENB)) | CS8;
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    if (tcsetattr(terminal->fd, TCSANOW, &raw) < 0) {
        return fail_errno_null(error, errno, "cannot make the terminal raw");
    }
    return g_steal_pointer(&terminal);
}

void terminal_return(Terminal *terminal)
{
    if (!terminal) {
        return;
    }
    if (terminal->fd >= 0) {
        tcsetattr(terminal->fd, TCSANOW, &terminal->before);
    }
    if (terminal->guard > 0) {
        (void)!write(terminal->guard_pipe, "q", 1);
        fd_close(&terminal->guard_pipe);
        while (waitpid(terminal->guard, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    fd_close(&terminal->guard_pipe);
    fd_close(&terminal->fd);
    g_free(terminal);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One run of one case: start, wait for the event with the clock running, end the program, reap it.
 * Everything that has to be set up (pipe, inotify watch, argument lists) is ready before t0.
 */
#include "bench/launch/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define OUTPUT_MAX ((size_t)64 * 1024)

typedef struct {
    int output; /* our end of the program's standard output */
    int watch;  /* inotify on the folder of the QMP socket, or -1 */
    int null;   /* the program's standard input */
    pid_t pid;
    uint64_t deadline_ns;
    char *text; /* what the program wrote: OUTPUT_MAX + 1 bytes, terminated */
    size_t length;
} Child;

/* Alone in its function: the child borrows this stack frame until exec. */
static __attribute__((noinline)) pid_t spawn(char **argv, int input, int output)
{
    pid_t pid = vfork();

    if (pid == 0) {
        dup2(input, STDIN_FILENO);
        dup2(output, STDOUT_FILENO);
        execvp(argv[0], argv);
        _exit(127);
    }
    return pid;
}

static int remaining_ms(const Child *child)
{
    uint64_t now = launch_now_ns();

    return now >= child->deadline_ns ? 0 : (int)((child->deadline_ns - now) / 1000000 + 1);
}

static int watch_folder_of(const char *path)
{
    char folder[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
    const char *slash = strrchr(path, '/');
    int watch;

    snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    unlink(path);
    watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (watch >= 0 && inotify_add_watch(watch, folder, IN_CREATE | IN_MOVED_TO) < 0) {
        close(watch);
        return -1;
    }
    return watch;
}

static bool child_start(Child *child, const Case *run, int timeout_ms, uint64_t *ret_t0)
{
    int pipe_fds[2];

    child->watch = run->until == UNTIL_QMP ? watch_folder_of(run->argument) : -1;
    child->null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    child->text = malloc(OUTPUT_MAX + 1);
    if (!child->text || child->null < 0 || (run->until == UNTIL_QMP && child->watch < 0) ||
        pipe2(pipe_fds, O_CLOEXEC) < 0) {
        return false;
    }
    child->output = pipe_fds[0];
    *ret_t0 = launch_now_ns();
    child->pid = spawn(run->argv, child->null, pipe_fds[1]);
    close(pipe_fds[1]);
    child->deadline_ns = *ret_t0 + (uint64_t)timeout_ms * 1000000;
    return child->pid > 0;
}

/* Waits for output and appends it.  False at its end, at the deadline, or when it is too much. */
static bool read_more(Child *child)
{
    struct pollfd poll_fd = {.fd = child->output, .events = POLLIN};
    ssize_t got;

    if (child->length == OUTPUT_MAX || poll(&poll_fd, 1, remaining_ms(child)) <= 0) {
        return false;
    }
    got = read(child->output, child->text + child->length, OUTPUT_MAX - child->length);
    if (got <= 0) {
        return false;
    }
    child->length += (size_t)got;
    child->text[child->length] = '\0';
    return true;
}

static bool wait_for_text(Child *child, const char *text)
{
    while (read_more(child)) {
        if (memmem(child->text, child->length, text, strlen(text))) {
            return true;
        }
    }
    return false;
}

/* The socket exists; between bind and listen a connection is refused, which lasts microseconds. */
static int connect_soon(const Child *child, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    while (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
        if ((errno != ECONNREFUSED && errno != ENOENT) || remaining_ms(child) == 0) {
            close(fd);
            return -1;
        }
        nanosleep(&(struct timespec){.tv_nsec = 10000}, NULL);
    }
    return fd;
}

static bool wait_for_greeting(Child *child, const char *path)
{
    char event[4096] __attribute__((aligned(8)));
    char greeting[512] = "";
    bool greeted = false;

    while (access(path, F_OK) < 0) {
        struct pollfd fds[] = {{.fd = child->watch, .events = POLLIN},
                               {.fd = child->output, .events = 0}};

        if (poll(fds, 2, remaining_ms(child)) <= 0 || fds[1].revents) {
            return false;
        }
        if (read(child->watch, event, sizeof(event)) < 0 && errno != EAGAIN) {
            return false;
        }
    }
    int fd = connect_soon(child, path);
    struct pollfd reply = {.fd = fd, .events = POLLIN};

    if (fd >= 0 && poll(&reply, 1, remaining_ms(child)) > 0 &&
        read(fd, greeting, sizeof(greeting) - 1) > 0) {
        greeted = strncmp(greeting, "{\"QMP\"", 6) == 0 || strncmp(greeting, "{ \"QMP\"", 7) == 0;
    }
    if (fd >= 0) {
        close(fd);
    }
    return greeted;
}

/* Closes over every way to end; true when the event of the case was seen in time. */
static bool wait_for_event(Child *child, const Case *run)
{
    switch (run->until) {
    case UNTIL_BYTE:
    case UNTIL_STEPS:
        return read_more(child);
    case UNTIL_TEXT:
        return wait_for_text(child, run->argument);
    case UNTIL_QMP:
        return wait_for_greeting(child, run->argument);
    case UNTIL_EXIT:
        while (read_more(child)) {
        }
        return remaining_ms(child) > 0;
    }
    return false;
}

/* Returns true if the program ended as the case wants it to. */
static bool child_reap(Child *child, const Case *run, bool seen)
{
    bool runs_to_its_end = run->until == UNTIL_STEPS || run->until == UNTIL_EXIT;
    int status = 0;

    if (runs_to_its_end && seen) {
        while (read_more(child)) {
        }
    }
    if (!runs_to_its_end || !seen || remaining_ms(child) == 0) {
        kill(child->pid, SIGKILL);
    }
    waitpid(child->pid, &status, 0);
    return !runs_to_its_end || (WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void child_close(Child *child)
{
    const int fds[] = {child->output, child->watch, child->null};

    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
    free(child->text);
}

static Step *find_step(Case *run, const char *name)
{
    for (size_t i = 0; i < run->step_count; i++) {
        if (strcmp(run->steps[i].name, name) == 0) {
            return &run->steps[i];
        }
    }
    if (run->step_count == LAUNCH_STEPS_MAX) {
        return NULL;
    }
    snprintf(run->steps[run->step_count].name, LAUNCH_STEP_NAME, "%s", name);
    return &run->steps[run->step_count++];
}

static void record_steps(Case *run, char *text, uint64_t t0)
{
    uint64_t before = t0;
    char *save = NULL;

    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char *number = strrchr(line, ' ');
        uint64_t at = number ? strtoull(number, NULL, 10) : 0;
        Step *step;

        if (strncmp(line, "step ", strlen("step ")) != 0 || number <= line + strlen("step")) {
            continue;
        }
        *number = '\0';
        step = find_step(run, line + strlen("step "));
        if (step && at >= before) {
            samples_add(&step->samples, at - before);
            before = at;
        }
    }
}

void case_run(Case *run, int timeout_ms, bool record)
{
    Child child = {.output = -1, .watch = -1, .null = -1};
    uint64_t t0 = 0;
    bool seen = child_start(&child, run, timeout_ms, &t0) && wait_for_event(&child, run);
    uint64_t t1 = launch_now_ns();
    bool good = child.pid > 0 && child_reap(&child, run, seen) && seen;
    uint64_t t2 = launch_now_ns();

    if (record && good) {
        samples_add(&run->total, (run->until == UNTIL_EXIT ? t2 : t1) - t0);
        samples_add(&run->teardown, t2 - t1);
        child.text[child.length] = '\0';
        record_steps(run, child.text, t0);
    } else if (record) {
        run->failures++;
    }
    child_close(&child);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qmp-rtt SOCKET ROUNDS: how long a query-status takes, beside a bare echo over a unix socket.
 *
 * The echo is the floor: a process that reads and writes back, with an answer of the same length.
 * Both take turns.  Prints a line per round trip, "echo NS" or "qmp NS".
 */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define NEGOTIATE "{\"execute\":\"qmp_capabilities\"}"
#define QUESTION  "{\"execute\":\"query-status\"}"
#define MAX_LINE  4096

static int die(const char *what)
{
    fprintf(stderr, "qmp-rtt: %s: %s\n", what, strerror(errno));
    return EXIT_FAILURE;
}

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* One line, however many reads it takes; its length, or -1. */
static ssize_t read_line(int fd, char *line)
{
    size_t len = 0;

    do {
        ssize_t n = read(fd, line + len, MAX_LINE - len);

        if (n <= 0) {
            return -1;
        }
        len += (size_t)n;
    } while (line[len - 1] != '\n' && len < MAX_LINE);
    return (ssize_t)len;
}

static ssize_t ask(int fd, const char *question, char *line)
{
    size_t len = strlen(question);

    return write(fd, question, len) == (ssize_t)len ? read_line(fd, line) : -1;
}

/* Answers whatever comes with len bytes that end a line, until the other end is closed. */
static void echo(int fd, size_t len)
{
    char question[MAX_LINE];
    char answer[MAX_LINE];

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    memset(answer, 'x', sizeof(answer));
    answer[len - 1] = '\n';
    while (read(fd, question, sizeof(question)) > 0 && write(fd, answer, len) == (ssize_t)len) {
    }
    _exit(EXIT_SUCCESS);
}

static int start_echo(size_t len)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        return -1;
    }
    switch (fork()) {
    case -1:
        return -1;
    case 0:
        close(pair[0]);
        echo(pair[1], len);
    }
    close(pair[1]);
    return pair[0];
}

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || strlen(path) >= sizeof(address.sun_path)) {
        return -1;
    }
    strcpy(address.sun_path, path);
    return connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 ? fd : -1;
}

static int time_one(const char *name, int fd, char *line)
{
    int64_t begin = now_ns();

    if (ask(fd, QUESTION, line) < 0) {
        return die(name);
    }
    printf("%s %lld\n", name, (long long)(now_ns() - begin));
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    char line[MAX_LINE];
    ssize_t len;
    int qmp;
    int bare;

    if (argc != 3) {
        fprintf(stderr, "usage: qmp-rtt SOCKET ROUNDS\n");
        return EXIT_FAILURE;
    }
    qmp = connect_to(argv[1]);
    if (qmp < 0 || read_line(qmp, line) < 0 || ask(qmp, NEGOTIATE, line) < 0) {
        return die(argv[1]);
    }
    len = ask(qmp, QUESTION, line);
    bare = len > 0 ? start_echo((size_t)len) : -1;
    if (bare < 0) {
        return die("echo");
    }
    for (long i = atol(argv[2]); i > 0; i--) {
        if (time_one("echo", bare, line) != 0 || time_one("qmp", qmp, line) != 0) {
            return EXIT_FAILURE;
        }
    }
    return EXIT_SUCCESS;
}

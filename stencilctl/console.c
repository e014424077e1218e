/* SPDX-License-Identifier: Apache-2.0 */
/*
 * console: the terminal (or standard input and output) on the other end of a character device.
 *
 * The terminal is raw meanwhile, and given back whatever ends us: signals are read as events.
 */
#include "stencilctl/verbs.h"

#include "util/error.h"
#include "util/fd.h"
#include "util/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#define DEFAULT_LABEL  "serial0"
#define DEFAULT_ESCAPE "^]"
#define DISCONNECTED   "disconnected:"
#define PTY            "pty:"
#define ESCAPE_NONE    (-1)

typedef struct Console {
    int fd; /* the character device */
    int signals;
    int escape; /* the byte that leaves, or ESCAPE_NONE */
    bool raw;
    bool input_over;
    struct termios before; /* if raw */
} Console;

/* ---- which one ---- */

/* "unix:PATH,server=on" without what follows the address; newly allocated. */
static char *address_of(const char *filename)
{
    const char *address =
        g_str_has_prefix(filename, DISCONNECTED) ? filename + strlen(DISCONNECTED) : filename;
    const char *end = strrchr(address, ',');

    return end && g_str_has_prefix(end, ",server") ? g_strndup(address, (size_t)(end - address))
                                                   : g_strdup(address);
}

static bool is_reachable(const char *filename)
{
    static const char *const kinds[] = {"unix:", "abstract:", "tcp:", PTY};
    g_autofree char *address = address_of(filename);

    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (g_str_has_prefix(address, kinds[i])) {
            return true;
        }
    }
    return false;
}

/* The socket that we came through is a monitor, and no console. */
static bool is_our_monitor(const Call *call, const char *filename)
{
    g_autofree char *address = address_of(filename);
    const char *ours = call->socket;

    return g_strcmp0(address, ours) == 0 ||
           (g_str_has_prefix(address, "unix:") && g_strcmp0(address + strlen("unix:"), ours) == 0);
}

/* A server socket that does not say so has a client, and we would wait behind it. */
static bool is_taken(const char *filename)
{
    return strstr(filename, ",server") && !g_str_has_prefix(filename, DISCONNECTED);
}

typedef struct Choice {
    const char *filename; /* of the one that was asked for, or that must be meant */
    unsigned candidates;
    GString *labels; /* of the candidates */
} Choice;

static void consider(const Call *call, json_object *item, Choice *choice)
{
    const char *wanted = call->words[0];
    const char *label = json_text_at(item, "label");
    const char *filename = json_text_at(item, "filename");
    bool named = g_strcmp0(label, wanted ? wanted : DEFAULT_LABEL) == 0;

    if (!label || !filename || (wanted && !named)) {
        return;
    }
    if (named) {
        choice->filename = filename;
        choice->candidates = 1;
        return;
    }
    if (is_reachable(filename) && !is_our_monitor(call, filename)) {
        choice->filename = filename;
        choice->candidates++;
        g_string_append_printf(choice->labels, " %s", label);
    }
}

/* The address of the console; NULL with a message and *ret_status. */
static char *choose(const Call *call, json_object *chardevs, Status *ret_status)
{
    g_autoptr(GString) labels = g_string_new(NULL);
    Choice choice = {.labels = labels};
    bool is_default = false;

    for (size_t i = 0; i < json_count(chardevs) && !is_default; i++) {
        json_object *item = json_item(chardevs, i);

        consider(call, item, &choice);
        is_default = !call->words[0] && g_strcmp0(json_text_at(item, "label"), DEFAULT_LABEL) == 0;
    }
    *ret_status = STATUS_REFUSED;
    if (choice.candidates == 0) {
        render_error(call->render, "the VM has no character device %s",
                     call->words[0] ? call->words[0] : "that could be its console");
    } else if (choice.candidates > 1) {
        *ret_status = STATUS_USAGE;
        render_error(call->render, "several could be the console, name one:%s", labels->str);
    } else if (!is_reachable(choice.filename)) {
        render_error(call->render, "the console is '%s', which nobody can connect to",
                     choice.filename);
    } else {
        if (is_taken(choice.filename)) {
            render_error(call->render, "somebody is connected already; waiting until they leave");
        }
        return address_of(choice.filename);
    }
    return NULL;
}

static int connect_to(const char *address, GError **error)
{
    g_auto(SocketAddress) parsed = {.fd = -1};

    if (g_str_has_prefix(address, PTY)) {
        return fd_open(address + strlen(PTY), O_RDWR | O_NOCTTY, 0, error);
    }
    return socket_address_parse(address, &parsed, error) ? socket_connect(&parsed, error) : -1;
}

/* ---- the terminal ---- */

/* "^]", "^a", "none"; false if it is neither. */
static bool parse_escape(const char *text, int *ret_escape)
{
    if (strcmp(text, "none") == 0) {
        *ret_escape = ESCAPE_NONE;
        return true;
    }
    if (text[0] != '^' || text[1] == '\0' || text[2] != '\0') {
        return false;
    }

    int key = (unsigned char)g_ascii_toupper(text[1]);

    *ret_escape = key & 0x1f;
    return key >= '@' && key <= '_';
}

static void make_raw(Console *console)
{
    struct termios raw;

    if (tcgetattr(STDIN_FILENO, &console->before) < 0) {
        return; /* a pipe or a file */
    }
    raw = console->before;
    cfmakeraw(&raw);
    console->raw = tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
}

static bool console_open(Console *console, GError **error)
{
    sigset_t ending;

    sigemptyset(&ending);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGHUP);
    sigaddset(&ending, SIGINT);
    sigaddset(&ending, SIGQUIT);
    sigprocmask(SIG_BLOCK, &ending, NULL);
    console->signals = signalfd(-1, &ending, SFD_CLOEXEC);
    if (console->signals < 0) {
        return fail_errno(error, errno, "cannot watch for signals");
    }
    make_raw(console);
    return true;
}

static void console_close(Console *console)
{
    if (console->raw) {
        tcsetattr(STDIN_FILENO, TCSADRAIN, &console->before);
    }
    fd_close(&console->signals);
    fd_close(&console->fd);
}

/* ---- bytes ---- */

typedef enum {
    FLOW_ON,
    FLOW_LEFT, /* by the escape key or a signal */
    FLOW_OVER, /* the other end hung up */
    FLOW_BROKEN,
} Flow;

static Flow take_input(Console *console, GError **error)
{
    char data[4096];
    ssize_t n = read(STDIN_FILENO, data, sizeof(data));
    const char *escape;
    size_t len;

    if (n <= 0) {
        console->input_over = n == 0 || (errno != EINTR && errno != EAGAIN);
        return FLOW_ON;
    }
    escape = console->raw && console->escape != ESCAPE_NONE
                 ? memchr(data, console->escape, (size_t)n)
                 : NULL;
    len = escape ? (size_t)(escape - data) : (size_t)n;
    if (len > 0 && !fd_write_all(console->fd, "the console", data, len, error)) {
        return FLOW_BROKEN;
    }
    return escape ? FLOW_LEFT : FLOW_ON;
}

static Flow take_output(Console *console, GError **error)
{
    char data[4096];
    ssize_t n = read(console->fd, data, sizeof(data));

    if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
        return FLOW_ON;
    }
    if (n <= 0) {
        return FLOW_OVER; /* a terminal's other end is gone with EIO */
    }
    return fd_write_all(STDOUT_FILENO, "standard output", data, (size_t)n, error) ? FLOW_ON
                                                                                  : FLOW_BROKEN;
}

/* What remains of the deadline, for poll. */
static int time_left_ms(const Call *call)
{
    int64_t deadline_ns = call->client ? client_deadline_ns(call->client) : CLIENT_NO_DEADLINE;

    if (deadline_ns == CLIENT_NO_DEADLINE) {
        return -1;
    }
    return (int)CLAMP(deadline_ns / 1000000 - g_get_monotonic_time() / 1000, 0, G_MAXINT);
}

static Flow flow(Console *console, const Call *call, GError **error)
{
    Flow state = FLOW_ON;

    while (state == FLOW_ON) {
        struct pollfd asks[] = {
            {.fd = console->fd, .events = POLLIN},
            {.fd = console->input_over ? -1 : STDIN_FILENO, .events = POLLIN},
            {.fd = console->signals, .events = POLLIN},
        };
        int n = poll(asks, G_N_ELEMENTS(asks), time_left_ms(call));

        if (n == 0) {
            fail(error, VMM_ERROR_STATE, "the time is up");
            return FLOW_BROKEN;
        }
        if (asks[0].revents) {
            state = take_output(console, error);
        }
        if (state == FLOW_ON && asks[1].revents) {
            state = take_input(console, error);
        }
        if (state == FLOW_ON && asks[2].revents) {
            state = FLOW_LEFT;
        }
    }
    return state;
}

static Status converse(Console *console, const Call *call, const char *address)
{
    g_autoptr(GError) error = NULL;
    Flow end;

    if (!console_open(console, &error)) {
        return call_broken(call, error);
    }
    if (console->raw) {
        g_autofree char *safe = render_safe(address);

        fprintf(stderr, "%s; %s leaves\r\n", safe,
                console->escape == ESCAPE_NONE ? "nothing"
                                               : (call->escape ? call->escape : DEFAULT_ESCAPE));
    }
    end = flow(console, call, &error);
    console_close(console);
    if (end == FLOW_BROKEN) {
        return call_broken(call, error);
    }
    if (end == FLOW_OVER && isatty(STDERR_FILENO)) {
        fputs("\r\nthe console is closed\n", stderr);
    }
    return STATUS_OK;
}

Status verb_console(const Call *call, const Verb *verb)
{
    Console console = {.fd = -1, .signals = -1};
    g_autoptr(GError) error = NULL;
    g_autoptr(json_object) chardevs = NULL;
    g_autofree char *address = NULL;
    Status status;

    (void)verb;
    if (!parse_escape(call->escape ? call->escape : DEFAULT_ESCAPE, &console.escape)) {
        render_error(call->render, "--escape '%s': expected ^ and a letter, or none", call->escape);
        return STATUS_USAGE;
    }
    status = call_execute(call, "query-chardev", /* arguments= */ NULL, &chardevs);
    if (status != STATUS_OK) {
        return status;
    }
    address = choose(call, chardevs, &status);
    if (!address) {
        return status;
    }
    console.fd = connect_to(address, &error);
    return console.fd < 0 ? call_broken(call, error) : converse(&console, call, address);
}

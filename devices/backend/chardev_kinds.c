/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/backend/chardev_kinds.h"

#include "util/error.h"

/* clang-format off */
#define COMMON_PROPS(Config) \
    {.name = "logfile", .type = PROP_STRING, .offset = offsetof(Config, common.logfile), \
     .help = "copy all output to this file"}, \
    {.name = "logappend", .type = PROP_BOOL, .offset = offsetof(Config, common.logappend), \
     .help = "keep what the log file has"}, \
    {.name = "mux", .type = PROP_BOOL, .offset = offsetof(Config, common.mux), \
     .help = "Ctrl-a is an escape: Ctrl-a h tells more"}

static const PropDesc null_props[] = {
    COMMON_PROPS(ChardevNullConfig),
};

static const PropDesc stdio_props[] = {
    COMMON_PROPS(ChardevStdioConfig),
    {.name = "signal", .type = PROP_BOOL, .offset = offsetof(ChardevStdioConfig, signal),
     .default_text = "on", .help = "Ctrl-C ends stencil instead of going to the guest"},
};

static const PropDesc file_props[] = {
    COMMON_PROPS(ChardevFileConfig),
    {.name = "path", .type = PROP_STRING, .offset = offsetof(ChardevFileConfig, path),
     .required = true, .help = "where output goes"},
    {.name = "input-path", .type = PROP_STRING, .offset = offsetof(ChardevFileConfig, input_path),
     .help = "where input comes from"},
    {.name = "append", .type = PROP_BOOL, .offset = offsetof(ChardevFileConfig, append),
     .help = "keep what the file has"},
};

static const PropDesc socket_props[] = {
    COMMON_PROPS(ChardevSocketConfig),
    {.name = "path", .type = PROP_STRING, .offset = offsetof(ChardevSocketConfig, path),
     .help = "unix socket"},
    {.name = "abstract", .type = PROP_BOOL, .offset = offsetof(ChardevSocketConfig, abstract),
     .help = "path is a name in the abstract namespace"},
    {.name = "host", .type = PROP_STRING, .offset = offsetof(ChardevSocketConfig, host),
     .help = "TCP address, a number or localhost"},
    {.name = "port", .type = PROP_STRING, .offset = offsetof(ChardevSocketConfig, port),
     .help = "TCP port"},
    {.name = "fd", .type = PROP_STRING, .offset = offsetof(ChardevSocketConfig, fd),
     .help = "number of an open descriptor: listening with server=on, else connected"},
    {.name = "server", .type = PROP_BOOL, .offset = offsetof(ChardevSocketConfig, server),
     .help = "listen"},
    {.name = "wait", .type = PROP_BOOL, .offset = offsetof(ChardevSocketConfig, wait),
     .default_text = "on", .help = "with server=on, go on only once a client is there"},
    {.name = "nodelay", .alias = "delay", .type = PROP_BOOL, .ignored = true,
     .help = "always on: small pieces are sent at once"},
    {.name = "reconnect", .type = PROP_UINT, .offset = offsetof(ChardevSocketConfig, reconnect),
     .max = 86400, .help = "seconds between attempts to connect, 0 for one attempt only"},
};

static const PropDesc pty_props[] = {
    COMMON_PROPS(ChardevPtyConfig),
    {.name = "path", .type = PROP_STRING, .offset = offsetof(ChardevPtyConfig, path),
     .help = "make a link of this name to the terminal"},
};

static const PropDesc pipe_props[] = {
    COMMON_PROPS(ChardevPipeConfig),
    {.name = "path", .type = PROP_STRING, .offset = offsetof(ChardevPipeConfig, path),
     .required = true, .help = "named pipe, or two of them: PATH.in and PATH.out"},
};

static const PropDesc ringbuf_props[] = {
    COMMON_PROPS(ChardevRingbufConfig),
    {.name = "size", .type = PROP_SIZE, .offset = offsetof(ChardevRingbufConfig, size),
     .min = 1, .max = 64 << 20, .power_of_two = true, .default_text = "64K",
     .help = "how much is kept"},
};
/* clang-format on */

static const PropTable null_table = PROP_TABLE("chardev null", null_props, ChardevNullConfig);
static const PropTable stdio_table = PROP_TABLE("chardev stdio", stdio_props, ChardevStdioConfig);
static const PropTable file_table = PROP_TABLE("chardev file", file_props, ChardevFileConfig);
static const PropTable socket_table =
    PROP_TABLE("chardev socket", socket_props, ChardevSocketConfig);

static const PropTable pty_table = PROP_TABLE("chardev pty", pty_props, ChardevPtyConfig);
static const PropTable pipe_table = PROP_TABLE("chardev pipe", pipe_props, ChardevPipeConfig);
static const PropTable ringbuf_table =
    PROP_TABLE("chardev ringbuf", ringbuf_props, ChardevRingbufConfig);

const ChardevKind chardev_kinds[] = {
    {"null", &null_table, chardev_null_new},       {"stdio", &stdio_table, chardev_stdio_new},
    {"file", &file_table, chardev_file_new},       {"pty", &pty_table, chardev_pty_new},
    {"pipe", &pipe_table, chardev_pipe_new},       {"ringbuf", &ringbuf_table, chardev_ringbuf_new},
    {"socket", &socket_table, chardev_socket_new},
};
const size_t chardev_n_kinds = G_N_ELEMENTS(chardev_kinds);

const ChardevKind *chardev_kind_find(const char *name)
{
    for (size_t i = 0; i < chardev_n_kinds; i++) {
        if (g_strcmp0(name, chardev_kinds[i].name) == 0) {
            return &chardev_kinds[i];
        }
    }
    return NULL;
}

Chardev *chardev_new(const PropBag *bag, const char *id, Loop *loop, const FdSets *fd_sets,
                     GError **error)
{
    const char *type = prop_bag_type(bag);
    const ChardevKind *kind = chardev_kind_find(type);
    g_autofree void *config = NULL;
    Chardev *chr;

    if (!kind) {
        return fail_null(error, VMM_ERROR_CONFIG, "chardev '%s' is of no kind known here",
                         type ? type : "");
    }
    config = g_malloc0(kind->props->struct_size);
    if (!props_apply(kind->props, bag, config, error)) {
        return NULL;
    }
    ((ChardevCommon *)config)->fd_sets = fd_sets;
    id = prop_bag_id(bag) ? prop_bag_id(bag) : id;
    chr = kind->create(id, config, loop, error);
    if (!chr) {
        g_prefix_error(error, "chardev '%s': ", id);
    }
    props_clear(kind->props, config);
    return chr;
}

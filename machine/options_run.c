/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who the VM is, where its state comes from, and what happens when it ends.
 */
#include "machine/options_private.h"
#include "util/error.h"
#include "util/text.h"

#include <string.h>

/* ---- -name and -uuid --------------------------------------------------------------------- */

typedef struct NameProps {
    char *guest;
    char *process;
    bool debug_threads;
} NameProps;

static const PropDesc name_props[] = {
    {.name = "guest", .type = PROP_STRING, .offset = offsetof(NameProps, guest), .max = 255},
    {.name = "process", .type = PROP_STRING, .offset = offsetof(NameProps, process), .max = 255},
    {.name = "debug-threads", .type = PROP_BOOL, .offset = offsetof(NameProps, debug_threads)},
};

static const PropTable name_table = PROP_TABLE("name", name_props, NameProps);

bool option_set_name(OptionsParser *parser, const Option *option, const char *value, GError **error)
{
    NameProps props;

    if (!option_apply(value, option->implied_key, &name_table, &props, error)) {
        return false;
    }
    parser->config->name = props.guest;
    parser->config->process_name = props.process;
    parser->config->debug_threads = props.debug_threads;
    return true;
}

bool option_set_uuid(OptionsParser *parser, const Option *option, const char *value, GError **error)
{
    if (!text_parse_uuid(value, parser->config->uuid)) {
        return fail(error, VMM_ERROR_CONFIG, "'%s': expected %s", value, option->form);
    }
    parser->config->uuid_given = true;
    return true;
}

/* ---- -incoming --------------------------------------------------------------------------- */

static const char *const clock_names[] = {"auto", "catch-up", "freeze", NULL};
enum {
    ENGINE_AUTO,
    ENGINE_MAP,
    ENGINE_COPY,
    ENGINE_LAZY
};
static const char *const engine_names[] = {
    [ENGINE_AUTO] = "auto",
    [ENGINE_MAP] = "map",
    [ENGINE_COPY] = "copy",
    [ENGINE_LAZY] = "lazy",
    NULL,
};

typedef struct IncomingProps {
    char *uri;
    OnOffAuto resume;
    unsigned clock;
    unsigned memory;
    bool memory_given;
    bool mapped;
    bool mapped_given;
    bool fill;
    bool fill_given;
    uint64_t offset;
} IncomingProps;

static const PropDesc incoming_props[] = {
    {.name = "uri", .type = PROP_STRING, .offset = offsetof(IncomingProps, uri), .required = true},
    {.name = "resume", .type = PROP_ON_OFF_AUTO, .offset = offsetof(IncomingProps, resume)},
    {.name = "clock",
     .type = PROP_ENUM,
     .offset = offsetof(IncomingProps, clock),
     .names = clock_names},
    {.name = "memory",
     .type = PROP_ENUM,
     .offset = offsetof(IncomingProps, memory),
     .given_offset = offsetof(IncomingProps, memory_given),
     .names = engine_names},
    {.name = "mapped",
     .type = PROP_BOOL,
     .offset = offsetof(IncomingProps, mapped),
     .given_offset = offsetof(IncomingProps, mapped_given)},
    {.name = "fill",
     .type = PROP_BOOL,
     .offset = offsetof(IncomingProps, fill),
     .given_offset = offsetof(IncomingProps, fill_given)},
    {.name = "offset", .type = PROP_SIZE, .offset = offsetof(IncomingProps, offset)},
};

static const PropTable incoming_table = PROP_TABLE("incoming", incoming_props, IncomingProps);

static const char *const incoming_schemes[] = {"file", "unix", "tcp", "fd", "exec"};

/* The scheme is written in lower case from here on; StratoVirt takes others too. */
static bool check_uri(PropBag *bag, GError **error)
{
    const char *uri = prop_bag_get(bag, "uri");
    const char *colon = strchr(uri, ':');

    if (strcmp(uri, "defer") == 0) {
        return true;
    }
    for (size_t i = 0; colon && colon[1] != '\0' && i < G_N_ELEMENTS(incoming_schemes); i++) {
        const char *scheme = incoming_schemes[i];

        if (strlen(scheme) == (size_t)(colon - uri) &&
            g_ascii_strncasecmp(uri, scheme, strlen(scheme)) == 0) {
            g_autofree char *lower = g_strconcat(scheme, colon, NULL);

            prop_bag_set(bag, "uri", lower);
            return true;
        }
    }
    return fail(error, VMM_ERROR_CONFIG, "'%s': expected defer, file:PATH, fd:N or exec:COMMAND",
                uri);
}

static bool check_incoming(PropBag *bag, GError **error)
{
    IncomingProps props;

    if (!props_apply(&incoming_table, bag, &props, error)) {
        return false;
    }
    props_clear(&incoming_table, &props);
    if (props.mapped_given && props.memory_given) {
        return fail(error, VMM_ERROR_CONFIG,
                    "mapped and memory say the same thing: expected one of them");
    }
    if (props.mapped_given) {
        /* StratoVirt's word for the engine. */
        g_free(prop_bag_take(bag, "mapped"));
        prop_bag_add(bag, "memory", props.mapped ? "map" : "copy");
    }
    if (props.fill_given && (props.memory == ENGINE_MAP || props.memory == ENGINE_COPY)) {
        return fail(error, VMM_ERROR_CONFIG,
                    "fill is for memory that comes on demand: expected memory=lazy");
    }
    if (props.fill_given) {
        prop_bag_set(bag, "fill", props.fill ? "on" : "off"); /* by whatever word it was said */
    }
    return check_uri(bag, error);
}

/* The words of exec's argument list, so that a shell gives them back one by one. */
static char *exec_command(const PropBag *channel)
{
    GString *command = g_string_new("exec:");

    for (size_t i = 0; i < prop_bag_count(channel); i++) {
        if (strcmp(prop_bag_key(channel, i), "addr.args") == 0) {
            g_autofree char *quoted = g_shell_quote(prop_bag_value(channel, i));

            g_string_append_printf(command, "%s ", quoted);
        }
    }
    return g_string_free(command, /* free_segment= */ FALSE);
}

/* QEMU's newer form, a JSON object of the kind that QMP's migrate-incoming has, as a URI. */
static char *channel_to_uri(const PropBag *channel, GError **error)
{
    const char *transport = prop_bag_get(channel, "addr.transport");
    const char *type = prop_bag_get(channel, "addr.type");
    const char *path = prop_bag_get(channel, "addr.path");
    const char *host = prop_bag_get(channel, "addr.host");
    const char *port = prop_bag_get(channel, "addr.port");
    const char *fd = prop_bag_get(channel, "addr.str");
    const char *file = prop_bag_get(channel, "addr.filename");
    bool socket = g_strcmp0(transport, "socket") == 0;

    if (socket && g_strcmp0(type, "unix") == 0 && path) {
        return g_strconcat("unix:", path, NULL);
    }
    if (socket && g_strcmp0(type, "inet") == 0 && host && port) {
        return g_strconcat("tcp:", host, ":", port, NULL);
    }
    if (socket && g_strcmp0(type, "fd") == 0 && fd) {
        return g_strconcat("fd:", fd, NULL);
    }
    if (g_strcmp0(transport, "file") == 0 && file) {
        return g_strconcat("file:", file, NULL);
    }
    if (g_strcmp0(transport, "exec") == 0 && prop_bag_get(channel, "addr.args")) {
        return exec_command(channel);
    }
    return fail_null(error, VMM_ERROR_CONFIG,
                     "channel address with transport '%s': expected a complete one of socket "
                     "(unix, inet, fd), file or exec",
                     transport ? transport : "");
}

static PropBag *parse_channel(const char *text, GError **error)
{
    g_autoptr(PropBag) channel = props_parse(text, /* implied_key= */ NULL, error);
    g_autofree char *uri = channel ? channel_to_uri(channel, error) : NULL;
    const char *offset = uri ? prop_bag_get(channel, "addr.offset") : NULL;
    PropBag *bag;

    if (!uri) {
        return NULL;
    }
    bag = prop_bag_new(/* implied_key= */ NULL);
    prop_bag_add(bag, "uri", uri);
    if (offset) {
        prop_bag_add(bag, "offset", offset);
    }
    return bag;
}

/* "file:DIR,memory=map"; a path that has a comma doubles it if options follow. */
static PropBag *parse_uri(const char *text, GError **error)
{
    const char *cursor = text;
    g_autofree char *uri = text_next_field(&cursor);
    PropBag *bag = props_parse(cursor, /* implied_key= */ NULL, error);

    if (bag) {
        prop_bag_add(bag, "uri", uri ? uri : "");
    }
    return bag;
}

bool option_set_incoming(OptionsParser *parser, const Option *option, const char *value,
                         GError **error)
{
    /* The command of exec: is everything that follows. */
    bool exec = g_ascii_strncasecmp(value, "exec:", strlen("exec:")) == 0;
    g_autoptr(PropBag) bag = NULL;

    if (value[0] == '{') {
        bag = parse_channel(value, error);
    } else if (exec || !strchr(value, '=')) {
        bag = prop_bag_new(/* implied_key= */ NULL);
        prop_bag_add(bag, "uri", value);
    } else {
        bag = parse_uri(value, error);
    }
    if (!bag || !check_incoming(bag, error)) {
        return false;
    }
    parser->config->incoming.uri = prop_bag_take(bag, "uri");
    parser->config->incoming.options = g_steal_pointer(&bag);
    (void)option;
    return true;
}

/* ---- what ends it ------------------------------------------------------------------------ */

typedef struct ActionProps {
    unsigned reboot, shutdown, panic, watchdog;
    bool reboot_given, shutdown_given, panic_given, watchdog_given;
} ActionProps;

#define ACTION(word, words)                                                      \
    {                                                                            \
        .name = #word, .type = PROP_ENUM, .offset = offsetof(ActionProps, word), \
        .given_offset = offsetof(ActionProps, word##_given), .names = (words)    \
    }

static const PropDesc action_props[] = {
    ACTION(reboot, reboot_action_names),
    ACTION(shutdown, shutdown_action_names),
    ACTION(panic, panic_action_names),
    ACTION(watchdog, watchdog_action_names),
};

static const PropTable action_table = PROP_TABLE("action", action_props, ActionProps);

/* -no-reboot, -no-shutdown and -watchdog-action are this with option->fixed or implied_key. */
bool option_set_action(OptionsParser *parser, const Option *option, const char *value,
                       GError **error)
{
    VmConfig *config = parser->config;
    ActionProps props;

    if (!option_apply(option->fixed ? option->fixed : value, option->implied_key, &action_table,
                      &props, error)) {
        return false;
    }
    if (props.reboot_given) {
        config->on_reboot = props.reboot;
    }
    if (props.shutdown_given) {
        config->on_shutdown = props.shutdown;
    }
    if (props.panic_given) {
        config->on_panic = props.panic;
    }
    if (props.watchdog_given) {
        config->on_watchdog = props.watchdog;
    }
    return true;
}

/* ---- clocks, sandbox, log ---------------------------------------------------------------- */

typedef struct RtcProps {
    char *base;
    unsigned clock;
} RtcProps;

static const char *const driftfix_names[] = {"none", "slew", NULL};

static const PropDesc rtc_props[] = {
    {.name = "base",
     .type = PROP_STRING,
     .offset = offsetof(RtcProps, base),
     .default_text = "utc"},
    {.name = "clock",
     .type = PROP_ENUM,
     .offset = offsetof(RtcProps, clock),
     .names = rtc_clock_names},
    {.name = "driftfix", .type = PROP_ENUM, .ignored = true, .names = driftfix_names},
};

static const PropTable rtc_table = PROP_TABLE("clock", rtc_props, RtcProps);

bool option_set_rtc(OptionsParser *parser, const Option *option, const char *value, GError **error)
{
    RtcConfig *rtc = &parser->config->rtc;
    RtcProps props;

    if (!option_apply(value, option->implied_key, &rtc_table, &props, error)) {
        return false;
    }
    g_free(rtc->base);
    rtc->base = props.base;
    rtc->clock = props.clock;
    if (strcmp(rtc->base, "utc") != 0 && strcmp(rtc->base, "localtime") != 0) {
        g_autoptr(GTimeZone) zone = g_time_zone_new_utc();
        g_autofree char *full = strchr(rtc->base, 'T') ? g_strdup(rtc->base)
                                                       : g_strconcat(rtc->base, "T00:00:00", NULL);
        g_autoptr(GDateTime) date = g_date_time_new_from_iso8601(full, zone);

        if (!date) {
            return fail(error, VMM_ERROR_CONFIG,
                        "base '%s': expected utc, localtime or a date such as 2006-06-17T16:01:21",
                        rtc->base);
        }
    }
    return true;
}

typedef struct SandboxProps {
    bool enable;
} SandboxProps;

static const char *const permission_names[] = {"allow", "deny", "children", NULL};

#define PERMISSION(word)                                                              \
    {                                                                                 \
        .name = (word), .type = PROP_ENUM, .ignored = true, .names = permission_names \
    }

static const PropDesc sandbox_props[] = {
    {.name = "enable",
     .type = PROP_BOOL,
     .offset = offsetof(SandboxProps, enable),
     .required = true},
    PERMISSION("obsolete"),
    PERMISSION("elevateprivileges"),
    PERMISSION("spawn"),
    PERMISSION("resourcecontrol"),
};

static const PropTable sandbox_table = PROP_TABLE("sandbox", sandbox_props, SandboxProps);

/* -disable-seccomp is this with option->fixed. */
bool option_set_sandbox(OptionsParser *parser, const Option *option, const char *value,
                        GError **error)
{
    VmConfig *config = parser->config;
    SandboxProps props;

    if (!option_apply(option->fixed ? option->fixed : value, option->implied_key, &sandbox_table,
                      &props, error)) {
        return false;
    }

    OnOffAuto setting = props.enable ? ON_OFF_AUTO_ON : ON_OFF_AUTO_OFF;

    if (config->sandbox != ON_OFF_AUTO_AUTO && config->sandbox != setting) {
        return fail(error, VMM_ERROR_CONFIG, "-sandbox on contradicts -disable-seccomp");
    }
    config->sandbox = setting;
    return true;
}

bool option_set_hardware_signature(OptionsParser *parser, const Option *option, const char *value,
                                   GError **error)
{
    uint64_t signature;

    if (!text_parse_uint(value, &signature) || signature > UINT32_MAX) {
        return fail(error, VMM_ERROR_CONFIG, "'%s': expected %s", value, option->form);
    }
    parser->config->hardware_signature_given = true;
    parser->config->hardware_signature = (uint32_t)signature;
    return true;
}

bool option_set_log(OptionsParser *parser, const Option *option, const char *value, GError **error)
{
    return !value || option_set_string(parser, option, value, error);
}

typedef struct MsgProps {
    bool timestamp;
} MsgProps;

static const PropDesc msg_props[] = {
    {.name = "timestamp", .type = PROP_BOOL, .offset = offsetof(MsgProps, timestamp)},
    {.name = "guest-name", .type = PROP_BOOL, .ignored = true},
};

static const PropTable msg_table = PROP_TABLE("message", msg_props, MsgProps);

bool option_set_msg(OptionsParser *parser, const Option *option, const char *value, GError **error)
{
    MsgProps props;

    if (!option_apply(value, option->implied_key, &msg_table, &props, error)) {
        return false;
    }
    parser->config->msg_timestamp = props.timestamp;
    return true;
}

typedef struct RunWithProps {
    bool exit_with_parent;
    char *chroot;
    char *user;
} RunWithProps;

static const PropDesc run_with_props[] = {
    {.name = "exit-with-parent",
     .type = PROP_BOOL,
     .offset = offsetof(RunWithProps, exit_with_parent)},
    {.name = "async-teardown", .type = PROP_BOOL, .ignored = true},
    {.name = "chroot", .type = PROP_STRING, .offset = offsetof(RunWithProps, chroot)},
    {.name = "user", .type = PROP_STRING, .offset = offsetof(RunWithProps, user)},
};

static const PropTable run_with_table = PROP_TABLE("process", run_with_props, RunWithProps);

bool option_set_run_with(OptionsParser *parser, const Option *option, const char *value,
                         GError **error)
{
    RunWithProps props;

    if (!option_apply(value, option->implied_key, &run_with_table, &props, error)) {
        return false;
    }

    bool refused = props.chroot || props.user;

    props_clear(&run_with_table, &props);
    parser->config->exit_with_parent = props.exit_with_parent;
    return !refused || fail(error, VMM_ERROR_CONFIG,
                            "chroot and user are not supported: start stencil in the root and as "
                            "the user that it shall have");
}

bool option_set_nodefaults(OptionsParser *parser, const Option *option, const char *value,
                           GError **error)
{
    (void)option;
    (void)value;
    (void)error;
    parser->nodefaults = true;
    return true;
}

/* ---- options with nothing to do ---------------------------------------------------------- */

bool option_only_fixed(OptionsParser *parser, const Option *option, const char *value,
                       GError **error)
{
    g_autoptr(PropBag) bag = props_parse(value, option->implied_key, error);
    const char *given = bag ? prop_bag_type(bag) : NULL;

    (void)parser;
    if (!bag) {
        return false;
    }
    if (g_strcmp0(given, option->fixed) == 0) {
        return true;
    }
    return fail(error, VMM_ERROR_CONFIG, "'%s' is not supported: expected %s (%s)",
                given ? given : value, option->fixed, option->help);
}

static const PropDesc boot_props[] = {
    {.name = "order", .type = PROP_STRING, .ignored = true},
    {.name = "once", .type = PROP_STRING, .ignored = true},
    {.name = "menu", .type = PROP_BOOL, .ignored = true},
    {.name = "strict", .type = PROP_BOOL, .ignored = true},
    {.name = "splash", .type = PROP_STRING, .ignored = true},
    {.name = "splash-time", .type = PROP_UINT, .ignored = true},
    {.name = "reboot-timeout", .type = PROP_STRING, .ignored = true},
};

static const PropTable boot_table = {
    .subject = "boot", .props = boot_props, .count = G_N_ELEMENTS(boot_props)};

bool option_check_boot(OptionsParser *parser, const Option *option, const char *value,
                       GError **error)
{
    (void)parser;
    return option_apply(value, option->implied_key, &boot_table, /* ret= */ NULL, error);
}

typedef struct OvercommitProps {
    bool mem_lock;
    bool cpu_pm;
} OvercommitProps;

static const PropDesc overcommit_props[] = {
    {.name = "mem-lock",
     .alias = "mlock", /* as the old -realtime says */
     .type = PROP_BOOL,
     .offset = offsetof(OvercommitProps, mem_lock)},
    {.name = "cpu-pm", .type = PROP_BOOL, .offset = offsetof(OvercommitProps, cpu_pm)},
};

static const PropTable overcommit_table =
    PROP_TABLE("overcommit", overcommit_props, OvercommitProps);

bool option_check_overcommit(OptionsParser *parser, const Option *option, const char *value,
                             GError **error)
{
    OvercommitProps props;

    (void)parser;
    if (!option_apply(value, option->implied_key, &overcommit_table, &props, error)) {
        return false;
    }
    if (props.mem_lock || props.cpu_pm) {
        return fail(error, VMM_ERROR_CONFIG, "%s=on is not supported",
                    props.mem_lock ? "mem-lock" : "cpu-pm");
    }
    return true;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Consoles and control channels.  However a back end is written ("-serial file:log",
 * "-qmp unix:s,server,nowait", StratoVirt's "-serial socket,path=s"), it becomes a -chardev, and
 * the rest of the house only knows chardevs and references to them.
 */
#include "machine/options_private.h"
#include "util/error.h"
#include "util/text.h"

#include <string.h>

/* ---- back ends written in place ---------------------------------------------------------- */

typedef struct InPlaceForm {
    const char *prefix;
    const char *backend;
    /* Adds what follows the prefix to the bag. */
    bool (*add)(PropBag *bag, const char *rest, GError **error);
    const char *refusal; /* instead of add */
} InPlaceForm;

/* The whole rest is one path, commas and all. */
static bool add_path(PropBag *bag, const char *rest, GError **error)
{
    if (rest[0] == '\0') {
        return fail(error, VMM_ERROR_CONFIG, "the path is empty");
    }
    prop_bag_add(bag, "path", rest);
    return true;
}

/* ",key=value,flag" behind the address. */
static bool add_more(PropBag *bag, const char *more, GError **error)
{
    g_autoptr(PropBag) parsed = props_parse(more, /* implied_key= */ NULL, error);

    if (!parsed) {
        return false;
    }
    for (size_t i = 0; i < prop_bag_count(parsed); i++) {
        prop_bag_add(bag, prop_bag_key(parsed, i), prop_bag_value(parsed, i));
    }
    return true;
}

/* "PATH,server,nowait" or "fd=N,server,nowait" */
static bool add_unix(PropBag *bag, const char *rest, GError **error)
{
    const char *cursor = rest;
    g_autofree char *address = text_next_field(&cursor);

    if (!address || address[0] == '\0') {
        return fail(error, VMM_ERROR_CONFIG, "the socket's path is empty");
    }
    if (g_str_has_prefix(address, "fd=")) {
        prop_bag_add(bag, "fd", address + strlen("fd="));
    } else {
        prop_bag_add(bag, "path", address);
    }
    return add_more(bag, cursor, error);
}

/* "HOST:PORT,server,nowait"; HOST may be empty, or an address in brackets. */
static bool add_tcp(PropBag *bag, const char *rest, GError **error)
{
    const char *cursor = rest;
    g_autofree char *address = text_next_field(&cursor);
    const char *colon = address ? strrchr(address, ':') : NULL;
    g_autofree char *host = colon ? g_strndup(address, (size_t)(colon - address)) : NULL;

    if (!colon || colon[1] == '\0') {
        return fail(error, VMM_ERROR_CONFIG, "tcp address '%s': expected HOST:PORT",
                    address ? address : "");
    }
    if (host[0] == '[' && g_str_has_suffix(host, "]")) {
        memmove(host, host + 1, strlen(host));
        host[strlen(host) - 1] = '\0';
    }
    prop_bag_add(bag, "host", host);
    prop_bag_add(bag, "port", colon + 1);
    return add_more(bag, cursor, error);
}

static const InPlaceForm in_place_forms[] = {
    {.prefix = "unix:", .backend = "socket", .add = add_unix},
    {.prefix = "tcp:", .backend = "socket", .add = add_tcp},
    {.prefix = "file:", .backend = "file", .add = add_path},
    {.prefix = "pipe:", .backend = "pipe", .add = add_path},
    {.prefix = "pty:", .backend = "pty", .add = add_path},
    {.prefix = "telnet:", .refusal = "the telnet protocol is not spoken; use tcp:"},
    {.prefix = "websocket:", .refusal = "the websocket protocol is not spoken; use tcp:"},
    {.prefix = "udp:", .refusal = "there is no UDP back end; use tcp: or unix:"},
    {.prefix = "vc", .refusal = "there is no graphical console; use stdio or a socket"},
};

static PropBag *in_place_parse(const char *text, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(in_place_forms); i++) {
        const InPlaceForm *form = &in_place_forms[i];

        if (!g_str_has_prefix(text, form->prefix)) {
            continue;
        }
        if (form->refusal) {
            return fail_null(error, VMM_ERROR_CONFIG, "not supported: %s", form->refusal);
        }

        g_autoptr(PropBag) bag = prop_bag_new("backend");

        prop_bag_add(bag, "backend", form->backend);
        if (!form->add(bag, text + strlen(form->prefix), error)) {
            return NULL;
        }
        return g_steal_pointer(&bag);
    }
    if (text[0] == '/') {
        g_autoptr(PropBag) bag = prop_bag_new("backend");

        prop_bag_add(bag, "backend", "serial");
        prop_bag_add(bag, "path", text);
        return g_steal_pointer(&bag);
    }
    if (text[0] == '\0') {
        return fail_null(error, VMM_ERROR_CONFIG, "the value is empty: expected a back end");
    }
    return props_parse(text, "backend", error);
}

/* The chardev that text names or describes, which then has this id; NULL on failure. */
static char *chardev_from_text(VmConfig *config, const char *text, const char *id, GError **error)
{
    PropBag *bag;

    if (g_str_has_prefix(text, "chardev:")) {
        return g_strdup(text + strlen("chardev:"));
    }
    bag = in_place_parse(text, error);
    if (!bag) {
        return NULL;
    }
    if (!prop_bag_id(bag)) {
        prop_bag_add(bag, "id", id);
    }
    g_ptr_array_add(config->chardevs, bag);
    return g_strdup(prop_bag_id(bag));
}

/* ---- -serial ----------------------------------------------------------------------------- */

static bool add_serial(OptionsParser *parser, const char *text, GError **error)
{
    VmConfig *config = parser->config;
    g_autofree char *id = g_strdup_printf("serial%u", config->serials->len);
    bool with_monitor = g_str_has_prefix(text, "mon:");
    g_autofree char *chardev =
        chardev_from_text(config, with_monitor ? text + strlen("mon:") : text, id, error);
    PropBag *serial;

    if (!chardev) {
        return false;
    }
    if (with_monitor && strcmp(chardev, id) == 0) {
        PropBag *bag = g_ptr_array_index(config->chardevs, config->chardevs->len - 1);

        /* Whoever shares a terminal with a monitor expects Ctrl-C to reach the guest. */
        if (g_strcmp0(prop_bag_type(bag), "stdio") == 0 && !prop_bag_get(bag, "signal")) {
            prop_bag_add(bag, "signal", "off");
            prop_bag_add(bag, "mux", "on");
        }
    }
    serial = prop_bag_new(/* implied_key= */ NULL);
    prop_bag_add(serial, "chardev", chardev);
    g_ptr_array_add(config->serials, serial);
    return true;
}

bool option_add_serial(OptionsParser *parser, const Option *option, const char *value,
                       GError **error)
{
    (void)option;
    parser->serial_given = true;
    return strcmp(value, "none") == 0 || add_serial(parser, value, error);
}

bool option_set_nographic(OptionsParser *parser, const Option *option, const char *value,
                          GError **error)
{
    (void)option;
    (void)value;
    (void)error;
    parser->nographic = true;
    return true;
}

/* A port that the user made, or the terminal in other hands: then -nographic adds nothing. */
static bool console_is_taken(const VmConfig *config)
{
    for (unsigned i = 0; i < config->chardevs->len; i++) {
        if (g_strcmp0(prop_bag_type(g_ptr_array_index(config->chardevs, i)), "stdio") == 0) {
            return true;
        }
    }
    for (unsigned i = 0; i < config->devices->len; i++) {
        if (g_strcmp0(prop_bag_type(g_ptr_array_index(config->devices, i)), "isa-serial") == 0) {
            return true;
        }
    }
    return false;
}

bool options_finish_serial(OptionsParser *parser, GError **error)
{
    const VmConfig *config = parser->config;

    if (!parser->nographic || parser->serial_given || parser->nodefaults ||
        config->machine.type == MACHINE_NONE || console_is_taken(config)) {
        return true;
    }
    return add_serial(parser, "mon:stdio", error);
}

/* ---- monitors ---------------------------------------------------------------------------- */

typedef struct MonProps {
    char *chardev;
    unsigned mode;
    bool pretty;
} MonProps;

static const char *const mon_modes[] = {"readline", "control", NULL};
enum {
    MON_MODE_CONTROL = 1
};

static const PropDesc mon_props[] = {
    {.name = "chardev",
     .type = PROP_STRING,
     .offset = offsetof(MonProps, chardev),
     .required = true},
    {.name = "mode", .type = PROP_ENUM, .offset = offsetof(MonProps, mode), .names = mon_modes},
    {.name = "pretty",
     .type = PROP_BOOL,
     .offset = offsetof(MonProps, pretty),
     .default_text = "off"},
};

static const PropTable mon_table = PROP_TABLE("monitor", mon_props, MonProps);

static void add_monitor(VmConfig *config, const char *chardev, bool pretty)
{
    PropBag *monitor = prop_bag_new(/* implied_key= */ NULL);

    prop_bag_add(monitor, "chardev", chardev);
    prop_bag_add(monitor, "mode", "control");
    prop_bag_add(monitor, "pretty", pretty ? "on" : "off");
    g_ptr_array_add(config->monitors, monitor);
}

bool option_add_mon(OptionsParser *parser, const Option *option, const char *value, GError **error)
{
    MonProps props;

    if (!option_apply(value, option->implied_key, &mon_table, &props, error)) {
        return false;
    }

    g_autofree char *chardev = props.chardev;

    if (props.mode != MON_MODE_CONTROL) {
        return fail(error, VMM_ERROR_CONFIG,
                    "there is no monitor for people to type at: expected mode=control");
    }
    add_monitor(parser->config, chardev, props.pretty);
    return true;
}

/* StratoVirt lets the back end of -qmp name an iothread; the main loop always serves QMP here. */
static void drop_iothread(VmConfig *config, const char *chardev)
{
    PropBag *bag = g_ptr_array_index(config->chardevs, config->chardevs->len - 1);

    if (g_strcmp0(prop_bag_id(bag), chardev) == 0) {
        g_free(prop_bag_take(bag, "iothread"));
    }
}

/* option->fixed is set for -qmp-pretty. */
bool option_add_qmp(OptionsParser *parser, const Option *option, const char *value, GError **error)
{
    VmConfig *config = parser->config;
    g_autofree char *id = g_strdup_printf("compat_monitor%u", parser->monitors_named++);
    g_autofree char *chardev = NULL;

    if (strcmp(value, "none") == 0) {
        return true;
    }
    chardev = chardev_from_text(config, value, id, error);
    if (!chardev) {
        return false;
    }
    if (config->chardevs->len > 0) {
        drop_iothread(config, chardev);
    }
    add_monitor(config, chardev, /* pretty= */ option->fixed != NULL);
    return true;
}

bool option_set_monitor(OptionsParser *parser, const Option *option, const char *value,
                        GError **error)
{
    (void)parser;
    (void)option;
    if (strcmp(value, "none") == 0 || strcmp(value, "null") == 0) {
        return true;
    }
    return fail(error, VMM_ERROR_CONFIG,
                "'%s': there is no monitor for people to type at: expected none (QMP is -qmp)",
                value);
}

/* ---- -gdb and -qtest --------------------------------------------------------------------- */

bool option_set_gdb(OptionsParser *parser, const Option *option, const char *value, GError **error)
{
    VmConfig *config = parser->config;
    const char *text = option->fixed ? option->fixed : value;
    bool socket = g_str_has_prefix(text, "tcp:") || g_str_has_prefix(text, "unix:");
    g_autofree char *full = NULL;

    if (strcmp(text, "none") == 0) {
        return true;
    }
    if (config->gdb) {
        return fail(error, VMM_ERROR_CONFIG,
                    "the gdb server is given twice (-s is -gdb tcp::1234)");
    }

    /* A debugger comes when it likes: the guest does not wait for it, -S does. */
    bool bare = socket && !strstr(text, ",server");
    /* It gives the guest away to whoever connects: other machines only if their side is named. */
    bool local = g_str_has_prefix(text, "tcp::");

    full = g_strdup_printf("%s%s%s", local ? "tcp:localhost:" : "",
                           text + (local ? strlen("tcp::") : 0), bare ? ",server=on,wait=off" : "");
    config->gdb = chardev_from_text(config, full, "gdb", error);
    return config->gdb != NULL;
}

bool option_set_qtest(OptionsParser *parser, const Option *option, const char *value,
                      GError **error)
{
    (void)option;
    if (strcmp(value, "none") == 0) {
        return true;
    }
    parser->config->qtest = chardev_from_text(parser->config, value, "qtest", error);
    return parser->config->qtest != NULL;
}

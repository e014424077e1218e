/* SPDX-License-Identifier: Apache-2.0 */
/*
 * -object, -drive, -device, -add-fd, -global: lists of bags that their owners read later.
 */
#include "machine/objects.h"
#include "machine/options_private.h"
#include "util/error.h"

#include <string.h>

/* ---- -object ----------------------------------------------------------------------------- */

/* NULL with an error if there is no such type. */
static char *object_help(const char *type, GError **error)
{
    GString *text = NULL;
    size_t count;
    const ObjectType *types = object_types(&count);

    if (type) {
        const ObjectType *found = object_type_find(type, error);

        return found ? props_help(&found->table) : NULL;
    }
    text = g_string_new("Objects (-object TYPE,help lists the properties):\n");
    for (size_t i = 0; i < count; i++) {
        g_string_append_printf(text, "  %-22s %s\n", types[i].name, types[i].help);
    }
    return g_string_free(text, /* free_segment= */ FALSE);
}

/* The type that "TYPE,help" asks about; NULL for a bare "help". */
static const char *help_topic(const PropBag *bag)
{
    const char *type = prop_bag_type(bag);

    return !type || strcmp(type, "help") == 0 || strcmp(type, "?") == 0 ? NULL : type;
}

bool option_add_object(OptionsParser *parser, const Option *option, const char *value,
                       GError **error)
{
    g_autoptr(PropBag) bag = props_parse(value, option->implied_key, error);

    if (!bag) {
        return false;
    }
    if (prop_bag_wants_help(bag)) {
        parser->outcome->text = object_help(help_topic(bag), error);
        return parser->outcome->text != NULL;
    }
    if (!object_check(bag, error)) {
        return false;
    }
    g_ptr_array_add(parser->config->objects, g_steal_pointer(&bag));
    return true;
}

/* ---- -drive ------------------------------------------------------------------------------ */

static const char *const drive_buses[] = {"none", "virtio", "pflash"};

static bool check_drive_bus(const char *bus, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(drive_buses); i++) {
        if (strcmp(bus, drive_buses[i]) == 0) {
            return true;
        }
    }
    return fail(error, VMM_ERROR_CONFIG, "property 'if' is '%s': expected none, virtio or pflash",
                bus);
}

/* if=virtio is a drive together with the device that shows it. */
static void add_virtio_drive(VmConfig *config, PropBag *drive)
{
    PropBag *device = prop_bag_new("driver");

    prop_bag_set(drive, "if", "none");
    prop_bag_add(device, "driver", "virtio-blk-device");
    prop_bag_add(device, "drive", prop_bag_id(drive));
    g_ptr_array_add(config->devices, device);
}

bool option_add_drive(OptionsParser *parser, const Option *option, const char *value,
                      GError **error)
{
    g_autoptr(PropBag) bag = props_parse(value, option->implied_key, error);
    const char *bus;

    if (!bag) {
        return false;
    }
    bus = prop_bag_get(bag, "if");
    if (bus && !check_drive_bus(bus, error)) {
        return false;
    }
    if (!prop_bag_id(bag)) {
        g_autofree char *id = g_strdup_printf("drive%u", parser->drives_named++);

        prop_bag_add(bag, "id", id);
    }
    if (g_strcmp0(bus, "virtio") == 0) {
        add_virtio_drive(parser->config, bag);
    }
    g_ptr_array_add(parser->config->drives, g_steal_pointer(&bag));
    return true;
}

/* ---- -device ----------------------------------------------------------------------------- */

bool option_add_device(OptionsParser *parser, const Option *option, const char *value,
                       GError **error)
{
    g_autoptr(PropBag) bag = props_parse(value, option->implied_key, error);
    OptionsOutcome *outcome = parser->outcome;

    if (!bag) {
        return false;
    }
    if (prop_bag_wants_help(bag)) {
        const char *type = help_topic(bag);

        outcome->text = outcome->device_help ? outcome->device_help(type) : NULL;
        return outcome->text ||
               fail(error, VMM_ERROR_CONFIG, "unknown device type '%s'", type ? type : "help");
    }
    if (!prop_bag_type(bag)) {
        return fail(error, VMM_ERROR_CONFIG, "'%s' has no type: expected TYPE,property=value",
                    value);
    }
    g_ptr_array_add(parser->config->devices, g_steal_pointer(&bag));
    return true;
}

/* ---- -add-fd ----------------------------------------------------------------------------- */

typedef struct AddFdProps {
    uint64_t fd;
    uint64_t set;
    char *opaque;
} AddFdProps;

static const PropDesc add_fd_props[] = {
    {.name = "fd",
     .type = PROP_UINT,
     .offset = offsetof(AddFdProps, fd),
     .min = 3,
     .max = G_MAXINT,
     .required = true},
    {.name = "set",
     .type = PROP_UINT,
     .offset = offsetof(AddFdProps, set),
     .max = G_MAXINT,
     .required = true},
    {.name = "opaque", .type = PROP_STRING, .offset = offsetof(AddFdProps, opaque)},
};

static const PropTable add_fd_table = PROP_TABLE("descriptor", add_fd_props, AddFdProps);

bool option_add_fd(OptionsParser *parser, const Option *option, const char *value, GError **error)
{
    g_autoptr(PropBag) bag = props_parse(value, option->implied_key, error);
    AddFdProps props;

    if (!bag || !props_apply(&add_fd_table, bag, &props, error)) {
        return false;
    }
    props_clear(&add_fd_table, &props);
    g_ptr_array_add(parser->config->add_fds, g_steal_pointer(&bag));
    return true;
}

/* ---- -global ----------------------------------------------------------------------------- */

typedef struct GlobalProps {
    char *driver;
    char *property;
    char *value;
} GlobalProps;

static const PropDesc global_props[] = {
    {.name = "driver",
     .type = PROP_STRING,
     .offset = offsetof(GlobalProps, driver),
     .required = true},
    {.name = "property",
     .type = PROP_STRING,
     .offset = offsetof(GlobalProps, property),
     .required = true},
    {.name = "value",
     .type = PROP_STRING,
     .offset = offsetof(GlobalProps, value),
     .required = true},
};

static const PropTable global_table = PROP_TABLE("default", global_props, GlobalProps);

/* "driver.property=value", where only the first dot and the first equals sign count. */
static PropBag *parse_short_global(const char *text)
{
    const char *dot = strchr(text, '.');
    const char *equals = dot ? strchr(dot, '=') : NULL;
    const char *comma = strchr(text, ',');

    if (!equals || dot == text || equals == dot + 1 || (comma && comma < equals) ||
        strcspn(text, "=") < (size_t)(dot - text)) {
        return NULL;
    }

    g_autofree char *driver = g_strndup(text, (size_t)(dot - text));
    g_autofree char *property = g_strndup(dot + 1, (size_t)(equals - dot - 1));
    PropBag *bag = prop_bag_new(/* implied_key= */ NULL);

    prop_bag_add(bag, "driver", driver);
    prop_bag_add(bag, "property", property);
    prop_bag_add(bag, "value", equals + 1);
    return bag;
}

bool option_add_global(OptionsParser *parser, const Option *option, const char *value,
                       GError **error)
{
    g_autoptr(PropBag) bag = parse_short_global(value);
    GlobalProps props;

    if (!bag) {
        bag = props_parse(value, option->implied_key, error);
    }
    if (!bag || !props_apply(&global_table, bag, &props, error)) {
        return false;
    }
    props_clear(&global_table, &props);
    g_ptr_array_add(parser->config->globals, g_steal_pointer(&bag));
    return true;
}

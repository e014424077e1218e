/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/monitors.h"

#include "devices/backend/chardev_kinds.h"
#include "util/error.h"

#include <string.h>

/* A log of the conversation, or coming back after a hang-up, is what only a chardev can do. */
static bool is_plain_socket(const PropBag *chardev)
{
    return g_strcmp0(prop_bag_type(chardev), "socket") == 0 && !prop_bag_get(chardev, "logfile") &&
           !prop_bag_get(chardev, "reconnect");
}

bool monitor_owns_chardev(const VmConfig *config, const PropBag *chardev)
{
    for (guint i = 0; i < config->monitors->len; i++) {
        if (g_strcmp0(prop_bag_get(config->monitors->pdata[i], "chardev"), prop_bag_id(chardev)) ==
            0) {
            return is_plain_socket(chardev);
        }
    }
    return false;
}

static bool parse_socket(const PropBag *chardev, MonitorConfig *monitor, GError **error)
{
    const PropTable *table = chardev_kind_find("socket")->props;
    ChardevSocketConfig socket;
    bool ok;

    if (!props_apply(table, chardev, &socket, error)) {
        return false;
    }
    monitor->server = socket.server;
    monitor->wait = socket.wait;
    ok = chardev_socket_address(&socket, &monitor->address, error);
    props_clear(table, &socket);
    return ok;
}

bool monitor_parse(const VmConfig *config, const PropBag *monitor, MonitorConfig *ret_monitor,
                   GError **error)
{
    const char *id = prop_bag_get(monitor, "chardev");
    const PropBag *chardev = vm_config_find(config->chardevs, id);
    g_auto(MonitorConfig) parsed = {
        .chardev = g_strdup(id),
        .pretty = g_strcmp0(prop_bag_get(monitor, "pretty"), "on") == 0,
        .is_socket = chardev && is_plain_socket(chardev),
        .address = {.fd = -1},
    };

    if (!chardev) {
        return fail(error, VMM_ERROR_CONFIG, "monitor: there is no chardev '%s'", id);
    }
    if (parsed.is_socket && !parse_socket(chardev, &parsed, error)) {
        g_prefix_error(error, "chardev '%s': ", id);
        return false;
    }
    *ret_monitor = parsed;
    parsed = (MonitorConfig){.address = {.fd = -1}};
    return true;
}

void monitor_clear(MonitorConfig *monitor)
{
    g_clear_pointer(&monitor->chardev, g_free);
    socket_address_clear(&monitor->address);
}

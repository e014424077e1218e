/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/tracing.h"

#include "util/error.h"
#include "util/fd.h"
#include "util/trace.h"

#include <fcntl.h>
#include <string.h>

/* "NAME" or "PATTERN" switches on, with a dash before it off. */
static bool switch_points(const char *text, GError **error)
{
    bool on = text[0] != '-';
    const char *pattern = on ? text : text + 1;

    return trace_switch(pattern, on) ||
           fail(error, VMM_ERROR_CONFIG,
                "there is no tracepoint '%s': expected one of those that -trace help lists, or a "
                "pattern with * or ?",
                pattern);
}

/* One a line; empty lines and those that begin with # say nothing. */
static bool switch_from_file(const char *path, GError **error)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    g_autoptr(GError) why = NULL;

    if (!g_file_get_contents(path, &text, NULL, &why)) {
        return fail(error, VMM_ERROR_HOST, "-trace events=%s: %s", path, why->message);
    }
    lines = g_strsplit(text, "\n", -1);
    for (unsigned i = 0; lines[i]; i++) {
        const char *line = g_strstrip(lines[i]);

        if (line[0] != '\0' && line[0] != '#' && !switch_points(line, error)) {
            g_prefix_error(error, "-trace events=%s: line %u: ", path, i + 1);
            return false;
        }
    }
    return true;
}

static bool begin_one(const PropBag *bag, GError **error)
{
    const char *enable = prop_bag_get(bag, "enable");
    const char *events = prop_bag_get(bag, "events");

    if (enable && !switch_points(enable, error)) {
        g_prefix_error(error, "-trace: ");
        return false;
    }
    return !events || switch_from_file(events, error);
}

/* The last one counts.  What another VM wrote stays, as in a log. */
static bool open_file(const char *path, GError **error)
{
    int fd = fd_open(path, O_WRONLY | O_CREAT | O_APPEND, 0600, error);

    if (fd < 0) {
        g_prefix_error(error, "-trace: ");
        return false;
    }
    trace_init(fd);
    return true;
}

bool tracing_begin(const VmConfig *config, GError **error)
{
    const char *path = NULL;

    for (guint i = 0; i < config->traces->len; i++) {
        const PropBag *bag = config->traces->pdata[i];
        const char *file = prop_bag_get(bag, "file");

        path = file ? file : path;
        if (!begin_one(bag, error)) {
            return false;
        }
    }
    return !path || open_file(path, error);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* -trace: what is to be traced from the start on; machine/tracing.c does it. */
#include "machine/options_private.h"
#include "util/trace.h"

typedef struct TraceProps {
    char *enable;
    char *events;
    char *file;
} TraceProps;

static const PropDesc trace_props[] = {
    {.name = "enable", .type = PROP_STRING, .offset = offsetof(TraceProps, enable)},
    {.name = "events", .type = PROP_STRING, .offset = offsetof(TraceProps, events)},
    {.name = "file", .type = PROP_STRING, .offset = offsetof(TraceProps, file)},
};

static const PropTable trace_table = PROP_TABLE("trace", trace_props, TraceProps);

static char *list_points(void)
{
    GString *text = g_string_new("tracepoints:\n");

    for (unsigned i = 0; i < TRACE_COUNT; i++) {
        g_string_append_printf(text, "  %-18s %s\n", trace_name((TracePoint)i),
                               trace_help((TracePoint)i));
    }
    return g_string_free(text, /* free_segment= */ FALSE);
}

bool option_add_trace(OptionsParser *parser, const Option *option, const char *value,
                      GError **error)
{
    g_autoptr(PropBag) bag = props_parse(value, option->implied_key, error);
    TraceProps props;

    if (!bag) {
        return false;
    }
    if (prop_bag_wants_help(bag)) {
        parser->outcome->text = list_points();
        return true;
    }
    if (!props_apply(&trace_table, bag, &props, error)) {
        return false;
    }
    props_clear(&trace_table, &props);
    g_ptr_array_add(parser->config->traces, g_steal_pointer(&bag));
    return true;
}

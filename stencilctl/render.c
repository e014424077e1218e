/* SPDX-License-Identifier: Apache-2.0 */
#include "stencilctl/render.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME_WIDTH 12

static const char *const colour_codes[COLOUR_COUNT] = {
    [COLOUR_NONE] = "",          [COLOUR_GOOD] = "\033[32m", [COLOUR_CAREFUL] = "\033[33m",
    [COLOUR_BAD] = "\033[1;31m", [COLOUR_NAME] = "\033[1m",  [COLOUR_FAINT] = "\033[2m",
};

/* Run states that are not simply "not running". */
static const struct {
    const char *state;
    Colour colour;
} state_colours[] = {
    {"running", COLOUR_GOOD},       {"internal-error", COLOUR_BAD}, {"io-error", COLOUR_BAD},
    {"guest-panicked", COLOUR_BAD}, {"shutdown", COLOUR_FAINT},
};

static bool is_colourful(int fd)
{
    const char *no = getenv("NO_COLOR");
    const char *term = getenv("TERM");

    return isatty(fd) && (!no || no[0] == '\0') && g_strcmp0(term, "dumb") != 0;
}

void render_init(Render *render, bool json)
{
    *render = (Render){
        .json = json,
        .colour = !json && is_colourful(STDOUT_FILENO),
        .colour_errors = is_colourful(STDERR_FILENO),
    };
}

const char *render_begin(bool on, Colour colour)
{
    return on ? colour_codes[colour] : "";
}

const char *render_end(bool on, Colour colour)
{
    return on && colour != COLOUR_NONE ? "\033[0m" : "";
}

/* C0, DEL and C1, which some terminals obey as well. */
static bool is_control(gunichar c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0);
}

static char *escape(const char *text, const char *keep)
{
    g_autofree char *valid = g_utf8_make_valid(text, /* len= */ -1);
    GString *out = g_string_new(NULL);

    for (char *p = valid; *p != '\0'; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);

        if (is_control(c) && !(c < 0x80 && strchr(keep, (int)c))) {
            g_string_append_printf(out, "\\u%04x", c);
        } else {
            g_string_append_unichar(out, c);
        }
    }
    return g_string_free(out, /* free_segment= */ FALSE);
}

char *render_safe(const char *text)
{
    return escape(text, /* keep= */ "");
}

void render_json(json_object *value)
{
    g_autofree char *text = escape(
        json_object_to_json_string_ext(value, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
                                                  JSON_C_TO_STRING_NOSLASHESCAPE),
        /* keep= */ "\n");

    puts(text);
}

void render_json_line(json_object *value)
{
    g_autofree char *text =
        escape(json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN |
                                                         JSON_C_TO_STRING_NOSLASHESCAPE),
               /* keep= */ "");

    puts(text);
    fflush(stdout);
}

void render_field(const Render *render, const char *name, const char *text)
{
    g_autofree char *safe = render_safe(text);

    printf("%s%-*s%s  %s\n", render_begin(render->colour, COLOUR_FAINT), NAME_WIDTH, name,
           render_end(render->colour, COLOUR_FAINT), safe);
}

void render_state(const Render *render, const char *state)
{
    g_autofree char *safe = render_safe(state);
    Colour colour = COLOUR_CAREFUL;

    for (size_t i = 0; i < G_N_ELEMENTS(state_colours); i++) {
        if (strcmp(state_colours[i].state, state) == 0) {
            colour = state_colours[i].colour;
        }
    }
    printf("%s%s%s\n", render_begin(render->colour, colour), safe,
           render_end(render->colour, colour));
}

static void append_members(GString *out, json_object *object)
{
    struct json_object_iterator at = json_object_iter_begin(object);
    const struct json_object_iterator end = json_object_iter_end(object);

    for (; !json_object_iter_equal(&at, &end); json_object_iter_next(&at)) {
        json_object *value = json_object_iter_peek_value(&at);
        const char *text = json_object_is_type(value, json_type_string)
                               ? json_object_get_string(value)
                               : json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN);
        g_autofree char *member = g_strdup_printf(" %s=%s", json_object_iter_peek_name(&at), text);
        g_autofree char *safe = render_safe(member);

        g_string_append(out, safe);
    }
}

static char *event_time(json_object *event)
{
    gint64 seconds = (gint64)MIN(json_uint_at(event, "timestamp.seconds"), G_MAXINT64);
    g_autoptr(GDateTime) time = g_date_time_new_from_unix_local(seconds);
    g_autofree char *text = time ? g_date_time_format(time, "%H:%M:%S") : g_strdup("--:--:--");

    return g_strdup_printf("%s.%06u", text,
                           (unsigned)(json_uint_at(event, "timestamp.microseconds") % 1000000));
}

void render_event(const Render *render, json_object *event)
{
    const char *name = json_text_at(event, "event");
    g_autofree char *safe = render_safe(name ? name : "?");
    g_autofree char *time = event_time(event);
    g_autoptr(GString) data = g_string_new(NULL);
    json_object *members = json_at(event, "data");

    if (json_object_is_type(members, json_type_object)) {
        append_members(data, members);
    }
    printf("%s%s%s %s%s%s%s\n", render_begin(render->colour, COLOUR_FAINT), time,
           render_end(render->colour, COLOUR_FAINT), render_begin(render->colour, COLOUR_NAME),
           safe, render_end(render->colour, COLOUR_NAME), data->str);
    fflush(stdout);
}

void render_error(const Render *render, const char *fmt, ...)
{
    va_list ap;
    g_autofree char *text = NULL;
    g_autofree char *safe = NULL;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    safe = render_safe(text);
    fflush(stdout);
    fprintf(stderr, "%sstencilctl:%s %s\n", render_begin(render->colour_errors, COLOUR_BAD),
            render_end(render->colour_errors, COLOUR_BAD), safe);
}

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STENCILCTL_RENDER_H
#define STENCILCTL_RENDER_H

/*
 * What the tool prints.  For people: words in columns, in colour on a terminal (NO_COLOR and
 * TERM=dumb are honoured).  For scripts (--json): JSON, and never colour.
 *
 * What a VM sends may hold a guest's bytes: control characters are shown, never passed on to the
 * terminal.
 */

#include "stencilctl/json.h"

#include <glib.h>
#include <stdbool.h>
#include <stdio.h>

typedef enum {
    COLOUR_NONE,
    COLOUR_GOOD,
    COLOUR_CAREFUL,
    COLOUR_BAD,
    COLOUR_NAME,
    COLOUR_FAINT,
    COLOUR_COUNT,
} Colour;

typedef struct Render {
    bool json;          /* as --json says */
    bool colour;        /* on standard output */
    bool colour_errors; /* on standard error */
} Render;

void render_init(Render *render, bool json);

/* text with control characters as \u001b; newly allocated. */
char *render_safe(const char *text);

/* The escape sequences around coloured text; empty where there is no colour. */
const char *render_begin(bool on, Colour colour);
const char *render_end(bool on, Colour colour);

/* Indented, as people read it and as scripts parse it. */
void render_json(json_object *value);

/* The same in one line, flushed: for streams of values. */
void render_json_line(json_object *value);

/* "name         value"; text may come from the VM. */
void render_field(const Render *render, const char *name, const char *text);

/* A run state, in the colour of its mood. */
void render_state(const Render *render, const char *state);

/* "12:00:00.000001  STOP  key=value": one line, flushed. */
void render_event(const Render *render, json_object *event);

/* "stencilctl: ...", on standard error. */
void render_error(const Render *render, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

#endif

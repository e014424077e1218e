/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STENCILCTL_EDITOR_H
#define STENCILCTL_EDITOR_H

/*
 * Lines that a person types at a terminal: editing, history and completion are libedit's.  In a
 * build without it there is no editor, and its user reads plain lines.
 */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct Editor Editor;

typedef struct EditorUser {
    void *opaque;
    const char *prompt;
    bool colour;
    const char *history; /* file; NULL for none */

    /* What could stand in place of the word at the end of text; *ret_start is where that begins. */
    GPtrArray *(*complete)(void *opaque, const char *text, size_t *ret_start);

    /* fd is readable: prints whole lines if there is news.  False ends the input. */
    int fd;
    bool (*news)(void *opaque);
} EditorUser;

/* NULL if there is none in this build.  user is borrowed. */
Editor *editor_new(const EditorUser *user);
void editor_free(Editor *editor); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Editor, editor_free)

/* The next line without its end, newly allocated; NULL when there are no more. */
char *editor_next(Editor *editor);

#endif

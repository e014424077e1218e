/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In the place of editor_edit.c where libedit is not to be had.
 */
#include "stencilctl/editor.h"

Editor *editor_new(const EditorUser *user)
{
    (void)user;
    return NULL;
}

void editor_free(Editor *editor)
{
    (void)editor;
}

char *editor_next(Editor *editor)
{
    (void)editor;
    return NULL;
}

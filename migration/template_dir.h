/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MIGRATION_TEMPLATE_DIR_H
#define MIGRATION_TEMPLATE_DIR_H

/*
 * Two files that change places as if they were one.
 *
 *     1  DIR/.stencil-ID.memory and DIR/.stencil-ID.state are written and synced
 *     2  .stencil-ID.state  becomes  state      the point of return: from here on the template is new
 *     3  .stencil-ID.memory becomes  memory
 *
 * ID is the identity that both files carry.  A state whose identity `memory` does not have finds its
 * memory under the hidden name, so each of the moments in between shows one whole template: before 2
 * the old one, after it the new one.  Whoever dies at any point leaves hidden files that the next
 * save into the folder finishes (the one that `state` names) or removes (all others).
 */

#include "migration/format.h"

#define TEMPLATE_STATE_NAME  "state"
#define TEMPLATE_MEMORY_NAME "memory"

/* The hidden name of a memory; the caller frees it. */
char *template_dir_hidden_memory(const uint8_t identity[FORMAT_IDENTITY_BYTES]);

/* A save's hold on its folder. */
typedef struct TemplateDir {
    char *path;
    int fd; /* locked */
    bool made;
    bool published;
    uint8_t identity[FORMAT_IDENTITY_BYTES];
    char *hidden_state;
    char *hidden_memory;
    char *state_path; /* for messages */
    char *memory_path;
    int state_fd;
    int memory_fd;
} TemplateDir;

/*
 * Makes the folder if it is missing, takes it for itself, tidies up after saves that died, and
 * opens the two hidden files.  fini may be called whatever came of it.
 */
bool template_dir_init(TemplateDir *dir, const char *path, bool direct_io, GError **error);

/*
 * Steps 2 and 3.  sync: each step reaches the disk before the next one begins.  After step 2 the
 * template is the new one; a failure from there on says so.
 */
bool template_dir_publish(TemplateDir *dir, bool sync, GError **error);

/* Removes what was not published, and the folder if it was made for nothing. */
void template_dir_fini(TemplateDir *dir);

#endif

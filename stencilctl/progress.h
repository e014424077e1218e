/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STENCILCTL_PROGRESS_H
#define STENCILCTL_PROGRESS_H

/*
 * One line on standard error that shows how far long work has got; nothing where that is no
 * terminal.
 *
 *     [##########..........]  50%  512M of 1G  256M/s  2 s left
 */

#include "stencilctl/render.h"

#include <stdint.h>

typedef struct Progress {
    const Render *render;
    bool shown;      /* on a terminal */
    bool drawn;      /* there is a line to wipe */
    gint64 start_us; /* when done was first told */
    uint64_t start_done;
} Progress;

void progress_begin(Progress *progress, const Render *render);

/* Bytes done of all there are; total 0: not known yet. */
void progress_show(Progress *progress, uint64_t done, uint64_t total);

/* Wipes the line. */
void progress_end(Progress *progress);

/* "1.2G": three digits are enough for people; newly allocated. */
char *progress_size(uint64_t bytes);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEVICES_BACKEND_CHARDEV_ESCAPE_H
#define DEVICES_BACKEND_CHARDEV_ESCAPE_H

/*
 * A person at a terminal that belongs to the guest talks to us with Ctrl-a and a key.
 *
 * Keys are read at once, also when the guest takes none, so that Ctrl-a x always works; what the
 * guest has not taken yet is held here, and what does not fit is lost like any typing ahead.
 *
 * Loop thread only.
 */

#include "devices/request.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ESCAPE_HELD 256

typedef enum {
    ESCAPE_NOTHING,
    ESCAPE_QUIT,
    ESCAPE_BREAK,
    ESCAPE_HELP,
} EscapeAction;

typedef struct EscapeFilter {
    Request quit;
    bool pressed; /* the last key was Ctrl-a */
    uint8_t held[ESCAPE_HELD];
    size_t n_held;
} EscapeFilter;

/* What the help key prints. */
extern const char escape_help[];

EscapeAction escape_filter_key(EscapeFilter *filter, uint8_t key);

/* The first n held keys were delivered. */
void escape_filter_drop(EscapeFilter *filter, size_t n);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/backend/chardev_escape.h"

#include <string.h>

#define CTRL_A 0x01

const char escape_help[] =
    "\r\n"
    "Ctrl-a x       end the virtual machine\r\n"
    "Ctrl-a b       send a break\r\n"
    "Ctrl-a Ctrl-a  send Ctrl-a\r\n"
    "Ctrl-a h       this help (there is no monitor here; QMP has its own)\r\n";

typedef struct EscapeKey {
    uint8_t key;
    EscapeAction action;
} EscapeKey;

static const EscapeKey escape_keys[] = {
    {'x', ESCAPE_QUIT}, {'b', ESCAPE_BREAK}, {'h', ESCAPE_HELP},
    {'?', ESCAPE_HELP}, {'c', ESCAPE_HELP},
};

static void escape_filter_hold(EscapeFilter *filter, uint8_t key)
{
    if (filter->n_held < ESCAPE_HELD) {
        filter->held[filter->n_held++] = key;
    }
}

EscapeAction escape_filter_key(EscapeFilter *filter, uint8_t key)
{
    if (!filter->pressed) {
        if (key == CTRL_A) {
            filter->pressed = true;
        } else {
            escape_filter_hold(filter, key);
        }
        return ESCAPE_NOTHING;
    }
    filter->pressed = false;
    if (key == CTRL_A) {
        escape_filter_hold(filter, key);
        return ESCAPE_NOTHING;
    }
    for (size_t i = 0; i < sizeof(escape_keys) / sizeof(escape_keys[0]); i++) {
        if (escape_keys[i].key == key) {
            return escape_keys[i].action;
        }
    }
    return ESCAPE_NOTHING;
}

void escape_filter_drop(EscapeFilter *filter, size_t n)
{
    filter->n_held -= n;
    memmove(filter->held, filter->held + n, filter->n_held);
}

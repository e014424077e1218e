/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEVICES_BACKEND_TERMINAL_H
#define DEVICES_BACKEND_TERMINAL_H

/*
 * Borrowing the user's terminal: raw while a guest has it, given back whatever happens to us.
 *
 * A process that is killed cannot put its terminal right, so a small child waits at the other end
 * of a pipe and does it when the pipe breaks.
 */

#include <glib.h>
#include <stdbool.h>

typedef struct Terminal Terminal;

/* Makes fd, a terminal, raw; with signals, Ctrl-C and friends keep their meaning. */
Terminal *terminal_borrow(int fd, bool signals, GError **error);

/* Accepts NULL.  Gives the terminal back. */
void terminal_return(Terminal *terminal);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Terminal, terminal_return)

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STENCILCTL_COMPLETE_H
#define STENCILCTL_COMPLETE_H

/*
 * What can come next on a line of the shell: verbs, commands, their arguments, and the words that
 * an argument can be.
 */

#include "stencilctl/schema.h"

/* Words of the shell's own, NULL-terminated. */
extern const char *const complete_builtins[];

/*
 * The candidates for the word at the end of text, sorted, each beginning with what is typed of it;
 * *ret_start is where in text the word begins.  The array owns its strings.
 */
GPtrArray *complete_line(const Schema *schema, const char *text, size_t *ret_start);

#endif

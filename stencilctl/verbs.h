/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STENCILCTL_VERBS_H
#define STENCILCTL_VERBS_H

/*
 * The one table of verbs: the command line, --help and the shell all read it.
 */

#include "stencilctl/call.h"

typedef struct Verb Verb;

struct Verb {
    const char *name;
    const char *form; /* what follows, for the help; NULL if nothing does */
    const char *help;
    unsigned min_words, max_words;
    bool without_vm;     /* may do without a socket */
    bool not_in_shell;   /* needs the terminal to itself */
    const char *command; /* for verbs that are one QMP command */
    Status (*run)(const Call *call, const Verb *verb);
};

extern const Verb verb_table[];
extern const size_t verb_count;

/* NULL if there is none. */
const Verb *verb_find(const char *name);

/* Checks the number of words and runs it. */
Status verb_run(const Verb *verb, const Call *call);

/* "wait STATE", newly allocated. */
char *verb_usage(const Verb *verb);

/* What the VM is (report.c). */
Status verb_status(const Call *call, const Verb *verb);
Status verb_info(const Call *call, const Verb *verb);
Status verb_devices(const Call *call, const Verb *verb);

/* What happens to it (follow.c). */
Status verb_events(const Call *call, const Verb *verb);
Status verb_wait(const Call *call, const Verb *verb);

/* Its serial line (console.c). */
Status verb_console(const Call *call, const Verb *verb);

/* Saving it (migrate.c). */
Status verb_migrate(const Call *call, const Verb *verb);
Status verb_template(const Call *call, const Verb *verb);

/* A line each (shell.c). */
Status verb_shell(const Call *call, const Verb *verb);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_SANDBOX_POLICY_H
#define MACHINE_SANDBOX_POLICY_H

/*
 * Which thread may make which system call, as const tables.  docs/security.md has the same lines
 * with the reasons; tests/style/check_sandbox.py compares the two.
 *
 * Filters stack: a thread keeps those of the one that started it.  So a rule names the roles that
 * need the call themselves, and a role that starts others admits what those need, too.
 */

#include "util/thread.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Roles as bits. */
#define ROLE_MAIN      (1u << THREAD_MAIN)
#define ROLE_VCPU      (1u << THREAD_VCPU)
#define ROLE_LOOP      (1u << THREAD_LOOP)
#define ROLE_WORKER    (1u << THREAD_WORKER)
#define ROLE_MIGRATION (1u << THREAD_MIGRATION)
#define ROLE_PREALLOC  (1u << THREAD_PREALLOC)
#define ROLE_FILL      (1u << THREAD_FILL)

/* What an argument may be, and for whom. */
typedef struct SandboxValue {
    uint32_t value;
    uint8_t roles;
} SandboxValue;

typedef struct SandboxValues {
    const SandboxValue *value;
    size_t count;
} SandboxValues;

/*
 * (argument & mask) must be one of the values, or the process's own id.  The lower 32 bits count: the
 * kernel looks at no others of the arguments that are filtered.
 */
typedef struct SandboxCheck {
    unsigned arg;
    uint32_t mask;
    bool own_pid;
    const SandboxValues *values[2]; /* [1]: of the architecture; may be NULL */
} SandboxCheck;

typedef struct SandboxRule {
    uint16_t number;
    uint16_t answer; /* an errno in place of the call, 0: the call is made */
    uint8_t roles;
    const SandboxCheck *check; /* NULL: any arguments */
} SandboxRule;

typedef struct SandboxRules {
    const SandboxRule *rule;
    size_t count;
} SandboxRules;

#define SANDBOX_ALLOW(name, who)             \
    {                                        \
        .number = SYS_##name, .roles = (who) \
    }
#define SANDBOX_CHECKED(name, who, its)                       \
    {                                                         \
        .number = SYS_##name, .roles = (who), .check = &(its) \
    }
#define SANDBOX_ANSWERED(name, who, its)                      \
    {                                                         \
        .number = SYS_##name, .roles = (who), .answer = (its) \
    }
#define SANDBOX_TABLE(member, entries)                      \
    {                                                       \
        .member = (entries), .count = G_N_ELEMENTS(entries) \
    }

/* sandbox_policy.c */
extern const SandboxRules sandbox_rules;

/* The roles whose rules hold for a thread of role; sandbox_policy.c. */
unsigned sandbox_admits(ThreadRole role);

/* sandbox_ARCH.c */
extern const SandboxRules sandbox_arch_rules;
extern const SandboxValues sandbox_arch_ioctls;
extern const uint32_t sandbox_arch_audit; /* AUDIT_ARCH_ */

/* Argument number index of the call that a SIGSYS handler was given context for. */
uint64_t sandbox_arch_argument(const void *context, unsigned index);

/* Generated: the name of any call of this architecture, NULL if it has none; sandbox_names.c. */
const char *sandbox_call_name(unsigned number);

#endif

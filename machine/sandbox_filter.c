/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/sandbox_filter.h"

#include "machine/sandbox_policy.h"

#include <linux/seccomp.h>
#include <stdlib.h>

/* Calls are numbered below this on every architecture; what is above is refused. */
#define MAX_CALLS     512
#define MAX_VALUES    128
#define MAX_STRETCHES 192

/* So many equal-questions in a row take no longer than a tree of them. */
#define ROW_VALUES 3

/*
 * A place in the program, counted from its end, as that is where it is written from: jumps only go
 * forward, so what a question leads to is there before the question.
 */
typedef unsigned Place;

typedef struct Builder {
    unsigned roles;
    uint32_t pid;
    SandboxProgram *program; /* last instruction first */
    Place allowed;           /* the nearest returns of each kind */
    Place refused;
} Builder;

/* What a stretch of numbers comes to, up to where the next one starts. */
typedef struct Stretch {
    uint32_t start;
    const SandboxRule *rule; /* NULL: refused */
} Stretch;

/* Returns where it is. */
static Place emit(Builder *b, struct sock_filter code)
{
    g_assert(b->program->len < SANDBOX_MAX_CODE);
    b->program->code[b->program->len++] = code;
    return b->program->len;
}

static Place emit_return(Builder *b, uint32_t verdict)
{
    return emit(b, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, verdict));
}

/* What the next question has to skip to get there; by a jump of its own if that is too much. */
static uint8_t skip_to(Builder *b, Place to)
{
    unsigned skip = b->program->len - to;

    if (skip <= UINT8_MAX - 1) {
        return (uint8_t)skip;
    }
    emit(b, (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, skip));
    return 0;
}

/* The second skip may have put a jump in front of what the first one counted. */
static Place emit_question(Builder *b, uint16_t test, uint32_t number, Place yes, Place no)
{
    uint8_t if_not = skip_to(b, no);
    unsigned before = b->program->len;
    uint8_t if_so = skip_to(b, yes);

    if_not = (uint8_t)(if_not + (b->program->len - before));
    return emit(b, (struct sock_filter)BPF_JUMP(BPF_JMP | test | BPF_K, number, if_so, if_not));
}

static Place emit_load(Builder *b, size_t offset)
{
    return emit(b, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset));
}

/* ---- an argument, one of a few values -------------------------------------------------------- */

static int compare_numbers(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;

    return (left > right) - (left < right);
}

/* Those of one list that this role may use; the new count. */
static size_t add_values(const Builder *b, const SandboxValues *from, uint32_t *values,
                         size_t count)
{
    for (size_t i = 0; i < from->count; i++) {
        if (!(from->value[i].roles & b->roles)) {
            continue;
        }
        g_assert(count < MAX_VALUES);
        values[count++] = from->value[i].value;
    }
    return count;
}

static size_t collect_values(const Builder *b, const SandboxCheck *check, uint32_t *values)
{
    size_t count = 0;

    if (check->own_pid) {
        values[count++] = b->pid;
    }
    for (size_t list = 0; list < G_N_ELEMENTS(check->values) && check->values[list]; list++) {
        count = add_values(b, check->values[list], values, count);
    }
    qsort(values, count, sizeof(*values), compare_numbers);
    return count;
}

static Place emit_values(Builder *b, const uint32_t *values, size_t count)
{
    size_t half = count / 2;
    Place next = b->refused;

    if (count > ROW_VALUES) {
        Place above = emit_values(b, values + half, count - half);
        Place below = emit_values(b, values, half);

        return emit_question(b, BPF_JGE, values[half], above, below);
    }
    for (size_t i = 0; i < count; i++) {
        next = emit_question(b, BPF_JEQ, values[i], b->allowed, next);
    }
    return next;
}

static Place emit_check(Builder *b, const SandboxCheck *check)
{
    uint32_t values[MAX_VALUES];
    size_t count = collect_values(b, check, values);

    emit_values(b, values, count);
    if (check->mask != UINT32_MAX) {
        emit(b, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, check->mask));
    }
    return emit_load(b, offsetof(struct seccomp_data, args) + check->arg * sizeof(uint64_t));
}

/* ---- the call ---------------------------------------------------------------------------------- */

static Place emit_rule(Builder *b, const SandboxRule *rule)
{
    if (!rule) {
        return b->refused;
    }
    if (rule->check) {
        return emit_check(b, rule->check);
    }
    return rule->answer != 0 ? emit_return(b, SECCOMP_RET_ERRNO | rule->answer) : b->allowed;
}

static Place emit_calls(Builder *b, const Stretch *stretches, size_t count)
{
    size_t half = count / 2;

    if (count == 1) {
        return emit_rule(b, stretches->rule);
    }

    Place above = emit_calls(b, stretches + half, count - half);
    Place below = emit_calls(b, stretches, half);

    return emit_question(b, BPF_JGE, stretches[half].start, above, below);
}

static bool is_plain(const SandboxRule *rule)
{
    return rule && !rule->check && rule->answer == 0;
}

/* Of both tables, one behind the other; 0 is no rule. */
typedef uint16_t RuleIndex;

static const SandboxRule *rule_at(RuleIndex index)
{
    if (index == 0) {
        return NULL;
    }
    return index <= sandbox_rules.count ? &sandbox_rules.rule[index - 1]
                                        : &sandbox_arch_rules.rule[index - 1 - sandbox_rules.count];
}

static void enter_rules(const SandboxRules *rules, size_t first, unsigned roles,
                        RuleIndex *by_number)
{
    for (size_t i = 0; i < rules->count; i++) {
        const SandboxRule *rule = &rules->rule[i];

        g_assert(rule->number < MAX_CALLS);
        if (rule->roles & roles) {
            by_number[rule->number] = (RuleIndex)(first + i);
        }
    }
}

static size_t add_stretch(Stretch *stretches, size_t count, uint32_t start, const SandboxRule *rule)
{
    g_assert(count < MAX_STRETCHES);
    stretches[count] = (Stretch){.start = start, .rule = rule};
    return count + 1;
}

/* Neighbours that come to the same are one stretch; the last one has no end. */
static size_t stretch_rules(unsigned roles, Stretch *stretches)
{
    RuleIndex by_number[MAX_CALLS + 1] = {0};
    size_t count = 0;

    enter_rules(&sandbox_rules, 1, roles, by_number);
    enter_rules(&sandbox_arch_rules, 1 + sandbox_rules.count, roles, by_number);
    for (uint32_t number = 0; number <= MAX_CALLS; number++) {
        const SandboxRule *rule = rule_at(by_number[number]);
        const SandboxRule *before = count > 0 ? stretches[count - 1].rule : NULL;

        if (count == 0 || (rule != before && !(is_plain(rule) && is_plain(before)))) {
            count = add_stretch(stretches, count, number, rule);
        }
    }
    return count;
}

static void turn_round(SandboxProgram *program)
{
    for (size_t i = 0, j = program->len; i + 1 < j; i++) {
        struct sock_filter code = program->code[i];

        program->code[i] = program->code[--j];
        program->code[j] = code;
    }
}

void sandbox_filter_build(ThreadRole role, uint32_t pid, SandboxProgram *ret)
{
    Builder b = {.roles = sandbox_admits(role), .pid = pid, .program = ret};
    Stretch stretches[MAX_STRETCHES];
    size_t count = stretch_rules(b.roles, stretches);

    ret->len = 0;
    b.refused = emit_return(&b, SECCOMP_RET_TRAP);
    b.allowed = emit_return(&b, SECCOMP_RET_ALLOW);
    emit_calls(&b, stretches, count);
    emit_load(&b, offsetof(struct seccomp_data, nr));
    emit_return(&b, SECCOMP_RET_KILL_PROCESS);
    emit(&b, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, sandbox_arch_audit, 1, 0));
    emit_load(&b, offsetof(struct seccomp_data, arch));
    /* An argument first: see the header. */
    emit_load(&b, offsetof(struct seccomp_data, args));
    turn_round(ret);
}

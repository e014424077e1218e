/* SPDX-License-Identifier: Apache-2.0 */
/*
 * launch [--runs N] [--warmup N] [--timeout MS] [--json] [--real-time]
 *        --case NAME UNTIL ARGV... [--case ...]
 *
 * UNTIL is byte, steps, exit, text:TEXT or qmp:SOCKET.  Several cases take turns (A B C A B C ...)
 * so that whatever else the machine does falls on all of them alike, and their ratio holds.  With
 * --real-time they all run before whatever else the machine does, where that is allowed.
 */
#include "bench/launch/launch.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct {
    unsigned runs;
    unsigned warmup;
    int timeout_ms;
    bool json;
    bool real_time;
    Case cases[LAUNCH_CASES_MAX];
    size_t case_count;
} Plan;

static const struct {
    const char *word;
    Until until;
    bool argument;
} untils[] = {
    {"byte", UNTIL_BYTE, false}, {"steps", UNTIL_STEPS, false}, {"exit", UNTIL_EXIT, false},
    {"text:", UNTIL_TEXT, true}, {"qmp:", UNTIL_QMP, true},
};

uint64_t launch_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

bool samples_add(Samples *samples, uint64_t ns)
{
    uint64_t *grown = realloc(samples->ns, (samples->count + 1) * sizeof(*grown));

    if (!grown) {
        return false;
    }
    samples->ns = grown;
    samples->ns[samples->count++] = ns;
    return true;
}

static bool complain(const char *what, const char *word)
{
    fprintf(stderr, "launch: %s '%s'\n", what, word);
    return false;
}

static bool parse_until(const char *word, Case *ret)
{
    for (size_t i = 0; i < sizeof(untils) / sizeof(untils[0]); i++) {
        size_t length = strlen(untils[i].word);

        if (untils[i].argument ? strncmp(word, untils[i].word, length) == 0 && word[length]
                               : strcmp(word, untils[i].word) == 0) {
            ret->until = untils[i].until;
            ret->argument = word + length;
            return true;
        }
    }
    return complain("expected byte, steps, exit, text:TEXT or qmp:SOCKET, not", word);
}

/* argv[at] is "--case"; its program ends at the next "--case", which becomes the terminator. */
static bool parse_case(Plan *plan, int argc, char **argv, int at, int *ret_next)
{
    Case *one = &plan->cases[plan->case_count];
    int next = at + 3;

    while (next < argc && strcmp(argv[next], "--case") != 0) {
        next++;
    }
    if (next < at + 4 || plan->case_count == LAUNCH_CASES_MAX - 1) {
        return complain("a case needs a name, an end and a program, and there is room for few:",
                        argv[at + 1 < argc ? at + 1 : at]);
    }
    one->name = argv[at + 1];
    one->argv = argv + at + 3;
    plan->case_count++;
    *ret_next = next;
    return parse_until(argv[at + 2], one);
}

static bool parse_number(const char *word, const char *value, unsigned *ret)
{
    char *end = NULL;
    unsigned long number = value ? strtoul(value, &end, 10) : 0;

    if (!value || end == value || *end || number > 1000000) {
        return complain("expected a number after", word);
    }
    *ret = (unsigned)number;
    return true;
}

static bool parse_flag(Plan *plan, const char *word)
{
    bool json = strcmp(word, "--json") == 0;
    bool real_time = strcmp(word, "--real-time") == 0;

    plan->json = plan->json || json;
    plan->real_time = plan->real_time || real_time;
    return json || real_time;
}

static bool parse_plan(Plan *plan, int argc, char **argv)
{
    unsigned timeout_ms = (unsigned)plan->timeout_ms;
    const struct {
        const char *word;
        unsigned *value;
    } numbers[] = {
        {"--runs", &plan->runs}, {"--warmup", &plan->warmup}, {"--timeout", &timeout_ms}};
    int at = 1;

    while (at < argc) {
        bool known = false;

        if (strcmp(argv[at], "--case") == 0) {
            if (!parse_case(plan, argc, argv, at, &at)) {
                return false;
            }
            continue;
        }
        if (parse_flag(plan, argv[at])) {
            at++;
            continue;
        }
        for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
            if (strcmp(argv[at], numbers[i].word) == 0) {
                known = parse_number(argv[at], argv[at + 1], numbers[i].value);
            }
        }
        if (!known) {
            return complain("cannot use", argv[at]);
        }
        at += 2;
    }
    plan->timeout_ms = (int)timeout_ms;
    return plan->case_count > 0 || complain("no --case", "");
}

/* Ends every argv: a following "--case" stands where exec wants NULL. */
static void terminate_programs(char **argv, int argc)
{
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--case") == 0) {
            argv[i] = NULL;
        }
    }
}

static unsigned total_failures(const Plan *plan)
{
    unsigned failures = 0;

    for (size_t i = 0; i < plan->case_count; i++) {
        failures += plan->cases[i].failures;
    }
    return failures;
}

int main(int argc, char **argv)
{
    static Plan plan = {.runs = 20, .warmup = 2, .timeout_ms = 10000};

    if (!parse_plan(&plan, argc, argv)) {
        fprintf(stderr,
                "usage: launch [--runs N] [--warmup N] [--timeout MS] [--json] [--real-time] "
                "--case NAME UNTIL ARGV... [--case ...]\n");
        return 2;
    }
    terminate_programs(argv, argc);
    if (plan.real_time) {
        sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 1});
    }
    for (unsigned run = 0; run < plan.warmup + plan.runs; run++) {
        for (size_t i = 0; i < plan.case_count; i++) {
            case_run(&plan.cases[i], plan.timeout_ms, run >= plan.warmup);
        }
    }
    if (plan.json) {
        report_json(plan.cases, plan.case_count);
    } else {
        report_table(plan.cases, plan.case_count);
    }
    return total_failures(&plan) ? 1 : 0;
}

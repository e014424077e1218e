/* SPDX-License-Identifier: Apache-2.0 */
/* What launch prints: a table of microseconds for people, every single sample for programs. */
#include "bench/launch/launch.h"

#include <stdio.h>
#include <stdlib.h>

static const unsigned percents[] = {0, 50, 99, 100};

static int compare_ns(const void *left, const void *right)
{
    const uint64_t *a = left, *b = right;

    return (*a > *b) - (*a < *b);
}

static double quantile_us(const Samples *sorted, unsigned percent)
{
    size_t at = sorted->count * percent / 100;

    return (double)sorted->ns[at < sorted->count ? at : sorted->count - 1] / 1e3;
}

static void print_row(const char *owner, const char *name, const Samples *samples)
{
    if (samples->count == 0) {
        printf("%-20s %-16s       -\n", owner, name);
        return;
    }
    qsort(samples->ns, samples->count, sizeof(*samples->ns), compare_ns);
    printf("%-20s %-16s", owner, name);
    for (size_t i = 0; i < sizeof(percents) / sizeof(percents[0]); i++) {
        printf(" %10.1f", quantile_us(samples, percents[i]));
    }
    printf("\n");
}

void report_table(const Case *cases, size_t count)
{
    printf("%-20s %-16s %10s %10s %10s %10s   (us)\n", "case", "what", "min", "median", "p99",
           "max");
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < cases[i].step_count; j++) {
            print_row(cases[i].name, cases[i].steps[j].name, &cases[i].steps[j].samples);
        }
        print_row(cases[i].name, "TOTAL", &cases[i].total);
        print_row(cases[i].name, "teardown", &cases[i].teardown);
        if (cases[i].failures) {
            printf("%-20s %u of its runs failed\n", cases[i].name, cases[i].failures);
        }
    }
}

static void print_samples(const char *key, const Samples *samples)
{
    printf("\"%s\": [", key);
    for (size_t i = 0; i < samples->count; i++) {
        printf("%s%llu", i ? ", " : "", (unsigned long long)samples->ns[i]);
    }
    printf("]");
}

/* Names come from our own command lines and step reports; they need no escaping. */
void report_json(const Case *cases, size_t count)
{
    printf("{\"unit\": \"ns\", \"cases\": [");
    for (size_t i = 0; i < count; i++) {
        printf("%s\n{\"name\": \"%s\", \"failures\": %u, ", i ? "," : "", cases[i].name,
               cases[i].failures);
        print_samples("total", &cases[i].total);
        printf(", ");
        print_samples("teardown", &cases[i].teardown);
        printf(", \"steps\": {");
        for (size_t j = 0; j < cases[i].step_count; j++) {
            printf("%s", j ? ", " : "");
            print_samples(cases[i].steps[j].name, &cases[i].steps[j].samples);
        }
        printf("}}");
    }
    printf("\n]}\n");
}

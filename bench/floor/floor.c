/* SPDX-License-Identifier: Apache-2.0 */
/* Command line and report of the floor program; floor.h says what it is for. */
#include "bench/floor/floor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const usage =
    "usage: floor (--template FILE | --kernel ELF) [--memory MIB] [--vcpus N] [--cpuid FILE]\n"
    "             [--order split|irqchip-first|irqchip-last] [--doorbells N] [--full-state]\n"
    "       floor --save-cpuid FILE\n";

static const char *const orders[] = {
    [ORDER_SPLIT] = "split",
    [ORDER_IRQCHIP_FIRST] = "irqchip-first",
    [ORDER_IRQCHIP_LAST] = "irqchip-last",
};

void steps_mark(Steps *steps, const char *name)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    if (steps->count < FLOOR_STEPS_MAX) {
        steps->mark[steps->count].name = name;
        steps->mark[steps->count].at_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
        steps->count++;
    }
}

bool floor_fail(const char *what)
{
    fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
    return false;
}

static bool parse_order(const char *word, Order *ret)
{
    for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
        if (strcmp(word, orders[i]) == 0) {
            *ret = (Order)i;
            return true;
        }
    }
    return false;
}

static bool parse_value(Options *options, const char *name, const char *value)
{
    const struct {
        const char *name;
        const char **text;
        unsigned *number;
    } known[] = {
        {"--template", &options->template_path, NULL}, {"--kernel", &options->kernel_path, NULL},
        {"--cpuid", &options->cpuid_path, NULL},       {"--vcpus", NULL, &options->vcpus},
        {"--doorbells", NULL, &options->doorbells},
    };

    if (strcmp(name, "--order") == 0) {
        return parse_order(value, &options->order);
    }
    if (strcmp(name, "--memory") == 0) {
        options->memory_bytes = strtoull(value, NULL, 10) << 20;
        return options->memory_bytes > 0;
    }
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(name, known[i].name) != 0) {
            continue;
        }
        if (known[i].text) {
            *known[i].text = value;
        } else {
            *known[i].number = (unsigned)strtoul(value, NULL, 10);
        }
        return true;
    }
    return false;
}

static bool parse_options(Options *options, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--full-state") == 0) {
            options->full_state = true;
        } else if (i + 1 == argc || !parse_value(options, argv[i], argv[i + 1])) {
            return false;
        } else {
            i++;
        }
    }
    return options->vcpus >= 1 && options->vcpus <= FLOOR_VCPUS_MAX &&
           !options->template_path != !options->kernel_path;
}

static void print_steps(const Steps *steps)
{
    printf("\n");
    for (size_t i = 0; i < steps->count; i++) {
        printf("step %s %llu\n", steps->mark[i].name, (unsigned long long)steps->mark[i].at_ns);
    }
}

int main(int argc, char **argv)
{
    Options options = {.memory_bytes = UINT64_C(256) << 20, .vcpus = 1};
    Steps steps = {.count = 0};

    steps_mark(&steps, "exec-to-main");
    if (argc == 3 && strcmp(argv[1], "--save-cpuid") == 0) {
        return vm_save_cpuid(argv[2]) ? 0 : 1;
    }
    if (!parse_options(&options, argc, argv)) {
        fprintf(stderr, "%s", usage);
        return 2;
    }
    if (!vm_run(&options, &steps)) {
        return 1;
    }
    print_steps(&steps);
    return 0;
}

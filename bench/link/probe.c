/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole program of the link study: says when main was reached and when the libraries answered
 * their first call.  Which libraries those are is decided by the use_*.c that it is linked with.
 */
#include "bench/link/probe.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

static unsigned long long now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (unsigned long long)now.tv_sec * 1000000000 + (unsigned long long)now.tv_nsec;
}

int main(void)
{
    unsigned long long at_main = now_ns();
    int used = probe_use();
    unsigned long long after_use = now_ns();
    char text[128];
    int length = snprintf(text, sizeof(text), ".\nstep main %llu\nstep first-use %llu\n", at_main,
                          after_use);

    return used && write(STDOUT_FILENO, text, (size_t)length) == length ? 0 : 1;
}

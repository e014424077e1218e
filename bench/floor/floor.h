/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_FLOOR_H
#define BENCH_FLOOR_H

/*
 * The floor: the least that a process must do to get a guest running on this host.  No devices, no
 * control channel, no error recovery, no library but libc.  What stencil needs beyond it is
 * stencil's own, so its start-up figures are quoted as multiples of the floor, measured in the same
 * minute on the same machine.
 *
 *     exec -> main -> /dev/kvm -> VM -> irqchip -> RAM -> memslot -> vCPUs -> run -> first OUT
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FLOOR_VCPUS_MAX 64
#define FLOOR_STEPS_MAX 24
#define FLOOR_CPUID_MAX 256

/* Where the interrupt chip is made decides how long the kernel takes for the memory slot. */
typedef enum {
    ORDER_SPLIT,         /* only local APICs in the kernel; nothing on its I/O bus */
    ORDER_IRQCHIP_FIRST, /* all of it in the kernel, before the memory slot */
    ORDER_IRQCHIP_LAST,  /* the same, after the memory slot */
} Order;

typedef struct {
    const char *template_path; /* RAM is a private mapping of this file ... */
    const char *kernel_path;   /* ... or anonymous, with this PVH kernel mapped into it */
    const char *cpuid_path;    /* saved by --save-cpuid; without it the host is asked */
    uint64_t memory_bytes;
    unsigned vcpus;
    unsigned doorbells; /* ioeventfds registered after the vCPUs */
    Order order;
    bool full_state; /* also move the state that a restored vCPU has beyond its registers */
} Options;

/* What was reached when; printed at the end as `step NAME NS` lines for bench/launch. */
typedef struct {
    struct {
        const char *name;
        uint64_t at_ns;
    } mark[FLOOR_STEPS_MAX];
    size_t count;
} Steps;

void steps_mark(Steps *steps, const char *name);

/* Each says on stderr what failed. */
bool floor_fail(const char *what);

/* RAM of the guest and where it starts to execute, in 32-bit mode without paging. */
bool image_map_template(const Options *options, uint8_t **ret_ram, uint32_t *ret_entry);
bool image_map_kernel(const Options *options, uint8_t **ret_ram, uint32_t *ret_entry);

bool vm_run(const Options *options, Steps *steps);
bool vm_save_cpuid(const char *path);

#endif
